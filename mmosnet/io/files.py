"""Write files completely or not at all, read JSON strictly, and add checksums to exported files.

A checksum at the end of each exported file covers all bytes before it, so that a changed bit is reported. No runtime
looks for damage within weights, and a changed weight gives other embeddings under the same ``weights`` digest. Each
format has a free place for it: an entry of ONNX's ``metadata_props``, a comment in OpenVINO's ``.xml``, the comment of
TorchScript's zip archive. It detects accidents, not manipulation: anyone can compute it again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from mmosnet.errors import DataError

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows, which removes no file that is open
    flock = None

# A killed process leaves its draft. The draft of another file counts as abandoned after an hour without a write.
ABANDONED_SECONDS = 3600
# Bytes of a file's name that all common file systems allow.
LONGEST_NAME = 255
# Written to find out why a library could not write; more than a full disk has left in its last block.
PROBE = bytes(1 << 20)

CHECKSUM = 'sha256'
CHECKSUM_NAME = b'mmosnet.sha256'
HEX_DIGITS = 64
# Bytes between the name and the digits, and after these.
FRAMES = {
    # In ONNX's protobuf: the value of an entry, 64 bytes.
    '.onnx': (b'\x12\x40', b''),
    '.xml': (b' ', b' -->\n'),
    '.pt': (b' ', b''),
}
ZIP_END = b'PK\x05\x06'
ZIP_END_BYTES = 22


@contextmanager
def utf8_path(path: str | Path) -> Iterator[str]:
    """Yield a path in UTF-8 by which a file can be opened: OpenCV ends the process at names in other encodings.

    Args:
        path: The file, which need not exist. For a name that is not UTF-8, a link in a temporary folder is yielded.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory(prefix='mmosnet-') as folder:
            suffix = Path(path).suffix
            link = Path(folder, 'file' + suffix if suffix.isascii() else 'file')
            link.symlink_to(os.path.abspath(path))
            yield str(link)
    else:
        yield str(path)


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield the path of a draft, beside the file and with its suffix; at the end the draft replaces the file.

    If the process is killed, the machine loses power or the disk is full, the file stays as it was. If two processes
    write one file, the last one wins. Names of drafts begin with ``.draft-``; the next process that writes the file
    removes those of killed processes. A symbolic link stays one, and the file keeps its permissions. A path that is no
    regular file, such as ``/dev/stdout``, gets the content at the end.

    Args:
        path: The file; its folder is created.

    Raises:
        OSError: The file cannot be written, for example because the disk is full; names the file. Errors of libraries
            that have this cause are converted.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        with _copied_to(path) as draft:
            yield draft
        return
    # The target of a link: the draft must be on the same disk.
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        # Renaming would check only the permission of the folder.
        with target.open('r+b'):
            pass
    with _draft(target) as draft, _named(path, draft):
        yield draft
        # Some file systems have no permissions.
        with suppress(OSError):
            shutil.copymode(target, draft)
        _sync(draft)
        draft.replace(target)
        sync_folder(target.parent)


def check_writable(path: str | Path) -> None:
    """Raise an error before a long computation if its file cannot be written; create the file's folder.

    Raises:
        OSError: Same as in :func:`whole_file`.
    """
    with suppress(_NothingToWrite), whole_file(path) as draft:
        # On a full disk an empty file can still be created.
        draft.write_bytes(bytes(1000))
        raise _NothingToWrite


class _NothingToWrite(Exception):
    """Ends :func:`whole_file` without a file."""


@contextmanager
def draft_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside a file or folder, from whose content this is made; remove it at the end.

    Folders of killed processes are removed, like the drafts of :func:`whole_file`.

    Args:
        path: File or folder to create; its parent folder is created.

    Raises:
        OSError: Something in the folder cannot be written; names the path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _draft(path, is_folder=True) as draft, _named(path, draft):
        yield draft


def sync_folder(folder: Path) -> None:
    """Wait until the names of new files in a folder are on the disk."""
    # Windows cannot open folders, and does not need this.
    if os.name == 'posix':
        try:
            _sync(folder)
        except OSError as e:
            # Some network drives do not support it.
            if e.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise


