"""Checksums of a gallery's records, embeddings and files: CRC-32, which sees every flipped bit of one of them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmosnet.errors import DataError

# Columns of a record that its checksum leaves out: the row, which compacting changes, and itself.
UNCOUNTED = ('row', 'checksum')
# Bytes of a file read at once.
PIECE = 1 << 22


@dataclass(frozen=True)
class DamagedImage:
    """An image whose checksums do not hold.

    Attributes:
        id: Number of the image in the gallery.
        path: As its record has it now, which may be what is damaged.
        part: ``'record'``, ``'embedding'``, or ``'row'``, by which the record finds its embedding.
    """

    id: int
    path: str
    part: str


@dataclass(frozen=True)
class GalleryCheck:
    """What a gallery's check has found.

    Attributes:
        images: Number of checked images.
        damaged: Images whose checksums do not match.
        files: By file and part what was found: an empty text if all is well, else what is wrong with it.
        unchecked: What the gallery has no checksum of, with the reason.
    """

    images: int
    damaged: tuple[DamagedImage, ...]
    files: dict[str, str]
    unchecked: dict[str, str]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damaged and not any(self.files.values())


def record_checksum(names: Sequence[str], values: Sequence) -> int:
    """Return the checksum of a record.

    All columns count, whichever there are, by name and value. NULL does not, so that a column which a later version
    adds leaves the checksums as they are.

    Args:
        names: Names of the table's columns.
        values: Values as SQLite returns them.
    """
    pairs = [pair for pair in zip(names, values, strict=True) if pair[1] is not None and pair[0] not in UNCOUNTED]
    # ASCII is the same in every version of Python, and has a form for bytes that are no text.
    return zlib.crc32(ascii(pairs).encode('ascii'))


def vector_checksums(vectors: np.ndarray) -> list[int]:
    """Return the checksum of each row of ``(N, D)`` float32, as its bytes are in the file."""
    return [zlib.crc32(row) for row in np.ascontiguousarray(vectors, '<f4')]


def file_checksum(path: Path) -> int:
    """Return the checksum of a file."""
    checksum = 0
    with path.open('rb') as file:
        while piece := file.read(PIECE):
            checksum = zlib.crc32(piece, checksum)
    return checksum


def text_checksum(*texts: str) -> int:
    """Return the checksum of texts."""
    return zlib.crc32('\0'.join(texts).encode('utf-8', 'surrogatepass'))


def damage_error(gallery: str | Path, image: DamagedImage) -> DataError:
    """Return the error to raise for a damaged image; it names the image and the remedy."""
    return DataError(
        f'{gallery}: the {image.part} of image {image.id} ({image.path!r}) is damaged, its checksum does not hold: '
        f'restore the gallery, or `mmosnet gallery delete {gallery} --id {image.id}` and enroll the image '
        f'again; `mmosnet gallery check {gallery}` finds all that are damaged'
    )
