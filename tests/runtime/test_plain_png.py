import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mmosnet.runtime.plain_png import is_plain_png


def png(mode='RGB', **options):
    image = Image.fromarray(np.random.RandomState(0).randint(0, 256, (40, 20, 3), dtype=np.uint8)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, 'PNG', **options)
    return buffer.getvalue()


def with_header(data, **changes):
    """A file whose header says something else, with the right checksum."""
    names = ('width', 'height', 'depth', 'colour', 'compression', 'filters', 'interlaced')
    values = dict(zip(names, struct.unpack('>IIBBBBB', data[16:29]), strict=True)) | changes
    header = b'IHDR' + struct.pack('>IIBBBBB', *values.values())
    return data[:12] + header + struct.pack('>I', zlib.crc32(header)) + data[33:]


@pytest.mark.parametrize(('mode', 'plain'), [('RGB', True), ('L', True), ('1', False), ('P', False), ('RGBA', False)])
def test_kinds(mode, plain):
    assert is_plain_png(png(mode), 1e6) is plain


def test_refused():
    data = png()
    assert is_plain_png(data + b'appended', 800) and with_header(data) == data
    assert not is_plain_png(data, 799)
    assert not is_plain_png(png(transparency=(1, 2, 3)), 1e6)
    assert not is_plain_png(with_header(data, interlaced=1), 1e6)
    # One row more or less than there is.
    assert not is_plain_png(with_header(data, height=41), 1e6)
    assert not is_plain_png(with_header(data, height=39), 1e6)
    assert not is_plain_png(with_header(data, height=0), 1e6)
    for nothing in (b'', b'\x89PNG\r\n\x1a\n', b'text', data[:33]):
        assert not is_plain_png(nothing, 1e6)


def test_no_damaged_byte_passes():
    data, chosen = png(), random.Random(0)
    for _ in range(200):
        at = chosen.randrange(len(data))
        damaged = data[:at] + bytes([data[at] ^ chosen.randrange(1, 256)]) + data[at + 1 :]
        assert not is_plain_png(damaged, 1e6)
