"""Find images and videos in folders, and tell what kind of file a file is.

What image and video files are called, and how folders are walked for them: one list and one way for the package.

What a file that should hold a model is instead, told by its first bytes, and what to do about it. Needs no torch.

What kind of image a file holds, told by its first bytes, and what to do about kinds that are not read.

A decoder is only started for the kind that was found: Pillow left to itself tries all it has, and hands PostScript to
the program Ghostscript.
"""

from __future__ import annotations

import json
import logging
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

from mmosnet.errors import DataError

# What mmosnet.io.images reads.
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


def spread(items: Sequence, number: int) -> list:
    """Choose at most ``number`` items at even distances, the first one included."""
    number = min(number, len(items))
    return [items[i * len(items) // number] for i in range(number)]


def same_name(name: str) -> str:
    """Return a name in Unicode form NFC, in which equal names are equal: macOS and Linux differ."""
    return unicodedata.normalize('NFC', name)


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


# Regular expressions of what files of the kinds that are read begin with, and what Pillow calls these.
READ_KINDS = {
    rb'\xff\xd8\xff': 'JPEG',
    rb'\x89PNG\r\n\x1a\n': 'PNG',
    rb'RIFF....WEBP': 'WEBP',
    rb'BM': 'BMP',
    rb'GIF8[79]a': 'GIF',
    rb'II[*+]\x00(?!....CR)|MM\x00[*+]': 'TIFF',
    rb'P[1-6fF]\s': 'PPM',
    rb'\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51': 'JPEG2000',
    rb'....ftyp(avif|avis|.{4,60}avif)': 'AVIF',
}
CONVERT = 'convert it to JPEG or PNG'
RAW = f'a raw photo of a camera: {CONVERT}'
OTHER_KINDS = {
    rb'....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)': f'a HEIC photo, as iPhones take: {CONVERT}',
    rb'....ftypcrx |II[*]\x00....CR|FUJIFILMCCD-RAW|IIU\x00|IIR[OS]|MMOR|\x00MRM': RAW,
    rb'....ftyp|\x1aE\xdf\xa3|RIFF....AVI |\x00\x00\x01\xba|FLV\x01': 'a video: give it a suffix of videos, as .mp4',
    rb'\xff\x0a|\x00\x00\x00\x0cJXL \r\n\x87\n': f'a JPEG XL image: {CONVERT}',
    rb'%!PS|\xc5\xd0\xd3\xc6': f'PostScript, a program that draws: {CONVERT}',
    rb'%PDF': 'a PDF: save its pages as PNG',
    rb'v/1\x01': f'an OpenEXR image, of floating-point numbers: {CONVERT}',
    rb'#\?(RADIANCE|RGBE)': f'a Radiance HDR image, of floating-point numbers: {CONVERT}',
    rb'8BPS': f'a Photoshop file: {CONVERT}',
    rb'\x00\x00[\x01\x02]\x00': f'an icon: {CONVERT}',
    rb'DDS |qoif|SIMPLE  =|.{128}DICM': f'an image of a kind that is not read (DDS, QOI, FITS, DICOM): {CONVERT}',
    rb'PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ': 'an archive: unpack it',
    rb'\x89HDF': 'an HDF5 file',
    rb'version https://git-lfs': 'a pointer of git-lfs: download the file itself, git lfs pull',
    rb'(\xef\xbb\xbf)?\s*(<[?!][^>]*>\s*)*<svg': f'an SVG drawing: {CONVERT}',
    rb'(?i)(\xef\xbb\xbf)?\s*(<[?!][^>]*>\s*)*<(!doctype html|html|head|body)': 'a web page: download the image itself',
}
UNKNOWN = 'no image of a kind that is read: JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, JPEG 2000, PPM'


def image_kind(head: bytes) -> str:
    """Tell which decoder an image needs.

    Args:
        head: The first :data:`HEAD_BYTES` of a file, or all of it.

    Returns:
        Pillow's name of the format, one of :data:`READ_KINDS`.

    Raises:
        ValueError: A kind that is not read; says which and what to do.
    """
    head = head[:HEAD_BYTES]
    for start, kind in (*READ_KINDS.items(), *OTHER_KINDS.items()):
        if re.match(start, head, re.DOTALL):
            if kind in READ_KINDS.values():
                return kind
            raise ValueError(kind)
    if not head:
        raise ValueError('an empty file')
    raise ValueError('zeros, as an interrupted copy leaves' if not head.strip(b'\0') else UNKNOWN)
