"""Uploads are read as a viewer shows them or refused in a sentence; galleries' pictures come from their folders."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmosnet.demo import pictures
from mmosnet.demo.pictures import ShownPictures, pixel_digest, read_uploaded
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


@pytest.mark.parametrize('kind', pictures.FORMATS)
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
        (b'', 'can be read: give a file in JPEG, PNG, WEBP, BMP'),
        (b'#!/bin/sh\nrm -rf /\n', 'not a picture'),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', 'not a picture'),
        (encoded('GIF', np.zeros((64, 64, 3), np.uint8)), 'not a picture'),
        (encoded('TIFF', np.zeros((64, 64, 3), np.uint8)), 'not a picture'),
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
    monkeypatch.setattr(pictures, 'MAX_BYTES', 2**20)
    (tmp_path / 'upload.png').write_bytes(b'\0' * (3 * 2**20))
    with pytest.raises(DataError, match='3 MiB, more than the 1 MiB'):
        read_uploaded(tmp_path / 'upload.png')
    with pytest.raises(DataError, match='no longer there'):
        read_uploaded(tmp_path / 'gone.png')


def test_deleting_a_drawn_person_leaves_the_picture(tmp_path):
    kept = ShownPictures([tmp_path / 'people'], tmp_path / 'enrolled')
    (tmp_path / 'people').mkdir()
    (tmp_path / 'people' / 'a.jpg').write_bytes(b'picture')
    (path,) = kept.new_paths(7, 1)
    with kept.kept([np.zeros((4, 4, 3), np.uint8)], [path]):
        assert not Path(path).exists()
    assert kept.may_keep(7) and not kept.may_keep(77)
    kept.forget([str(tmp_path / 'people' / 'a.jpg'), path, '/nowhere/a.png'])
    assert (tmp_path / 'people' / 'a.jpg').exists() and not Path(path).exists()


def test_pictures_come_from_their_folders_only(tmp_path):
    inside, outside = tmp_path / 'inside', tmp_path / 'outside'
    image = np.random.RandomState(0).randint(0, 256, (20, 10, 3), np.uint8)
    for folder in (inside, outside):
        folder.mkdir()
        (folder / 'a.png').write_bytes(cv2.imencode('.png', image)[1].tobytes())
    (inside / 'link.png').symlink_to(outside / 'a.png')
    (inside / 'text.png').write_text('no picture')
    shown = ShownPictures([inside], inside / 'enrolled')
    assert np.array_equal(shown.read(str(inside / 'a.png')), image)
    assert np.array_equal(shown.read(f'{inside}/a.png#xywh=2,3,4,5'), image[3:8, 2:6])
    refused = [outside / 'a.png', inside / '..' / 'outside' / 'a.png', inside / 'link.png', '/etc/passwd', 'a\0b', '']
    refused += [inside / 'gone.png', inside / 'text.png', f'{inside}/a.png#xywh=9,9,90,90', inside]
    assert [shown.read(str(path)) for path in refused] == [None] * len(refused)


def test_pictures_are_kept_all_or_none(tmp_path, monkeypatch):
    kept, write, left = ShownPictures([], tmp_path / 'enrolled'), Path.write_bytes, [2]
    blank = np.zeros((4, 4, 3), np.uint8)

    def full(path, content):
        left[0] -= 1
        if left[0] < 0:
            write(path, content[:10])
            raise OSError(28, 'No space left on device', str(path))
        return write(path, content)

    monkeypatch.setattr(Path, 'write_bytes', full)
    with pytest.raises(OSError, match='No space left'), kept.kept([blank] * 3, kept.new_paths(7, 3)):
        raise AssertionError('the third picture was written')
    assert not list(kept.enrolled.iterdir())


def test_digests_tell_pixels_and_sizes_apart():
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert pixel_digest(image) == pixel_digest(image[:, ::-1][:, ::-1]) == pixel_digest(image.copy())
    others = [image.reshape(4, 2, 3), image[::-1], image[:1], image ^ 1]
    assert len({pixel_digest(one) for one in (image, *others)}) == 5
