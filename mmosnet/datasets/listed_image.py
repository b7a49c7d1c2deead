"""Paths of images as an annotation file writes them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

from mmosnet.errors import DataError


def image_inside(folder: Path, name: str, place: str) -> str:
    """Return the path, as spelled on disk, of an image that an annotation names; it must be inside a folder.

    Args:
        folder: Folder that the annotation's paths are relative to.
        name: The path in the annotation, with forward slashes.
        place: File and row, for the error's text.

    Raises:
        DataError: The path is absolute or leaves the folder, or is none.
    """
    path = PurePosixPath(name.replace('\\', '/'))
    if '\0' in name:
        raise DataError(f'{place}: the path {name!r} has a character 0, which no file name has')
    if path.is_absolute() or '..' in path.parts or PureWindowsPath(name).drive:
        raise DataError(f'{place}: the path {name!r} leaves {folder}; paths must stay inside it')
    found = str(folder / path)
    if not name.isascii() and not os.path.exists(found):
        # Systems spell letters with accents unlike, and file systems tell the spellings apart.
        for form in ('NFC', 'NFD'):
            spelled = str(folder / unicodedata.normalize(form, str(path)))
            if os.path.exists(spelled):
                return spelled
    return found
