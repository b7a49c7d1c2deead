"""Folders of drawn images that are written on first use: complete or absent, also when several processes write them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mmosnet.errors import DataError
from mmosnet.io.files import draft_folder, read_json

JPEG_QUALITY = 92
MANIFEST = 'synthetic.json'


@dataclass(frozen=True)
class DrawnFolder:
    """A folder of drawn images and what it was made with.

    Args:
        root: The folder.
        content: Description of the content for errors: ``'synthetic people'``.
        manifest: Settings of the pictures; equal manifests mean equal pictures.
        image_folders: Folders of the images below ``root``.
    """

    root: Path
    content: str
    manifest: dict
    image_folders: Sequence[str]

    def make(self, write: Callable[[Path], None]) -> None:
        """Call ``write`` to fill the folder unless it is complete; the folder appears complete or not at all.

        Args:
            write: Writes everything but the manifest into the folder that it is given, which does not exist yet.

        Raises:
            DataError: The folder holds a set that is incomplete or was made with something else.
            FileExistsError: The folder exists, is not empty and has no manifest.
        """
        if self.is_complete():
            return
        with draft_folder(self.root) as scratch:
            # A folder inside: it is moved away.
            unfinished = scratch / self.root.name
            write(unfinished)
            manifest = dict(self.manifest, num_images=self._count_images(unfinished))
            (unfinished / MANIFEST).write_text(json.dumps(manifest, indent=2) + '\n', encoding='utf-8')
            try:
                os.rename(unfinished, self.root)  # replaces an empty folder, never a full one
            except OSError:
                # Another process may have been faster; its pictures are the same.
                if not self.is_complete():
                    raise

    def is_complete(self) -> bool:
        """Return whether the folder holds this data set: False if it is empty, else raise as :meth:`make` does."""
        root = self.root
        if not root.exists() or (root.is_dir() and not any(root.iterdir())):
            return False
        if not (root / MANIFEST).is_file():
            raise FileExistsError(
                f'{root} exists and is not a folder of {self.content} (it has no {MANIFEST}): choose another folder'
            )
        remedy = f'delete the folder {root} or choose another'
        found = read_json(root / MANIFEST, remedy)
        if not isinstance(found, dict):
            raise DataError(f'{root / MANIFEST} is damaged (a {type(found).__name__}, not an object): {remedy}')
        counts = found.pop('num_images', None)
        if found != self.manifest:
            raise DataError(
                f'{root} holds {self.content} made with {found}, but {self.manifest} was '
                'asked for: delete the folder or choose another'
            )
        images = self._count_images(root)
        if counts != images:
            raise DataError(
                f'{root} should hold {counts} images but holds {images}: delete the folder or choose another'
            )
        return True

    def _count_images(self, root: Path) -> dict[str, int]:
        return {name: sum(1 for _ in (root / name).glob('*.jpg')) for name in self.image_folders}


def write_jpeg(path: Path, picture: np.ndarray) -> None:
    """Write an ``(H, W, 3)`` BGR picture.

    Raises:
        OSError: OpenCV cannot encode it.
    """
    # imencode and write_bytes: imwrite cannot open paths with characters outside the code page on
    # Windows.
    done, data = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise OSError(f'OpenCV could not encode {path.name}')
    path.write_bytes(data.tobytes())
