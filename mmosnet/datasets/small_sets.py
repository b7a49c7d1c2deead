"""Small re-identification data sets with numbered splits: VIPeR and GRID.

- VIPeR: Gray et al., "Evaluating Appearance Models for Recognition, Reacquisition, and Tracking", PETS 2007.
- QMUL underGround Re-IDentification (GRID): Loy et al., CVPR 2009.
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

# Positions (among the sorted identities) of the 316 training identities of each of ten random halves of VIPeR.
VIPER_SPLITS_FILE = Path(__file__).parent / 'viper_splits.json'
VIPER_NAME = re.compile(r'(\d+)_', re.ASCII)
GRID_PARTITIONS = 'features_and_partitions.mat'
GRID_NAME = re.compile(r'(\d+)_(\d+)', re.ASCII)


class NumberedSplits(ReIDDataset):
    """A data set with several divisions into train, query and gallery; its result is their mean.

    Args:
        split_index: Number of the division, from 0.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`.

    Raises:
        DataError: There is no division of this number.
    """

    num_splits: int
    shared_pids = True

    def __init__(self, *args, split_index: int = 0, **kwargs) -> None:
        if not 0 <= split_index < self.num_splits:
            raise DataError(f'split_index={split_index}: {type(self).__name__} has splits 0 to {self.num_splits - 1}')
        self.split_index = split_index
        super().__init__(*args, **kwargs)


@DATASETS.register_module()
class VIPeR(NumberedSplits):
    """VIPeR: 632 identities in two cameras, 20 splits; its result is their mean.

    ``data_root`` (or ``VIPeR`` in it) holds ``cam_a`` and ``cam_b``. There are no official splits. Ours are ten random
    halves, the same on every machine, each used twice after the same training: splits 0, 2, ... search images of
    camera a among those of camera b, splits 1, 3, ... the reverse.

    Args:
        split_index: Number of one of the 20 splits, from 0.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`.

    Raises:
        FileNotFoundError: A folder is missing.
        DataError: ``split_index`` is out of range; a person has no image of one camera, or there are not 632 people.
    """

    num_splits = 20
    # Both directions of a half.
    splits_per_training = 2
    distractor_pid = None
    download_page = 'https://vision.soe.ucsc.edu/node/178'

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Return the counts of every split."""
        return dict(train=(632, 316), query=(316, 316), gallery=(316, 316))

    def load_split(self, split: str) -> list[dict]:
        """Take one camera's images of the split's identities; see the base class."""
        prefix = 'VIPeR/' if (Path(self.data_root) / 'VIPeR').is_dir() else ''
        cameras: list[list[dict]] = [
            [
                dict(img_path=path, pid=number_in_name(match[1], 'pid', path), camid=camid)
                for path, match in self.list_folder(f'{prefix}cam_{letter}', VIPER_NAME)
            ]
            for camid, letter in enumerate('ab')
        ]
        pids = sorted({r['pid'] for r in cameras[0]})
        incomplete = set(pids) ^ {r['pid'] for r in cameras[1]}
        if incomplete:
            raise DataError(f'VIPeR in {self.data_root}: identity {min(incomplete)} has images of one camera only')
        train = json.loads(VIPER_SPLITS_FILE.read_text())[self.split_index // 2]
        if len(pids) != 2 * len(train):
            raise DataError(f'VIPeR in {self.data_root}: {len(pids)} identities instead of {2 * len(train)}')
        train_pids = {pids[position] for position in train}
        if split == 'train':
            return [r for r in cameras[0] + cameras[1] if r['pid'] in train_pids]
        query_camera = self.split_index % 2
        camera = query_camera if split == 'query' else 1 - query_camera
        return [r for r in cameras[camera] if r['pid'] not in train_pids]


@DATASETS.register_module()
class GRID(NumberedSplits):
    """GRID: 250 pairs of images, 775 distractors, 10 official splits; its result is their mean.

    ``data_root`` (or ``underground_reid`` in it) holds ``probe``, ``gallery`` and ``features_and_partitions.mat``. A
    name ``0001_1_25004_107_32_106_221.jpeg`` states pid 1 and the first camera (camid 0); pid 0 are distractors.

    Args:
        split_index: Number of one of the 10 splits, from 0.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`.

    Raises:
        FileNotFoundError: A folder or the file of the splits is missing.
        DataError: ``split_index`` is out of range; the file holds no splits.
    """

    num_splits = 10
    download_page = 'https://personal.ie.cuhk.edu.hk/~ccloy/downloads_qmul_underground_reid.html'

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
        train_pids = self._train_pids(Path(self.data_root) / prefix / GRID_PARTITIONS)
        if split == 'train':
            return [r for r in probe + gallery if r['pid'] in train_pids]
        return [r for r in (probe if split == 'query' else gallery) if r['pid'] not in train_pids]

    def _train_pids(self, path: Path) -> set[int]:
        with MatlabFile(path) as file:
            partitions = list(file['trainIdxAll'])
            if len(partitions) != self.num_splits:
                raise DataError(f'{path}: trainIdxAll has {len(partitions)} splits instead of {self.num_splits}')
            fields = partitions[self.split_index]
            # The third field of the structure lists the training identities.
            values = list(fields.values()) if isinstance(fields, dict) else []
            if len(values) < 3:
                raise DataError(f'{path}: split {self.split_index} of trainIdxAll is no structure of three fields')
            return set(whole_numbers(values[2], f'{path}: trainIdxAll, split {self.split_index}').tolist())
