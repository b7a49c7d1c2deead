"""Pictures of a gallery's people, read from the disk for the page: from its own folders and no others."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np

from mmosnet.datasets.crop_person import split_region
from mmosnet.datasets.person_image import read_image
from mmosnet.errors import DataError
from mmosnet.whole_file import whole_file

SUFFIX = '.png'


class ShownPictures:
    """Reads the pictures that records name, and keeps those that people enroll on the page.

    A gallery's records come from elsewhere too, and may name any file.

    Args:
        folders: Pictures are read from these and the folders below them.
        enrolled: Where enrolled ones are kept, under names of our own; one of the folders too.
    """

    def __init__(self, folders: Sequence[str | Path], enrolled: str | Path) -> None:
        self.enrolled = Path(enrolled)
        self.folders = [Path(folder).resolve() for folder in (*folders, enrolled)]

    def read(self, path: str) -> np.ndarray | None:
        """A picture, ``(H, W, 3)`` uint8, BGR.

        Args:
            path: As in a record; may name a region of a file.

        Returns:
            None where the picture is not here, as in a gallery made of features that a camera has sent, where it
            cannot be read, or lies outside the folders: the person is found all the same.
        """
        try:
            file = Path(split_region(path)[0]).resolve()
            if not any(file.is_relative_to(folder) for folder in self.folders):
                return None
            return read_image(path)
        # OSError, ValueError: names that no file can have.
        except (DataError, OSError, ValueError):
            return None

    def new_paths(self, pid: int, number: int) -> list[str]:
        """Paths for pictures of a person to be enrolled; nobody can guess them."""
        return [str(self.enrolled / f'{pid}_{secrets.token_hex(8)}{SUFFIX}') for _ in range(number)]

    @contextmanager
    def kept(self, images: Sequence[np.ndarray], paths: Sequence[str]) -> Iterator[None]:
        """Write pictures ``(H, W, 3)`` to new paths, as pixels alone, if what is done inside goes well.

        What else was in the files, like the place where a photograph was taken, is not kept.

        Raises:
            OSError: They cannot be written, as on a full disk.
        """
        with ExitStack() as files:
            for image, path in zip(images, paths, strict=True):
                draft = files.enter_context(whole_file(path))
                draft.write_bytes(cv2.imencode(SUFFIX, image)[1].tobytes())
            yield

    def may_keep(self, pid: int) -> bool:
        """Whether pictures of somebody of this pid were enrolled on the page, in this gallery or another."""
        return any(self.enrolled.glob(f'{pid}_*{SUFFIX}'))

    def forget(self, paths: Sequence[str]) -> None:
        """Delete pictures, as far as they were enrolled on the page."""
        for path in map(Path, paths):
            if path.resolve().parent == self.enrolled.resolve():
                path.unlink(missing_ok=True)
