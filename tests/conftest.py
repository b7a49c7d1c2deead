"""Data sets that the tests make for themselves, and the way to real ones."""

import gc
import os
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

# Several test processes share the cores. Before anything below imports torch.
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('MKL_NUM_THREADS', '1')

import cv2
import numpy as np

from tests.cli.warm_process import WarmProcess

REAL_DATA_VARIABLE = 'MMOSNET_REAL_DATA'


def pytest_collection_finish() -> None:
    """Keep imported modules from the collector: every data set collects, a third of a second with them."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    # Triton counts what is left at the end.
    gc.unfreeze()


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond some bytes, as on a full disk, needing no privileges."""
    resource = pytest.importorskip('resource')
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write_person(path: Path, pid: int, height: int = 32, width: int = 16) -> None:
    """A noisy picture whose colors tell the identity."""
    random = np.random.RandomState(zlib.crc32(path.name.encode()))
    top, bottom = np.random.RandomState(pid + 10).randint(0, 256, (2, 3))
    image = np.vstack([np.full((height // 2, width, 3), color, np.uint8) for color in (top, bottom)])
    image = np.clip(image + random.randint(-20, 20, image.shape), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode('.jpg', image)[1].tobytes())


def write_market(root: Path, num_train: int = 6, num_test: int = 4, cameras: int = 2, images: int = 2) -> Path:
    """A miniature in Market-1501's layout, with a distractor and a junk image in the gallery; not checked against the
    official files."""
    for pid in range(1, num_train + num_test + 1):
        for camera in range(1, cameras + 1):
            for frame in range(images):
                folder = 'bounding_box_train' if pid <= num_train else 'bounding_box_test' if frame else 'query'
                write_person(root / folder / f'{pid:04d}_c{camera}s1_{frame:06d}_00.jpg', pid)
    write_person(root / 'bounding_box_test' / '0000_c1s1_000100_00.jpg', 0)
    write_person(root / 'bounding_box_test' / '-1_c1s1_000200_00.jpg', -1)
    return root


@pytest.fixture
def market_root(tmp_path: Path) -> Path:
    return write_market(tmp_path / 'market')


@pytest.fixture(scope='session')
def warm_process() -> Iterator[WarmProcess]:
    with closing(WarmProcess()) as process:
        yield process


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Folder of a real data set in Market-1501's layout."""
    folder = os.environ.get(REAL_DATA_VARIABLE)
    if not folder:
        pytest.skip(f'{REAL_DATA_VARIABLE} names no folder with real data')
    return Path(folder)
