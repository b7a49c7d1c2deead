"""What a file that should hold a model is instead, told by its first bytes, and what to do about it. Needs no torch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

HEAD_BYTES = 4096
# torch writes one entry per tensor into its archives. To list a million takes half a minute.
MOST_ENTRIES = 100_000


class FileKind(NamedTuple):
    """What a file is.

    Attributes:
        name: ``'checkpoint'`` (of torch, a zip archive), ``'legacy checkpoint'`` (of torch before 1.6),
            ``'TorchScript'``, ``'OpenVINO'`` (its .xml), ``'unknown'`` (an ONNX file has no mark of its own); of what
            is no model, words for a user, as ``'a web page'``.
        remedy: Advice on a file that is no model; empty for models.
    """

    name: str
    remedy: str = ''

    def __str__(self) -> str:
        return f'{self.name}: {self.remedy}' if self.remedy else self.name


DOWNLOAD = 'download the file itself'
AGAIN = 'download or copy it again'
UNPACK = 'unpack it and name the file that is in it'
SAVE = "load it where it was written and save its weights with torch.save(model.state_dict(), 'weights.pth')"
# First bytes, and where they stand.
MAGICS = (
    (0, b'\x1f\x8b', FileKind('a gzip archive', UNPACK)),
    (0, b'BZh', FileKind('a bzip2 archive', UNPACK)),
    (0, b'\xfd7zXZ\x00', FileKind('an xz archive', UNPACK)),
    (0, b'(\xb5/\xfd', FileKind('a zstd archive', UNPACK)),
    (0, b'7z\xbc\xaf\x27\x1c', FileKind('a 7z archive', UNPACK)),
    (0, b'Rar!\x1a\x07', FileKind('a rar archive', UNPACK)),
    (257, b'ustar', FileKind('a tar archive', UNPACK)),
    (0, b'\x89HDF\r\n\x1a\n', FileKind('an HDF5 file, as Keras writes them', SAVE)),
    (4, b'TFL3', FileKind('a TensorFlow Lite model', 'name a checkpoint of torch')),
    (0, b'GGUF', FileKind('a GGUF model', 'name a checkpoint of torch')),
    (0, b'\x93NUMPY', FileKind('a numpy array', 'name a checkpoint of torch')),
    (0, b'%PDF', FileKind('a PDF', 'name the file of the model')),
    (0, b'\xff\xd8\xff', FileKind('a JPEG image', 'name the file of the model')),
    (0, b'\x89PNG\r\n', FileKind('a PNG image', 'name the file of the model')),
    (0, b'SQLite format 3\x00', FileKind('an SQLite database', 'name the file of the model')),
    (0, b'\x7fELF', FileKind('a program', 'name the file of the model')),
    (0, b'version https://git-lfs.github.com/', FileKind('a pointer of git-lfs', f'{DOWNLOAD}, git lfs pull')),
    # torch's legacy format begins with a pickled number of its own.
    (2, b'\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.', FileKind('legacy checkpoint')),
)


def file_kind(path: str | Path) -> FileKind:
    """Tell what kind of file is given as a model.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: There is none.
        OSError: It cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        return FileKind('a folder', 'name the file in it')
    with path.open('rb') as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return FileKind('an empty file', f'{AGAIN}, or take an earlier checkpoint')
    if not head.strip(b'\x00') and not _has_data(path):
        return FileKind('a file of zeros', f'its writing or copying was interrupted: {AGAIN}')
    for place, magic, kind in MAGICS:
        if head[place : place + len(magic)] == magic:
            return kind
    if head.startswith(b'PK\x03\x04') or head.startswith(b'PK\x05\x06'):
        return _zip_kind(path)
    if head[8:9] == b'{' and int.from_bytes(head[:8], 'little') < path.stat().st_size:
        return FileKind(
            'a safetensors file',
            'rewrite it with import safetensors.torch, torch; '
            f"torch.save(safetensors.torch.load_file('{path.name}'), '{path.stem}.pth')",
        )
    if head[:1] == b'\x80' and head[1:2] in b'\x00\x01\x02\x03\x04\x05':
        return FileKind('a pickle of another program', SAVE)
    return _text_kind(head)


