"""What image and video files are called, and how folders are walked for them: one list and one way for the package."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmosnet.errors import DataError

# What mmosnet.runtime.image_reading reads.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
VIDEO_SUFFIXES = ('.mp4', '.avi', '.mkv', '.mov', '.m4v', '.webm', '.mpg', '.mpeg', '.ts', '.wmv', '.flv')


class FoundFiles(NamedTuple):
    """What a walk through a folder found.

    Attributes:
        files: Those asked for, sorted by their paths.
        left_out: Number of other files by suffix; those whose names begin with a dot are not counted.
    """

    files: list[Path]
    left_out: Counter[str]

    def left_out_text(self) -> str:
        """What was left out, for a user to read: ``3 .heic, 1 .txt``; empty if that is nothing."""
        return ', '.join(f'{count} {suffix or "without a suffix"}' for suffix, count in self.left_out.most_common())


def find_files(folder: str | Path, suffixes: Sequence[str] = IMAGE_SUFFIXES, below: bool = True) -> FoundFiles:
    """Find the files with certain suffixes in a folder; names that begin with a dot are passed over.

    Symbolic links are followed: who can write into a folder of images decides what is read. A folder that is reached
    by two ways is walked once.

    Args:
        folder: Where to look.
        suffixes: In small letters; those of files may have capitals.
        below: Look into its folders too.

    Raises:
        DataError: A symbolic link to a folder that it is in, or one that leads nowhere; names it.
        OSError: A folder that cannot be read.
    """
    files, left_out, walked = [], Counter(), set()

    def walk(place: Path, above: frozenset[str]) -> None:
        real = os.path.realpath(place)
        if real in above:
            raise DataError(f'{place} is a symbolic link to a folder that it is in ({real}): remove the link')
        if real in walked:
            return
        walked.add(real)
        for path in sorted(place.iterdir()):
            if path.name.startswith('.'):
                continue
            if path.is_dir():
                if below:
                    walk(path, above | {real})
            elif path.is_symlink() and not path.exists():
                raise DataError(f'{path} is a symbolic link to {os.readlink(path)}, which is missing: remove the link')
            elif path.suffix.lower() in suffixes:
                files.append(path)
            else:
                left_out[path.suffix.lower()] += 1

    walk(Path(folder), frozenset())
    return FoundFiles(sorted(files), left_out)


def same_name(name: str) -> str:
    """A name in the one Unicode spelling in which equal names are equal (NFC): macOS and Linux spell ``Zoë`` unlike."""
    return unicodedata.normalize('NFC', name)
