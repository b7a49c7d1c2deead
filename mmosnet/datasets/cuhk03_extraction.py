"""Takes CUHK03's images out of its MATLAB file, once."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
from filelock import FileLock
from mmengine.logging import MMLogger
from mmengine.utils import ProgressBar

from mmosnet.datasets.matlab_annotation import whole_numbers
from mmosnet.errors import DataError
from mmosnet.io.files import read_json, whole_file
from mmosnet.io.matlab import MatlabFile

RAW_FILE = 'cuhk-03.mat'
BOXES = ('detected', 'labeled')
TEST_SETS_FILE = 'classic_test_sets.json'
# A person has up to ten images of a camera pair; the first five are of its first camera.
IMAGES_PER_VIEW = 5
NUM_TEST_SETS = 20


def find_raw_file(root: Path) -> Path | None:
    """Find ``cuhk-03.mat`` in the data set's folder, or where its archive unpacks to."""
    for folder in (root, root / 'cuhk03_release'):
        if (folder / RAW_FILE).is_file():
            return folder / RAW_FILE
    return None


def image_folder(root: Path, boxes: str) -> Path:
    """Return the folder of the images of detected or labeled boxes, named as in torchreid."""
    return root / f'images_{boxes}'


def extract_images(root: Path, boxes: str) -> Path:
    """Write the images of the detected or of the labeled boxes as PNG files, unless they exist.

    Several processes may call at the same time: one writes, the others wait. The folder appears when it is complete;
    after an interruption, images that are there are not written again.

    Args:
        root: Folder of the data set.
        boxes: ``'detected'`` or ``'labeled'``.

    Returns:
        The folder, with names ``{pair}_{person:03d}_{view}_{image:02d}.png``, all counted from 1.

    Raises:
        FileNotFoundError: Neither the folder nor ``cuhk-03.mat`` is there.
        DataError: The file is damaged, or h5py is missing.
    """
    folder = image_folder(root, boxes)
    if folder.is_dir():
        return folder
    raw = find_raw_file(root)
    if raw is None:
        raise FileNotFoundError(
            f'CUHK03: neither {folder} nor {RAW_FILE} in {root} or {root / "cuhk03_release"}. data_root={str(root)!r} '
            'must hold one of them'
        )
    with FileLock(root / '.extraction.lock'):
        if not folder.is_dir():
            MMLogger.get_current_instance().info(f'CUHK03: taking {boxes} images out of {raw}, once')
            part = folder.with_suffix('.part')
            part.mkdir(exist_ok=True)
            with MatlabFile(raw) as file:
                _write_images(list(file[boxes]), part)
                _write_test_sets(file, root)
            part.rename(folder)
    return folder


def _write_images(pairs: list, folder: Path) -> None:
    progress = ProgressBar(sum(cells.shape[0] for cells in pairs))
    for pair, cells in enumerate(pairs, start=1):
        for person in range(cells.shape[0]):
            for index in range(cells.shape[1]):
                view = 1 if index < IMAGES_PER_VIEW else 2
                path = folder / f'{pair}_{person + 1:03d}_{view}_{index + 1:02d}.png'
                # An empty one is what a machine that lost power may leave.
                if path.exists() and path.stat().st_size:
                    continue
                image = cells[person, index]
                # Empty cells: people with fewer images.
                if image.ndim == 3 and image.size:
                    encoded = cv2.imencode('.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
                    _write_image(path, encoded.tobytes())
            progress.update()


def _write_test_sets(file: MatlabFile, root: Path) -> None:
    place = f'{file.path}, testsets'
    test_sets = [whole_numbers(test_set, place).reshape(test_set.shape).tolist() for test_set in file['testsets']]
    with whole_file(root / TEST_SETS_FILE) as draft:
        draft.write_text(json.dumps(test_sets))


def _write_image(path: Path, content: bytes) -> None:
    # Not whole_file: waiting for the disk 14,000 times takes minutes.
    draft = path.with_name(f'.{path.name}.tmp')
    draft.write_bytes(content)
    draft.replace(path)


def classic_test_sets(root: Path) -> list[list[list[int]]]:
    """Return the 20 official test sets of the classic protocol: ``[camera pair, person]`` of 100 people each.

    Raises:
        FileNotFoundError: They were not taken out of ``cuhk-03.mat``, which is not there.
        DataError: The file that they were written to is damaged.
    """
    path = root / TEST_SETS_FILE
    if not path.is_file():
        raw = find_raw_file(root)
        if raw is None:
            raise FileNotFoundError(
                f'CUHK03: the 20 classic test sets are in {RAW_FILE} alone, and neither it nor {path} is there'
            )
        with FileLock(root / '.extraction.lock'), MatlabFile(raw) as file:
            _write_test_sets(file, root)
    test_sets = read_json(path, f'delete it, so that it is made from {RAW_FILE} again')
    try:
        pairs = [[(pair, person) for pair, person in test_set] for test_set in test_sets]
        whole = all(type(number) is int for test_set in pairs for pair in test_set for number in pair)
    except (TypeError, ValueError):
        whole = False
    if not whole or len(test_sets) != NUM_TEST_SETS:
        raise DataError(f'{path} does not hold {NUM_TEST_SETS} lists of [camera pair, person]: delete it')
    return test_sets
