"""Pictures are read as their viewer sees them; everything else is refused in a sentence."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from mmosnet.demo import uploaded_image
from mmosnet.demo.uploaded_image import read_uploaded
from mmosnet.errors import DataError


def encoded(kind: str, image: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image[:, :, ::-1]).save(file, kind, **options)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG that promises a size."""
    header = b'IHDR' + struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    body = b'IDAT' + zlib.compress(b'\0' * 100)
    chunks = [struct.pack('>I', len(c) - 4) + c + struct.pack('>I', zlib.crc32(c)) for c in (header, body, b'IEND')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(chunks)


@pytest.fixture
def image():
    # Smooth, for the formats that lose something.
    return cv2.resize(np.random.RandomState(0).randint(0, 256, (4, 3, 3), np.uint8), (30, 40))


@pytest.mark.parametrize('kind', uploaded_image.FORMATS)
def test_formats(tmp_path, image, kind):
    (tmp_path / 'upload').write_bytes(encoded(kind, image, **dict(quality=95) if kind in ('JPEG', 'WEBP') else {}))
    found = read_uploaded(tmp_path / 'upload')
    assert found.shape == image.shape and found.dtype == np.uint8
    assert np.abs(found.astype(int) - image).mean() < (6 if kind in ('JPEG', 'WEBP') else 1e-9)


@pytest.mark.parametrize(('orientation', 'turns'), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_turned_as_the_camera_says(tmp_path, image, orientation, turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / 'upload.png').write_bytes(encoded('PNG', image, exif=exif))
    assert np.array_equal(read_uploaded(tmp_path / 'upload.png'), np.rot90(image, turns))


def test_grey_palette_and_transparency_become_bgr(tmp_path, image):
    for mode in ('L', 'P', 'RGBA', 'CMYK'):
        kind = 'JPEG' if mode == 'CMYK' else 'PNG'
        Image.fromarray(image).convert(mode).save(tmp_path / 'upload', kind)
        assert read_uploaded(tmp_path / 'upload').shape == (40, 30, 3)


JPEG = encoded('JPEG', np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize(
    ('data', 'reason'),
    [
        (b'', 'no picture that can be read: give a file in JPEG, PNG, WEBP, BMP'),
        (b'#!/bin/sh\nrm -rf /\n', 'no picture'),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', 'no picture'),
        (encoded('GIF', np.zeros((64, 64, 3), np.uint8)), 'no picture'),
        (encoded('TIFF', np.zeros((64, 64, 3), np.uint8)), 'no picture'),
        (JPEG[: len(JPEG) // 2], 'damaged'),
        (png_header(30000, 30000), 'too large'),
        (png_header(7000, 7000), '7000 x 7000 pixels; 40 million'),
        (encoded('PNG', np.zeros((300, 5, 3), np.uint8)), '5 x 300 pixels: too few'),
    ],
    ids=['empty', 'script', 'svg', 'gif', 'tiff', 'truncated', 'bomb', 'large', 'narrow'],
)
def test_refused_in_a_sentence(tmp_path, data, reason):
    path = tmp_path / 'upload.jpg'
    path.write_bytes(data)
    with pytest.raises(DataError, match=reason) as e:
        read_uploaded(path)
    assert str(tmp_path) not in str(e.value) and '\n' not in str(e.value)


def test_large_files_and_gone_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(uploaded_image, 'MAX_BYTES', 2**20)
    (tmp_path / 'upload.png').write_bytes(b'\0' * (3 * 2**20))
    with pytest.raises(DataError, match='3 MiB, more than the 1 MiB'):
        read_uploaded(tmp_path / 'upload.png')
    with pytest.raises(DataError, match='no longer there'):
        read_uploaded(tmp_path / 'gone.png')
