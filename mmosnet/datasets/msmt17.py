"""MSMT17 (Wei et al., "Person Transfer GAN to Bridge Domain Gap for Person Re-identification", CVPR 2018)."""

from __future__ import annotations

import re
from pathlib import Path

from mmosnet.datasets.base import ReIDDataset
from mmosnet.errors import DataError
from mmosnet.io.tables import image_inside
from mmosnet.registry import DATASETS

# Path, whose third field is the camera, and identity.
LINE = re.compile(r'\s*((?:.*/)?[^/_]+_[^/_]+_0*([1-9]\d{0,8})_[^/]*\S)\s+(\d{1,9})\s*', re.ASCII)
# Folders of training and of test images.
FOLDERS = dict(V1=('train', 'test'), V2=('mask_train_v2', 'mask_test_v2'))


@DATASETS.register_module()
class MSMT17(ReIDDataset):
    """MSMT17: 4,101 identities, 15 cameras.

    ``data_root`` (or ``MSMT17_V1``, ``MSMT17_V2`` in it) holds ``list_{train,val,query,gallery}.txt``, with a
    line ``path pid`` per image, and the image folders. A path ``0000/0000_000_01_0303morning_0008_0.jpg`` states the
    first camera (camid 0). Training and test identities are both numbered from 0 and are different people.

    Args:
        version: ``'V1'``, or ``'V2'`` with blurred faces; by default the one that exists.
        include_val: Train on ``list_val.txt`` too: 2,373 more images of the same 1,041 identities. The standard
            protocol does not; ``combineall`` does.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`.

    Raises:
        FileNotFoundError: No version in ``data_root``.
        DataError: Both versions exist and none is named, or a line is not ``path pid``.
    """

    download_page = 'https://www.pkuvmc.com/dataset.html'
    distractor_pid = None
    shared_pids = False

    def __init__(self, *args, version: str | None = None, include_val: bool = False, **kwargs) -> None:
        if version not in (None, *FOLDERS):
            raise DataError(f"version={version!r}: choose 'V1' or 'V2'")
        self.version = version
        self.include_val = include_val
        super().__init__(*args, **kwargs)

    def published_counts(self) -> dict[str, tuple[int, int]]:
        """Return the counts in the authors' paper."""
        train = (32_621, 1_041) if self.include_val else (30_248, 1_041)
        return dict(train=train, query=(11_659, 3_060), gallery=(82_161, 3_060))

    def load_split(self, split: str) -> list[dict]:
        """Read one split's list; see the base class."""
        root, train_folder, test_folder = self._find_version()
        if split != 'train':
            return self._read_list(root / f'list_{split}.txt', root / test_folder)
        records = self._read_list(root / 'list_train.txt', root / train_folder)
        if self.include_val or self.combineall:
            records += self._read_list(root / 'list_val.txt', root / train_folder)
        return records

    def _find_version(self) -> tuple[Path, str, str]:
        root = Path(self.data_root)
        versions = FOLDERS if self.version is None else {self.version: FOLDERS[self.version]}
        existing = {
            version: (place, *folders)
            for version, folders in versions.items()
            for place in (root / f'MSMT17_{version}', root)
            if (place / folders[0]).is_dir()
        }
        if len(existing) > 1:
            raise DataError(f"MSMT17: {root} holds V1 and V2, which differ; set version='V1' or version='V2'")
        if not existing:
            expected = ' or '.join(folders[0] for folders in versions.values())
            raise FileNotFoundError(
                f'MSMT17: no folder {expected} in {root}. data_root={self.data_root!r} must hold it: set data_root to '
                f'the extracted data set. MSMT17 comes from {self.download_page}.'
            )
        return next(iter(existing.values()))

    @staticmethod
    def _read_list(path: Path, folder: Path) -> list[dict]:
        if not path.is_file():
            raise FileNotFoundError(f'MSMT17: no file {path}')
        try:
            lines = path.read_text(encoding='utf-8-sig').splitlines()
        except UnicodeDecodeError as e:
            raise DataError(f'MSMT17: {path} is no text in UTF-8 ({e}); download it again') from e
        records: dict[str, dict] = {}
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            match = LINE.fullmatch(line)
            if match is None:
                raise DataError(
                    f'{path}, line {number}: {line[:200]!r} is not a path and an identity, with the camera in the '
                    "third field of the file's name, from 01"
                )
            img_path = image_inside(folder, match[1], f'{path}, line {number}')
            if img_path in records:
                raise DataError(f'{path}, line {number}: {match[1]} is in an earlier line already')
            records[img_path] = dict(img_path=img_path, pid=int(match[3]), camid=int(match[2]) - 1)
        return list(records.values())
