"""Writing files: complete under their name, or not at all, and never at the cost of what was there before."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

# A killed process leaves its draft. One that nobody has written to for an hour is nobody's.
ABANDONED_SECONDS = 3600


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a draft to write, beside the file and with its suffix; what was written takes the file's name at the end.

    If the process is killed, the machine loses power or the disk is full, the file is what it was before. Two processes
    that write one file do not mix: the last one wins. Drafts begin with ``.draft-``; those of killed processes are
    removed after an hour by the next one that writes into the folder.

    Args:
        path: The file; its folder is made.

    Raises:
        OSError: It cannot be written, as on a full disk; names the file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path.parent)
    draft = path.with_name(f'.draft-{uuid4().hex[:12]}-{path.name}')
    try:
        yield draft
        _sync(draft)
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as e:
        # Of an error while writing Python knows no name; the draft's would say nothing to a user.
        if e.errno is not None and e.filename in (None, str(draft)):
            raise OSError(e.errno, e.strerror, str(path)) from e
        raise
    finally:
        draft.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Wait until names of new files in a folder are on the disk."""
    # Windows opens no folders, and has no need to.
    if os.name == 'posix':
        _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() or os.name == 'posix' else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_abandoned(folder: Path) -> None:
    for draft in folder.glob('.draft-*'):
        # Another process may remove it at the same time.
        with suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime > ABANDONED_SECONDS:
                draft.unlink()
