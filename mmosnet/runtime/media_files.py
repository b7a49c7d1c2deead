"""What image and video files are called, and how folders are walked for them: one list and one way for the package."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mmosnet.errors import DataError

# What mmosnet.runtime.image_reading reads.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')
VIDEO_SUFFIXES = ('.mp4', '.avi', '.mkv', '.mov', '.m4v', '.webm', '.mpg', '.mpeg', '.ts', '.wmv', '.flv')
# Windows writes these into folders of pictures, without the dot that hides a file elsewhere.
SYSTEM_FILES = ('thumbs.db', 'desktop.ini')
# Kinds of files left out that are named.
MOST_NAMED = 8
# Without torch there is no MMLogger.
LOGGER = logging.getLogger('mmosnet')


class FoundFiles(NamedTuple):
    """What a walk through a folder found.

    Attributes:
        files: Requested files, sorted by path.
        left_out: Number of other files by suffix, without hidden ones; ``'/'`` counts folders that were not walked.
        linked: Symbolic links to folders that were read already.
    """

    files: list[Path]
    left_out: Counter[str]
    linked: list[Path]

    def left_out_text(self) -> str:
        """Return the number of skipped files by suffix: ``3 .heic, 1 .txt``; empty if there are none."""
        names = {'': 'without a suffix', '/': 'folders'}
        kinds = self.left_out.most_common()
        texts = [f'{count:,} {names.get(kind, kind if kind.isprintable() else ascii(kind))}' for kind, count in kinds]
        if len(texts) > MOST_NAMED:
            number = sum(count for _, count in kinds[MOST_NAMED:])
            texts[MOST_NAMED:] = [f'{number:,} of {len(texts) - MOST_NAMED} other kinds']
        if self.linked:
            texts.append(f'{len(self.linked)} links to folders that are read already, the first {self.linked[0]}')
        return ', '.join(texts)


def find_files(folder: str | Path, suffixes: Sequence[str] = IMAGE_SUFFIXES, below: bool = True) -> FoundFiles:
    """Find the files with certain suffixes in a folder; hidden files are skipped.

    Symbolic links are followed: who can write into a folder of images decides what is read. A folder that is reached
    in two ways is read once, by its own path rather than by a link.

    Args:
        folder: Folder to search.
        suffixes: Suffixes in lower case; those of files may be in upper case.
        below: Look into its folders too.

    Raises:
        DataError: A symbolic link to a folder that it is in, or one that leads nowhere; names it.
        OSError: A folder that cannot be read.
    """
    files, left_out, linked = [], Counter(), []
    # By the real path of a folder the folders in it, each with the path by which it was reached.
    inside: dict[str, dict[str, Path]] = {}
    folders, links = [(Path(folder), os.path.realpath(folder))], []
    while folders or links:
        place, real = folders.pop() if folders else links.pop(0)
        if real in inside:
            linked.append(place)
            continue
        inside[real] = {}
        with os.scandir(place) as entries:
            shown = [e for e in entries if not e.name.startswith('.') and e.name.lower() not in SYSTEM_FILES]
        for entry in sorted(shown, key=lambda entry: entry.name):
            path, linked_to = place / entry.name, os.readlink(entry.path) if entry.is_symlink() else None
            if linked_to is not None and not os.path.exists(path):
                raise DataError(f'{path} is a symbolic link to {linked_to}, which is missing: remove the link')
            if entry.is_dir() and not below:
                left_out['/'] += 1
            elif entry.is_dir():
                target = os.path.join(real, entry.name) if linked_to is None else os.path.realpath(path)
                inside[real][target] = path
                (folders if linked_to is None else links).append((path, target))
            elif path.suffix.lower() in suffixes and entry.is_file():
                files.append(path)
            else:
                left_out[path.suffix.lower()] += 1
    _refuse_loops(inside)
    return FoundFiles(sorted(files), left_out, linked)


def _refuse_loops(inside: dict[str, dict[str, Path]]) -> None:
    """Refuse folders that link back to a folder above them, by a depth-first search."""
    top = next(iter(inside))
    way, on_way, done = [(top, iter(inside[top].items()))], {top}, set()
    while way:
        real, rest = way[-1]
        below, path = next(rest, (None, None))
        if below is None:
            way.pop()
            on_way.remove(real)
            done.add(real)
        elif below in on_way:
            raise DataError(f'{path} is a symbolic link to a folder that it is in ({below}): remove the link')
        elif below not in done:
            way.append((below, iter(inside[below].items())))
            on_way.add(below)


def images_in(folder: str | Path, say: Callable[[str], object] = LOGGER.warning) -> list[str]:
    """List all images in and below a folder, sorted by path; report the number of other files.

    Args:
        folder: Folder to search as :func:`find_files` does.
        say: Takes a line for the user.

    Raises:
        DataError: There is none.
    """
    found = find_files(folder)
    text, kinds = found.left_out_text(), ', '.join(IMAGE_SUFFIXES)
    if not found.files:
        others = f', but {text}' if text else ''
        raise DataError(f'{folder} holds no image ({kinds}){others}: name the folder that does')
    if text:
        say(f'{folder}: {len(found.files):,} images, left out {text}; images are {kinds}')
    return [str(path) for path in found.files]


def same_name(name: str) -> str:
    """Return a name in Unicode form NFC, in which equal names are equal: macOS and Linux differ."""
    return unicodedata.normalize('NFC', name)
