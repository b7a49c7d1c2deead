"""CUHK03 (Li et al., "DeepReID", CVPR 2014), with the new protocol of Zhong et al. (CVPR 2017)."""

from __future__ import annotations

import re
from pathlib import Path

from mmosnet.datasets.cuhk03_extraction import BOXES, classic_test_sets, extract_images
from mmosnet.datasets.matlab_annotation import texts, whole_numbers
from mmosnet.datasets.reid_dataset import ReIDDataset
from mmosnet.errors import DataError
from mmosnet.io.matlab import MatlabFile
from mmosnet.io.tables import image_inside
from mmosnet.registry import DATASETS

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
