"""PNGs that every decoder gives the same pixels of: 8 bits, grey or RGB, no transparency, not interlaced, undamaged."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b'\x89PNG\r\n\x1a\n'
# Number of channels by colour type (ISO/IEC 15948, 11.2.2).
CHANNELS = {0: 1, 2: 3}
# Transparency and animation.
REFUSED = (b'tRNS', b'acTL')


def is_plain_png(data: bytes, max_pixels: float) -> bool:
    """Whether a file is such a PNG and whole: all checksums are right, and all rows are there.

    OpenCV gives what it could decode of a damaged file, in some versions without a word.

    Args:
        data: The file.
        max_pixels: More are refused: a small file can fill the memory.
    """
    if not data.startswith(SIGNATURE):
        return False
    chunks = list(_chunks(data))
    kinds = [kind for kind, _ in chunks]
    if kinds[:1] != [b'IHDR'] or kinds[-1] != b'IEND' or len(chunks[0][1]) != 13 or set(kinds) & set(REFUSED):
        return False
    width, height, depth, colour, _, _, interlaced = struct.unpack('>IIBBBBB', chunks[0][1])
    if depth != 8 or colour not in CHANNELS or interlaced or not 0 < width * height <= max_pixels:
        return False
    # Every row begins with the number of its filter.
    wanted = height * (1 + width * CHANNELS[colour])
    inflate = zlib.decompressobj()
    try:
        rows = inflate.decompress(b''.join(content for kind, content in chunks if kind == b'IDAT'), wanted + 1)
    except zlib.error:
        return False
    return len(rows) == wanted


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk, up to the last one or to the first with a wrong checksum."""
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from('>I', data, position)
        kind, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        checksum = data[position + 8 + length : position + 12 + length]
        if checksum != struct.pack('>I', zlib.crc32(kind + content)):
            return
        yield kind, content
        if kind == b'IEND':
            return
        position += 12 + length