def _has_data(path: Path) -> bool:
    """Return whether a file has a byte that is not zero."""
    with path.open('rb') as file:
        while chunk := file.read(1 << 20):
            if chunk.strip(b'\x00'):
                return True
    return False


def _zip_entries(path: Path) -> int:
    """Return the number of entries that the end of a zip archive states; 0 without an end."""
    with path.open('rb') as file:
        # A comment of at most 64 KiB may follow; archives of more than 65,535 entries have a second end before.
        file.seek(max(0, path.stat().st_size - (1 << 16) - 128))
        tail = file.read()
    end = tail.rfind(b'PK\x05\x06')
    number = int.from_bytes(tail[end + 10 : end + 12], 'little') if end >= 0 else 0
    if number == 0xFFFF and (end := tail.rfind(b'PK\x06\x06', 0, end)) >= 0:
        number = int.from_bytes(tail[end + 32 : end + 40], 'little')
    return number


def _zip_kind(path: Path) -> FileKind:
    number = _zip_entries(path)
    if number > MOST_ENTRIES:
        return FileKind(f'a zip archive of {number} entries, more than torch writes', 'name the file of the model')
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
    except (BadZipFile, ValueError, NotImplementedError):
        # torch says what is wrong with it; most are cut off.
        return FileKind('checkpoint')
    # At the top, or in the one folder that torch makes.
    inner = {name.partition('/')[2] for name in names}
    if 'data.pkl' in inner:
        return FileKind('TorchScript' if 'constants.pkl' in inner else 'checkpoint')
    if any(name.endswith(('.keras', 'model.weights.h5')) for name in names):
        return FileKind('a Keras model', SAVE)
    return FileKind('a zip archive of something else', UNPACK)


def _text_kind(head: bytes) -> FileKind:
    """Return the kind of a file without magic bytes."""
    if head[:3] == b'\xef\xbb\xbf' or not head.startswith((b'\xff\xfe', b'\xfe\xff')):
        text = head.decode('utf-8-sig', errors='replace')
    else:
        text = head.decode('utf-16', errors='replace')
    text = text.strip()
    # Comments may stand before everything.
    start = re.sub(r'^(<!--.*?-->\s*|<\?xml.*?\?>\s*)+', '', text, flags=re.DOTALL).lower()
    if re.match(r'<(!doctype\s+html|html|head|body|script|meta|title)\b', start):
        return FileKind('a web page', DOWNLOAD)
    if re.match(r'<net\b', start):
        return FileKind('OpenVINO')
    if start.startswith('<') and re.match(r'<[\w!?]', start):
        error = re.search(r'<code>([\w.]+)</code>', start) if start.startswith('<error') else None
        named = f'the error {error[1]} of a server' if error else 'an XML text, perhaps the error of a server'
        return FileKind(named, DOWNLOAD)
    if re.match(r'(\.\./)*\.?/?(annex/objects|\.git/annex)', text):
        return FileKind('a pointer of git-annex', f'{DOWNLOAD}, git annex get')
    if text[:1] in ('{', '[') and _looks_like_json(text):
        return FileKind('a JSON text, perhaps the answer of a server', DOWNLOAD)
    if '\ufffd' not in text and not re.search(r'[\x00-\x08\x0e-\x1f]', text):
        return FileKind(f'a text ({text.splitlines()[0][:60]!r})' if text else 'a text', DOWNLOAD)
    return FileKind('unknown')


def _looks_like_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        # Longer than what was read of it.
        return re.match(r'[{\[]\s*(["{\[\d}\]-]|true|false|null)', text) is not None
    return True