@contextmanager
def _copied_to(path: Path) -> Iterator[Path]:
    """Yield a draft in a temporary folder, and copy it into a device or a pipe."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / path.name
        with _named(path, draft):
            yield draft
            with path.open('wb') as file:
                file.write(draft.read_bytes())


@contextmanager
def _named(path: Path, draft: Path) -> Iterator[None]:
    """Replace the name of the draft in system errors by that of the file, which the user knows."""
    try:
        yield
    except OSError as e:
        fault = e if e.errno is not None else _fault(draft)
        if fault is None or not str(fault.filename or draft).startswith(str(draft)):
            raise
        raise OSError(fault.errno, fault.strerror, str(path)) from e
    except RuntimeError as e:
        # Raised by torch and OpenVINO without the system's reason.
        fault = _fault(draft)
        if fault is None:
            raise
        raise OSError(fault.errno, fault.strerror, str(path)) from e


def _fault(draft: Path) -> OSError | None:
    """Return the system error that prevents writing more into a draft."""
    try:
        with (draft / 'probe' if draft.is_dir() else draft).open('ab') as file:
            file.write(PROBE)
            file.flush()
            os.fsync(file.fileno())
    except OSError as e:
        return e
    return None


def _short(name: str) -> str:
    """Return the end of a file name, short enough for the prefix of drafts."""
    while len(os.fsencode(name)) > LONGEST_NAME - len('.draft-') - 13:
        name = name[1:]
    return name


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() or os.name == 'posix' else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _draft(path: Path, is_folder: bool = False) -> Iterator[Path]:
    """Create an empty draft beside a path and lock it, so that other processes do not remove it as abandoned."""
    _remove_abandoned(path)
    draft = path.with_name(f'.draft-{uuid4().hex[:12]}-{_short(path.name)}')
    descriptor = None
    try:
        # Until it is locked, another process may remove it.
        while descriptor is None or not draft.exists():
            if is_folder:
                draft.mkdir()
            else:
                draft.touch()
            if descriptor:
                os.close(descriptor)
                descriptor = None
            with suppress(FileNotFoundError):
                descriptor = _lock(draft)
        yield draft
    except OSError as e:
        if descriptor is None and e.errno is not None:
            raise OSError(e.errno, e.strerror, str(path)) from e
        raise
    finally:
        # On a read-only disk even removing a missing file raises an error.
        with suppress(OSError):
            if is_folder:
                shutil.rmtree(draft)
            else:
                draft.unlink()
        if descriptor:
            os.close(descriptor)


def _lock(draft: Path) -> int:
    """Lock a draft, after the process that is just removing it; without locks in the file system do nothing."""
    descriptor = os.open(draft, os.O_RDONLY) if flock else 0
    if flock:
        with suppress(OSError):
            flock(descriptor, LOCK_EX)
    return descriptor


def _remove_abandoned(path: Path) -> None:
    """Remove the drafts of killed processes: those of this path, and old ones of any other."""
    for draft in path.parent.glob('.draft-*'):
        # It is locked, or another process removes it at the same time.
        with suppress(OSError):
            own = draft.name.endswith(f'-{_short(path.name)}')
            old = time.time() - draft.stat().st_mtime > ABANDONED_SECONDS
            if own or old:
                _remove_unlocked(draft)


def _remove_unlocked(draft: Path) -> None:
    """Remove a draft, holding its lock: a process that has just created it waits for the lock, and creates it again.

    Raises:
        OSError: The draft is locked, or not there.
    """
    descriptor = os.open(draft, os.O_RDONLY) if flock else 0
    try:
        if flock:
            flock(descriptor, LOCK_EX | LOCK_NB)
        if draft.is_dir():
            shutil.rmtree(draft)
        else:
            draft.unlink()
    finally:
        if descriptor:
            os.close(descriptor)


def read_json(path: Path, remedy: str) -> Any:
    """Read a JSON file in UTF-8, UTF-16 or UTF-32.

    Args:
        path: The file.
        remedy: Advice on a file that cannot be used, for error messages.

    Raises:
        DataError: The file is no JSON, nested too deeply, or has an object with a key twice, of which ``json`` would
            keep the last.
        OSError: It is missing, or cannot be read.
    """
    data = path.read_bytes()
    try:
        return json.loads(data.decode(json.detect_encoding(data)), object_pairs_hook=_object)
    except ValueError as e:
        raise DataError(f'{path} is no JSON ({e}); {remedy}') from e
    except RecursionError as e:
        raise DataError(f'{path} is nested too deeply; {remedy}') from e


def _object(pairs: list[tuple[str, object]]) -> dict:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f'an object has the key {twice[:60]!r} twice')
    return content


def add_checksum(path: Path) -> None:
    """Add its checksum to an exported file; that of an ``.xml`` covers the ``.bin`` beside it.

    Raises:
        ValueError: A zip archive ends in another way than those of torch.
    """
    data = path.read_bytes()
    middle, end = FRAMES[path.suffix]
    size = len(CHECKSUM_NAME) + len(middle) + HEX_DIGITS
    if path.suffix == '.onnx':
        # Concatenated protobuf messages are merged: field 14 of the model, field 1 of the entry.
        data += bytes([14 << 3 | 2, size + 2, 1 << 3 | 2, len(CHECKSUM_NAME)])
    elif path.suffix == '.xml':
        data += b'<!-- '
    elif data[-ZIP_END_BYTES:].startswith(ZIP_END):
        # The last field is the length of the comment.
        data = data[:-2] + size.to_bytes(2, 'little')
    else:
        raise ValueError(f'{path} does not end as zip archives do')
    path.write_bytes(data + CHECKSUM_NAME + middle + _digest(data, path) + end)


def check_checksum(path: Path) -> bool:
    """Compare an exported file with its checksum.

    Returns:
        Whether it has a checksum; files of earlier versions have none.

    Raises:
        DataError: The checksum differs.
        FileNotFoundError: The ``.bin`` of an ``.xml`` is missing.
    """
    data = path.read_bytes()
    middle, end = FRAMES[path.suffix]
    at = data.rfind(CHECKSUM_NAME, max(0, len(data) - 200))
    if at < 0:
        return False
    if data[at + len(CHECKSUM_NAME) :] != middle + _digest(data[:at], path) + end:
        beside = f' or {path.with_suffix(".bin").name}' if path.suffix == '.xml' else ''
        raise DataError(f'{path}{beside} is damaged, its checksum differs: copy or export it again')
    return True


def _digest(data: bytes, path: Path) -> bytes:
    digest = hashlib.sha256(data)
    if path.suffix == '.xml':
        digest.update(path.with_suffix('.bin').read_bytes())
    return digest.hexdigest().encode()
