"""The user's own crops in folders: one for each split, in it one for each person."""

from __future__ import annotations

import re
from pathlib import Path

from mmosnet.datasets.named_people import NamedPeople
from mmosnet.datasets.reid_dataset import SPLITS
from mmosnet.errors import DataError
from mmosnet.io.media import find_files
from mmosnet.registry import DATASETS

NAME = re.compile(r'([0-9]{1,9})_')


@DATASETS.register_module()
class ReIDFolder(NamedPeople):
    """Images in ``data_root/{train,query,gallery}/PERSON/CAMERA_*.jpg``; no annotation file.

    PERSON is any folder name, ``0001`` or ``anna``; the same name is the same person in all splits
    (:class:`~mmosnet.datasets.named_people.NamedPeople` tells how names become pids). CAMERA is a whole number, the
    camid as it is written: cameras may count from 0 or from 1, only equality counts. A split that is not used need
    not be there. mmpretrain's ``CustomDataset`` reads class folders without cameras and splits.

    Images in folders below PERSON are the person's too, and symbolic links are followed
    (:func:`~mmosnet.io.media.find_files`). Warnings count what is left out: files that are no images, images
    without a camera number or outside of a person's folder, and empty folders. Hidden files, whose names begin with a
    dot, are passed over.

    Args: as :class:`~mmosnet.datasets.ReIDDataset`.

    Raises:
        FileNotFoundError: The folder of a split is missing.
        DataError: No image of a split has a camera number; a symbolic link in a loop, or one that leads nowhere.
    """

    def list_people(self) -> list[dict]:
        """List all splits that exist; see the base class."""
        return [person for split in SPLITS for person in self._list_split(split)]

    def _list_split(self, split: str) -> list[dict]:
        folder = Path(self.data_root) / split
        if not folder.is_dir():
            if not self.is_wanted(split):
                return []
            raise FileNotFoundError(
                f'ReIDFolder: no folder {folder}. data_root={self.data_root!r} must hold train, query and gallery, '
                'each with a folder for each person'
            )
        found = find_files(folder)
        people, odd, beside = [], [], []
        for path in found.files:
            below = path.relative_to(folder).parts
            match = NAME.match(path.name)
            if len(below) == 1 or match is None:
                (beside if len(below) == 1 else odd).append(str(path))
            else:
                people.append(dict(name=below[0], split=split, img_path=str(path), camid=int(match[1])))
        shown = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith('.'))
        filled = {path.relative_to(folder).parts[0] for path in found.files}
        empty = [str(person) for person in shown if person.name not in filled and person not in found.linked]
        self._complain(folder, people, odd + beside, empty, found.left_out_text())
        return people

    def _complain(self, folder: Path, people: list, odd: list[str], empty: list[str], left_out: str) -> None:
        if odd and not people:
            raise DataError(
                f'ReIDFolder: none of the {len(odd)} images in {folder} is a PERSON/CAMERA_*.jpg with a whole number '
                f'for the camera, like anna/2_0001.jpg; the first is {odd[0]}'
            )
        if left_out:
            self.note(f'{folder}: {len(people)} images, left out {left_out}')
        if odd:
            self.note(f'ignored {len(odd)} images in {folder} that are not PERSON/CAMERA_*.jpg, the first {odd[0]}')
        if empty:
            self.note(f'{len(empty)} folders in {folder} hold no image, the first {empty[0]}')
