"""VIPeR and GRID.

VIPeR (Gray et al., "Evaluating Appearance Models for Recognition, Reacquisition, and Tracking", PETS 2007).

QMUL underGround Re-IDentification, GRID (Loy et al., CVPR 2009).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from mmosnet.datasets.base import ReIDDataset
from mmosnet.errors import DataError
from mmosnet.io.matlab import MatlabFile, whole_numbers
from mmosnet.io.tables import number_in_name
from mmosnet.registry import DATASETS

NUM_SPLITS = 20
NAME = re.compile(r'(\d+)_', re.ASCII)
#: Positions (among the sorted identities) of the 316 training identities of each of ten random halves.
SPLITS_FILE = Path(__file__).parent / 'viper_splits.json'


@DATASETS.register_module()
class VIPeR(ReIDDataset):
    """VIPeR: 632 identities before two cameras, 20 splits; the published result is their mean.

    ``data_root`` (or ``VIPeR`` in it) holds ``cam_a`` and ``cam_b``. There are no official splits. Ours are ten random
    halves, the same on every machine, each used twice: splits 0, 2, ... search camera b for images of camera a, splits
    1, 3, ... the other way round, after the same training.

    Args:
        split_index: Number of one of the 20 splits, from 0.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`.

    Raises:
        FileNotFoundError: A folder is missing.
        DataError: ``split_index`` is out of range; somebody has no image of one camera, or there are not 632 people.
    """

    num_splits = NUM_SPLITS
    # Both directions of a half.
    splits_per_training = 2
    distractor_pid = None
    shared_pids = True
    download_page = 'https://vision.soe.ucsc.edu/node/178'

    def __init__(self, *args, split_index: int = 0, **kwargs) -> None:
        if not 0 <= split_index < NUM_SPLITS:
            raise DataError(f'split_index={split_index}: VIPeR has splits 0 to {NUM_SPLITS - 1}')
        self.split_index = split_index
        super().__init__(*args, **kwargs)

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Return the counts of every split."""
        return dict(train=(632, 316), query=(316, 316), gallery=(316, 316))

    def load_split(self, split: str) -> list[dict]:
        """Take one camera's images of the split's identities; see the base class."""
        prefix = 'VIPeR/' if (Path(self.data_root) / 'VIPeR').is_dir() else ''
        cameras: list[list[dict]] = [
            [
                dict(img_path=path, pid=number_in_name(match[1], 'pid', path), camid=camid)
                for path, match in self.list_folder(f'{prefix}cam_{letter}', NAME)
            ]
            for camid, letter in enumerate('ab')
        ]
        pids = sorted({r['pid'] for r in cameras[0]})
        lonely = set(pids) ^ {r['pid'] for r in cameras[1]}
        if lonely:
            raise DataError(f'VIPeR in {self.data_root}: identity {min(lonely)} has images of one camera only')
        train = json.loads(SPLITS_FILE.read_text())[self.split_index // 2]
        if len(pids) != 2 * len(train):
            raise DataError(f'VIPeR in {self.data_root}: {len(pids)} identities instead of {2 * len(train)}')
        train_pids = {pids[position] for position in train}
        if split == 'train':
            return [r for r in cameras[0] + cameras[1] if r['pid'] in train_pids]
        query_camera = self.split_index % 2
        camera = query_camera if split == 'query' else 1 - query_camera
        return [r for r in cameras[camera] if r['pid'] not in train_pids]


GRID_NUM_SPLITS = 10
PARTITIONS = 'features_and_partitions.mat'
GRID_NAME = re.compile(r'(\d+)_(\d+)', re.ASCII)


@DATASETS.register_module()
class GRID(ReIDDataset):
    """GRID: 250 pairs of images, 775 distractors, 10 official splits; the published result is their mean.

    ``data_root`` (or ``underground_reid`` in it) holds ``probe``, ``gallery`` and ``features_and_partitions.mat``. A
    name ``0001_1_25004_107_32_106_221.jpeg`` states pid 1 and the first camera (camid 0); pid 0 are distractors.

    Args:
        split_index: Number of one of the 10 splits, from 0.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`.

    Raises:
        FileNotFoundError: A folder or the file of the splits is missing.
        DataError: ``split_index`` is out of range; the file holds no splits.
    """

    num_splits = GRID_NUM_SPLITS
    shared_pids = True
    download_page = 'https://personal.ie.cuhk.edu.hk/~ccloy/downloads_qmul_underground_reid.html'

    def __init__(self, *args, split_index: int = 0, **kwargs) -> None:
        if not 0 <= split_index < GRID_NUM_SPLITS:
            raise DataError(f'split_index={split_index}: GRID has splits 0 to {NUM_SPLITS - 1}')
        self.split_index = split_index
        super().__init__(*args, **kwargs)

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Return the counts of every official split."""
        return dict(train=(250, 125), query=(125, 125), gallery=(900, 125))

    def load_split(self, split: str) -> list[dict]:
        """Read one split; see the base class."""
        prefix = 'underground_reid/' if (Path(self.data_root) / 'underground_reid').is_dir() else ''
        probe, gallery = (
            [
                dict(
                    img_path=path,
                    pid=number_in_name(match[1], 'pid', path),
                    camid=number_in_name(match[2], 'camera', path, 1) - 1,
                )
                for path, match in self.list_folder(prefix + folder, GRID_NAME)
            ]
            for folder in ('probe', 'gallery')
        )
        train_pids = self._train_pids(Path(self.data_root) / prefix / PARTITIONS)
        if split == 'train':
            return [r for r in probe + gallery if r['pid'] in train_pids]
        return [r for r in (probe if split == 'query' else gallery) if r['pid'] not in train_pids]

    def _train_pids(self, path: Path) -> set[int]:
        with MatlabFile(path) as file:
            partitions = list(file['trainIdxAll'])
            if len(partitions) != GRID_NUM_SPLITS:
                raise DataError(f'{path}: trainIdxAll has {len(partitions)} splits instead of {NUM_SPLITS}')
            fields = partitions[self.split_index]
            # Third of a structure's fields: the identities of training.
            values = list(fields.values()) if isinstance(fields, dict) else []
            if len(values) < 3:
                raise DataError(f'{path}: split {self.split_index} of trainIdxAll is no structure of three fields')
            return set(whole_numbers(values[2], f'{path}: trainIdxAll, split {self.split_index}').tolist())
