"""CUHK03.

Takes CUHK03's images out of its MATLAB file, once.

CUHK03 (Li et al., "DeepReID", CVPR 2014), with the new protocol of Zhong et al. (CVPR 2017).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
from filelock import FileLock
from mmengine.logging import MMLogger

from mmosnet.datasets.attributes import texts, whole_numbers
from mmosnet.datasets.base import ReIDDataset
from mmosnet.errors import DataError
from mmosnet.io.files import read_json, whole_file
from mmosnet.io.matlab import MatlabFile
from mmosnet.io.tables import image_inside
from mmosnet.progress import tracked
from mmosnet.registry import DATASETS

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
    people = [(pair, cells, person) for pair, cells in enumerate(pairs, start=1) for person in range(cells.shape[0])]
    for pair, cells, person in tracked(people, 'people'):
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


NUM_CLASSIC_SPLITS = 20
# Camera pair, person, view, image.
NAME = re.compile(r'(\d{1,9})_(\d{1,9})_([12])_(\d+)', re.ASCII)
NEW_COUNTS = dict(
    detected=dict(train=(7_365, 767), query=(1_400, 700), gallery=(5_332, 700)),
    labeled=dict(train=(7_368, 767), query=(1_400, 700), gallery=(5_328, 700)),
)


@DATASETS.register_module()
class CUHK03(ReIDDataset):
    """CUHK03: 1,467 identities, each before one of five pairs of cameras.

    ``data_root`` holds ``cuhk-03.mat`` (or ``cuhk03_release/cuhk-03.mat``), whose images are written as PNG files on
    first use, or already the folders ``images_detected`` and ``images_labeled``. The new protocol also needs
    ``cuhk03_new_protocol_config_detected.mat`` or ``..._labeled.mat``.

    Args:
        protocol: ``'new'``, 767 identities to train and 700 to test, or ``'classic'``, 20 splits with 100 identities
            to test, whose images all are queries and gallery; to be evaluated with
            ``ReIDMetric(protocol='single_gallery_shot')``, and the published result is the mean of the splits.
        boxes: ``'detected'`` or ``'labeled'`` (drawn by hand).
        split_index: Number of one of the 20 classic splits, from 0.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`.

    Raises:
        FileNotFoundError: Images or splits are missing.
        DataError: A bad argument; files that contradict each other.
    """

    distractor_pid = None
    shared_pids = True
    download_page = 'https://www.ee.cuhk.edu.hk/~xgwang/CUHK_identification.html'

    def __init__(self, *args, protocol: str = 'new', boxes: str = 'detected', split_index: int = 0, **kwargs) -> None:
        if protocol not in ('new', 'classic'):
            raise DataError(f"protocol={protocol!r}: choose 'new' or 'classic'")
        if boxes not in BOXES:
            raise DataError(f"boxes={boxes!r}: choose 'detected' or 'labeled'")
        self.num_splits = NUM_CLASSIC_SPLITS if protocol == 'classic' else 1
        if not 0 <= split_index < self.num_splits:
            raise DataError(f'split_index={split_index}: the {protocol} protocol has splits 0 to {self.num_splits - 1}')
        self.protocol = protocol
        self.boxes = boxes
        self.split_index = split_index
        super().__init__(*args, **kwargs)

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Return the counts that the authors of the new protocol published; classic splits differ in size."""
        return NEW_COUNTS[self.boxes] if self.protocol == 'new' else {}

    def load_split(self, split: str) -> list[dict]:
        """Read one split; see the base class."""
        folder = extract_images(Path(self.data_root), self.boxes)
        return self._new_split(split, folder) if self.protocol == 'new' else self._classic_split(split, folder)

    def _new_split(self, split: str, folder: Path) -> list[dict]:
        path = Path(self.data_root) / f'cuhk03_new_protocol_config_{self.boxes}.mat'
        with MatlabFile(path) as file:
            names = texts(file['filelist'], f'{path}, filelist')
            labels = whole_numbers(file['labels'], f'{path}, labels')
            # MATLAB counts from 1.
            indices = whole_numbers(file[f'{split}_idx'], f'{path}, {split}_idx') - 1
        if len(indices) and not 0 <= min(indices) <= max(indices) < min(len(names), len(labels)):
            raise DataError(f'{path}: {split}_idx points outside of filelist, which has {len(names)} names')
        records = []
        for index in indices:
            match = NAME.match(names[index])
            img_path = image_inside(folder, names[index], f'{path}, filelist')
            if match is None or not Path(img_path).is_file():
                raise DataError(f'{path}: filelist names {names[index]!r}, which is not in {folder}')
            records.append(dict(img_path=img_path, pid=int(labels[index]), camid=int(match[3]) - 1))
        return records

    def _classic_split(self, split: str, folder: Path) -> list[dict]:
        people = {tuple(person) for person in classic_test_sets(Path(self.data_root))[self.split_index]}
        images = self.list_folder(folder.name, NAME)
        # Numbered in the order of the file: all people of the first camera pair, then of the second ...
        pids = {key: pid for pid, key in enumerate(sorted({(int(m[1]), int(m[2])) for _, m in images}), start=1)}
        absent = people - set(pids)
        if absent:
            raise DataError(f'CUHK03: classic split {self.split_index} tests person {min(absent)}, without images')
        return [
            dict(img_path=path, pid=pids[int(m[1]), int(m[2])], camid=int(m[3]) - 1)
            for path, m in images
            if ((int(m[1]), int(m[2])) in people) == (split != 'train')
        ]
