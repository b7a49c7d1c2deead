"""Images are read with the same pixels everywhere, upright, and damaged ones are refused."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import random
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import EpsImagePlugin, Image, ImageOps

from mmosnet.errors import DataError
from mmosnet.io import images as image_reading
from mmosnet.io.images import read_size
from mmosnet.runtime import read_image

needs_simplejpeg = pytest.mark.skipif(image_reading.simplejpeg is None, reason='pip install simplejpeg')


@pytest.fixture
def picture(tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (40, 20, 3), dtype=np.uint8)
    path = tmp_path / 'person.png'
    cv2.imwrite(str(path), image)
    return path, image


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('keep', [0, 10, 0.5, 0.9])
def test_truncated_file_is_named(tmp_path, picture, suffix, keep):
    buffer = io.BytesIO()
    Image.open(picture[0]).save(buffer, format='JPEG' if suffix == '.jpg' else 'PNG')
    data = buffer.getvalue()
    path = tmp_path / f'broken{suffix}'
    path.write_bytes(data[: int(keep * len(data)) if keep < 1 else keep])
    with pytest.raises(DataError, match=f'broken{suffix}: unreadable image'):
        read_image(path)


def test_missing_file_and_text_are_named(tmp_path):
    with pytest.raises(DataError, match=r'gone\.jpg'):
        read_image(tmp_path / 'gone.jpg')
    (tmp_path / 'note.jpg').write_text('no image')
    with pytest.raises(DataError, match=r'note\.jpg'):
        read_image(tmp_path / 'note.jpg')


def pillow(path):
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert('RGB'))[:, :, ::-1]


def write_jpegs(folder):
    """Write one file of each common kind of JPEG."""
    folder.mkdir()
    image = cv2.resize(np.random.RandomState(0).randint(0, 256, (9, 5, 3), dtype=np.uint8), (37, 75))
    rgb, exif = Image.fromarray(image), Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    kinds = {
        f'{sub}{progressive}': dict(subsampling=sub, progressive=progressive)
        for sub in range(3)
        for progressive in (0, 1)
    }
    kinds |= dict(exif=dict(exif=exif), restart=dict(restart_marker_rows=1), rgb=dict(keep_rgb=True))
    for name, options in kinds.items():
        rgb.save(folder / f'{name}.jpg', quality=90, **options)
    for mode in ('L', 'CMYK'):
        rgb.convert(mode).save(folder / f'{mode}.jpg')
    return sorted(folder.iterdir())


def test_every_kind_of_jpeg_has_pillows_pixels(tmp_path):
    for path in write_jpegs(tmp_path / 'jpegs'):
        np.testing.assert_array_equal(read_image(path), pillow(path), err_msg=path.name)
        # CMYK is converted by Pillow.
        assert (image_reading.decode_whole_jpeg(path.read_bytes()) is None) == (path.name == 'CMYK.jpg')


def damage(data, kind, chosen):
    """Cut the end off, or damage a file that keeps the marker of the image's end."""
    at = chosen.randrange(len(data))
    return {
        # Pixels are missing, not only the marker.
        'truncated': data[: at * 9 // 10],
        'cut, with the end': data[:at] + data[-2:],
        'a byte changed': data[:at] + bytes([chosen.randrange(256)]) + data[at + 1 :],
        'bytes inserted': data[:at] + chosen.randbytes(10) + data[at:],
    }[kind]


@pytest.mark.parametrize('strict', [True, False])
@pytest.mark.parametrize('kind', ['truncated', 'cut, with the end', 'a byte changed', 'bytes inserted'])
def test_damaged_jpegs_are_refused_or_have_pillows_pixels(tmp_path, monkeypatch, kind, strict):
    if not strict:
        monkeypatch.setattr(image_reading, 'simplejpeg', None)
    chosen, named, missed = random.Random(0), 0, 0
    files = [path.read_bytes() for path in write_jpegs(tmp_path / 'jpegs')]
    path = tmp_path / 'damaged.jpg'
    for _ in range(100):
        path.write_bytes(damage(chosen.choice(files), kind, chosen))
        try:
            image = read_image(path)
        except DataError as e:
            assert 'damaged.jpg: unreadable image' in str(e)
            named += 1
            try:
                pillow(path)
                missed += 1
            except (OSError, SyntaxError, ValueError):
                pass
            continue
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            np.testing.assert_array_equal(image, pillow(path))
    if kind == 'truncated':
        assert named == 100
    else:
        # Pillow keeps the decoder's warnings to itself.
        assert missed >= 5 if strict and image_reading.simplejpeg else missed == 0


@needs_simplejpeg
def test_damage_that_the_decoder_tells_of_is_named(tmp_path):
    """A sector of zeros, as a bad disk leaves: 98 of 100 are told of in larger images. One bit: about a fourth."""
    image = cv2.resize(np.random.RandomState(0).randint(0, 256, (60, 40, 3), dtype=np.uint8), (400, 600))
    for options in ({}, dict(restart_marker_rows=1), dict(progressive=True)):
        data = saved(Image.fromarray(image), 'JPEG', quality=90, **options)
        start, named = data.index(b'\xff\xda') + 14, 0
        places = range(start, len(data) - 514, (len(data) - start - 514) // 19)
        for at in places:
            (tmp_path / 'a.jpg').write_bytes(data[:at] + bytes(512) + data[at + 512 :])
            try:
                read_image(tmp_path / 'a.jpg')
            except DataError as e:
                named += 'a.jpg: unreadable image (damaged inside' in str(e)
        assert named >= 0.7 * len(places), (options, named, len(places))


def test_bytes_that_cameras_leave_are_no_damage(tmp_path):
    data = saved(PICTURE, 'JPEG')
    for spare in range(9):
        (tmp_path / 'a.jpg').write_bytes(data[:-2] + bytes(spare) + data[-2:])
        np.testing.assert_array_equal(read_image(tmp_path / 'a.jpg'), pillow(tmp_path / 'a.jpg'))
    for end in (data + b'\0' * 1000, data + data, data[:-2] + b'\xff\xff' + data[-2:]):
        (tmp_path / 'a.jpg').write_bytes(end)
        np.testing.assert_array_equal(read_image(tmp_path / 'a.jpg'), pillow(tmp_path / 'a.jpg'))


@needs_simplejpeg
def test_progressive_jpegs_without_one_of_their_scans_are_named(tmp_path):
    data = next(path for path in write_jpegs(tmp_path / 'jpegs') if path.name == '21.jpg').read_bytes()
    starts = [*(at for at in range(len(data)) if data.startswith(b'\xff\xda', at)), len(data) - 2]
    named = []
    for start, end in itertools.pairwise(starts):
        (tmp_path / 'a.jpg').write_bytes(data[:start] + data[end:])
        try:
            read_image(tmp_path / 'a.jpg')
        except DataError as e:
            named.append(str(e))
    # Without its last scan it is a coarser picture; libjpeg's words for refinements of what is not there.
    assert len(named) >= 7 and any('damaged inside: Inconsistent progression' in text for text in named)


@needs_simplejpeg
def test_damaged_cmyk_jpegs_are_named(tmp_path):
    data = saved(PICTURE.resize((80, 120)).convert('CMYK'), 'JPEG')
    (tmp_path / 'a.jpg').write_bytes(data[:-600] + bytes(500) + data[-100:])
    pillow(tmp_path / 'a.jpg')
    with pytest.raises(DataError, match=r'a\.jpg: unreadable image \(damaged inside'):
        read_image(tmp_path / 'a.jpg')


def test_every_flipped_byte_of_a_png_is_named(tmp_path):
    data = saved(Image.fromarray(np.random.RandomState(0).randint(0, 256, (20, 20, 3), dtype=np.uint8)), 'PNG')
    # But for length and checksum of the end, which has no content.
    for at in [*range(8, len(data) - 12), *range(len(data) - 8, len(data) - 4)]:
        (tmp_path / 'a.png').write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        with pytest.raises(DataError, match=r'a\.png: unreadable image'):
            read_image(tmp_path / 'a.png')


POSTSCRIPT = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n'


def test_no_program_is_started(tmp_path, monkeypatch):
    """Pillow left to itself gives PostScript to Ghostscript."""
    program, mark = tmp_path / 'bin' / 'gs', tmp_path / 'mark'
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ntouch {mark}\n')
    program.chmod(0o755)
    monkeypatch.setenv('PATH', str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, 'gs_binary', None)
    (tmp_path / 'x.jpg').write_bytes(POSTSCRIPT)
    if os.name == 'posix':
        with contextlib.suppress(OSError, subprocess.CalledProcessError), Image.open(tmp_path / 'x.jpg') as picture:
            picture.load()
        assert mark.exists()
        mark.unlink()
    for read in (read_image, read_size):
        with pytest.raises(DataError, match=r'x\.jpg: unreadable image \(PostScript'):
            read(tmp_path / 'x.jpg')
    assert not mark.exists()


@pytest.mark.parametrize(
    ('data', 'kind'),
    [
        (b'\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'HEIC'),
        (b'\0\0\0\x18ftypmif1\0\0\0\0mif1heic', 'HEIC'),
        (b'\0\0\0\x18ftypcrx \0\0\0\1crx isom', 'raw photo'),
        (b'II*\0\x10\0\0\0CR\2\0' + bytes(20), 'raw photo'),
        (b'\0\0\0\x18ftypisom\0\0\2\0isommp41', 'video'),
        (b'\xff\x0a' + bytes(20), 'JPEG XL'),
        (b'\0\0\0\x0cJXL \r\n\x87\n', 'JPEG XL'),
        (b'%PDF-1.7\n', 'PDF'),
        (b'v/1\x01\2\0\0\0', 'OpenEXR'),
        (b'#?RADIANCE\n', 'HDR'),
        (b'8BPS\0\1', 'Photoshop'),
        (b'PK\3\4', 'archive'),
        (b'<?xml version="1.0"?>\n<!-- a -->\n<svg xmlns="http://www.w3.org/2000/svg"/>', 'SVG'),
        (b'<!DOCTYPE html><html>', 'web page'),
        (b'version https://git-lfs.github.com/spec/v1\n', 'git-lfs'),
        (b'', 'empty'),
        (bytes(5000), 'zeros'),
        (b'nothing', 'no image'),
    ],
)
def test_other_kinds_are_named(tmp_path, data, kind):
    (tmp_path / 'IMG_1.jpg').write_bytes(data)
    for read in (read_image, read_size):
        with pytest.raises(DataError, match=rf'IMG_1\.jpg: unreadable image \([^.]*{kind}'):
            read(tmp_path / 'IMG_1.jpg')


@pytest.mark.parametrize(('tag', 'value'), [(254, 1), (50706, 0x00000401), (262, 32803)])
def test_raw_photos_in_tiff_are_refused(tmp_path, tag, value):
    """The first picture in a raw file is a small preview, or the values of the sensor."""
    old = (262, 1) if tag == 262 else (278, 18)
    data = tiff(SIXTEEN, 16)
    (tmp_path / 'a.tif').write_bytes(data)
    read_image(tmp_path / 'a.tif')
    entries = struct.pack('<HHII', old[0], 4, 1, old[1]), struct.pack('<HHII', tag, 4, 1, value)
    (tmp_path / 'a.tif').write_bytes(data.replace(*entries))
    with pytest.raises(DataError, match=r'a\.tif: unreadable image \(' + ('TIFF' if tag == 262 else 'a raw photo')):
        read_image(tmp_path / 'a.tif')


def png_of(width, height):
    """A solid image, as small as zlib makes it."""
    chunks = [b'IHDR' + struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)]
    chunks += [b'IDAT' + zlib.compress(bytes((width + 1) * height), 9), b'IEND']
    packed = [struct.pack('>I', len(c) - 4) + c + struct.pack('>I', zlib.crc32(c)) for c in chunks]
    return b'\x89PNG\r\n\x1a\n' + b''.join(packed)


def tiled_tiff(side):
    """A gray image of 10 x 10 pixels in a tile that is larger."""
    data = zlib.compress(bytes(1000))
    tags = {256: 10, 257: 10, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: len(data)}
    entries = b''.join(struct.pack('<HHII', tag, 4, 1, value) for tag, value in tags.items())
    return b'II*\0' + struct.pack('<I', 8 + len(data)) + data + struct.pack('<H', len(tags)) + entries + bytes(4)


def test_small_files_do_not_fill_the_memory(tmp_path):
    files = {
        'solid.png': (png_of(7000, 7000), '7000 x 7000 pixels in a file of 47,'),
        'header.png': (png_of(9, 9)[:16] + struct.pack('>II', 20000, 20000) + png_of(9, 9)[24:], 'damaged'),
        'tile.tif': (tiled_tiff(32768), '32768 x 32768 pixels'),
    }
    for name, (data, _) in files.items():
        (tmp_path / name).write_bytes(data)
    program = """
import resource, sys
# Importing it would take longer than all the rest.
sys.modules['torch'] = None
from mmosnet.runtime import read_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        print(read_image(path).shape)
    except ValueError as e:
        print(e)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    paths = [tmp_path / name for name in files]
    done = subprocess.run([sys.executable, '-c', program, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *said, mebibytes = done.stdout.splitlines()
    for line, (name, (_, reason)) in zip(said, files.items(), strict=True):
        assert not reason or (f'{name}: unreadable image (' in line and reason in line)
    assert int(mebibytes) < 64


def test_limit_to_the_pixels(tmp_path, monkeypatch):
    path = write_jpegs(tmp_path / 'jpegs')[0]
    for limit, readable in ((37 * 75 // 2, False), (37 * 75, True), (None, True)):
        monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', limit)
        if readable:
            assert read_image(path).shape == (75, 37, 3)
        else:
            with pytest.raises(DataError, match=r'00\.jpg.*37 x 75 pixels'):
                read_image(path)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10**9)
    monkeypatch.setattr(image_reading, 'FREE_PIXELS', 1000)
    for factor, readable in ((0.5, True), (0.1, False)):
        monkeypatch.setattr(image_reading, 'PIXELS_PER_BYTE', 37 * 75 / path.stat().st_size * factor)
        with contextlib.nullcontext() if readable and factor * 37 * 75 + 1000 >= 37 * 75 else pytest.raises(DataError):
            read_image(path)


def test_scans_without_end(tmp_path):
    data = saved(PICTURE, 'JPEG', progressive=True)
    scan = data[data.rindex(b'\xff\xda') : -2]
    (tmp_path / 'a.jpg').write_bytes(data[:-2] + scan * 300 + data[-2:])
    with pytest.raises(DataError, match=r'a\.jpg.*scans'):
        read_image(tmp_path / 'a.jpg')


def test_as_opencv_reads(tmp_path):
    load = LoadImageFromFile()
    for path in write_jpegs(tmp_path / 'jpegs'):
        image = read_image(path, by_opencv=True)
        np.testing.assert_array_equal(image, load(dict(img_path=str(path)))['img'], err_msg=path.name)
        # Turned by both.
        assert image.shape == read_image(path).shape == ((37, 75, 3) if path.stem == 'exif' else (75, 37, 3))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match='unreadable image'):
        read_image(path, by_opencv=True)


def png_chunk(kind, content):
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))


def write_turned(path, rgb, orientation):
    """Write a picture whose EXIF data say how to turn it; ``late.png`` has them behind the pixels."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    if path.name == 'late.png':
        rgb.save(path)
        data = path.read_bytes()
        path.write_bytes(data[:-12] + png_chunk(b'eXIf', exif.tobytes()[6:]) + data[-12:])
    elif path.name == 'packed.tif':
        rgb.save(path, exif=exif, compression='tiff_lzw')
    else:
        rgb.save(path, exif=exif, **(dict(lossless=True) if path.suffix == '.webp' else {}))


FILES = ('a.jpg', 'gray.jpg', 'a.png', 'late.png', 'a.webp', 'a.tif', 'packed.tif')


@pytest.mark.parametrize('orientation', range(1, 9))
def test_images_are_turned_as_their_exif_data_say(tmp_path, orientation):
    rgb = Image.fromarray(np.random.RandomState(0).randint(0, 256, (40, 20, 3), dtype=np.uint8))
    # What a viewer does, written out: which pixel of the file comes first, and which one follows it in its row.
    first, right = {
        1: ((0, 0), (0, 1)),
        2: ((0, 19), (0, 18)),
        3: ((39, 19), (39, 18)),
        4: ((39, 0), (39, 1)),
        5: ((0, 0), (1, 0)),
        6: ((39, 0), (38, 0)),
        7: ((39, 19), (38, 19)),
        8: ((0, 19), (1, 19)),
    }[orientation]
    for name in FILES:
        path = tmp_path / name
        picture = rgb.convert('L') if name == 'gray.jpg' else rgb
        write_turned(path, picture, orientation)
        image = read_image(path)
        assert image.shape == ((40, 20, 3) if orientation < 5 else (20, 40, 3)) == (*read_size(path), 3), name
        np.testing.assert_array_equal(image, pillow(path), err_msg=name)
        if path.suffix != '.jpg':
            pixels = np.asarray(rgb)[:, :, ::-1]
            np.testing.assert_array_equal(image[0, :2], [pixels[first], pixels[right]], err_msg=name)
        # Regions count in the turned picture.
        np.testing.assert_array_equal(read_image(f'{path}#xywh=3,5,12,10'), image[5:15, 3:15])
        np.testing.assert_array_equal(read_image(path, by_opencv=True).shape, image.shape)


@pytest.mark.parametrize('orientation', [0, 9, 65535])
def test_unknown_orientations_turn_nothing(tmp_path, orientation):
    # libtiff writes no such packed file.
    for name in FILES[:-1]:
        write_turned(tmp_path / name, Image.new('RGB', (20, 40)), orientation)
        assert read_image(tmp_path / name).shape == (40, 20, 3) and read_size(tmp_path / name) == (40, 20)


def test_damaged_exif_data_and_xmp_turn_nothing(tmp_path):
    path, rgb = tmp_path / 'a.jpg', Image.new('RGB', (20, 40))
    whole = Image.Exif()
    whole[0x0112] = 6
    data = whole.tobytes()
    for exif in (b'Exif\0\0', data[:10], data[:16], data[:8] + b'\xff' * 8, b'Exif\0\0' + bytes(30)):
        rgb.save(path, exif=exif)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            assert read_image(path).shape == (40, 20, 3) and read_size(path) == (40, 20)
    # Neither browsers nor OpenCV ask it.
    rgb.save(path, xmp=b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>')
    assert read_image(path).shape == (40, 20, 3) and read_size(path) == (40, 20)


def tiff(values, bits, kind=1, photometric=1, big=False):
    """A gray TIFF file: numbers of this many bits, kind 1 unsigned, 2 signed, 3 floating-point."""
    order = '>' if big else '<'
    data = values.tobytes()
    height, width = values.shape
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height, 279: len(data)}
    entries = b''.join(struct.pack(f'{order}HHII', tag, 4, 1, value) for tag, value in {**tags, 339: kind}.items())
    header = (b'MM\0*' if big else b'II*\0') + struct.pack(f'{order}I', 8 + len(data))
    return header + data + struct.pack(f'{order}H', len(tags) + 1) + entries + struct.pack(f'{order}I', 0)


SIXTEEN = np.arange(0, 65536, 331, np.uint32)[:198].reshape(18, 11).astype(np.uint16)


def encoded(suffix, values):
    return cv2.imencode(suffix, values)[1].tobytes()


def saved(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    'data',
    [
        encoded('.png', SIXTEEN),
        encoded('.png', np.dstack([SIXTEEN] * 3)),
        encoded('.tiff', SIXTEEN),
        encoded('.tiff', np.dstack([SIXTEEN] * 3)),
        encoded('.pgm', SIXTEEN),
        saved(Image.fromarray(SIXTEEN), 'JPEG2000'),
        tiff(SIXTEEN, 16),
        tiff(SIXTEEN.astype('>u2'), 16, big=True),
        tiff(65535 - SIXTEEN, 16, photometric=0),
    ],
    ids=['png', 'png of colors', 'tiff', 'tiff of colors', 'pgm', 'jp2', 'tiff by hand', 'big-endian', 'white is zero'],
)
def test_sixteen_bits_become_their_upper_eight(tmp_path, data):
    (tmp_path / 'a').write_bytes(data)
    np.testing.assert_array_equal(read_image(tmp_path / 'a'), np.dstack([SIXTEEN >> 8] * 3))


def test_twelve_bits_become_their_upper_eight(tmp_path):
    values = np.arange(0, 4096, 17)[:240].reshape(20, 12)
    pairs = values.reshape(20, 6, 2)
    packed = np.stack([pairs[..., 0] >> 4, (pairs[..., 0] & 15) << 4 | pairs[..., 1] >> 8, pairs[..., 1] & 255], -1)
    data = bytearray(tiff(packed.reshape(20, 18).astype(np.uint8), 12))
    # The width in pixels, not in bytes.
    data[data.rindex(struct.pack('<HHII', 256, 4, 1, 18)) + 8] = 12
    (tmp_path / 'a.tif').write_bytes(data)
    np.testing.assert_array_equal(read_image(tmp_path / 'a.tif')[:, :, 1], values >> 4)


@pytest.mark.parametrize(
    ('data', 'kind'),
    [
        (tiff(SIXTEEN.astype(np.float32), 32, 3), 'floating-point'),
        (tiff(SIXTEEN.astype('>f4'), 32, 3, big=True), 'floating-point'),
        (tiff(SIXTEEN.astype(np.float64), 64, 3), ''),
        (tiff(SIXTEEN.astype(np.float16), 16, 3), ''),
        (encoded('.tiff', SIXTEEN.astype(np.float32)), 'floating-point'),
        (encoded('.tiff', np.zeros((9, 9, 3), np.float32)), ''),
        (encoded('.pfm', SIXTEEN.astype(np.float32)), 'floating-point'),
        (tiff(SIXTEEN.astype(np.uint32), 32), '32 bits'),
        (tiff(SIXTEEN.astype(np.int32), 32, 2), '32 bits'),
        (tiff(SIXTEEN.astype(np.int16), 16, 2), 'a sign'),
        (tiff(SIXTEEN.astype(np.int8), 8, 2), 'a sign'),
    ],
)
def test_numbers_without_black_and_white_are_refused(tmp_path, data, kind):
    (tmp_path / 'a.tif').write_bytes(data)
    for by_opencv in (False, True):
        with pytest.raises(DataError, match=rf'a\.tif: unreadable image \(.*{kind}'):
            read_image(tmp_path / 'a.tif', by_opencv=by_opencv)


RGB = np.dstack([np.arange(96).reshape(12, 8), np.full((12, 8), 200), 255 - np.arange(96).reshape(12, 8)])
PICTURE = Image.fromarray(RGB.astype(np.uint8))
ALPHA = Image.fromarray(np.arange(0, 192, 2).reshape(12, 8).astype(np.uint8))
MASK = np.arange(96).reshape(12, 8) % 3 == 0


def with_alpha(picture):
    picture.putalpha(ALPHA)
    return picture


def palette_image():
    """Indices 0 to 95 into the colors of :data:`RGB`."""
    picture = Image.fromarray(np.arange(96).reshape(12, 8).astype(np.uint8), 'L')
    picture = Image.frombytes('P', picture.size, picture.tobytes())
    picture.putpalette(RGB.astype(np.uint8).tobytes())
    return picture


GRAY = np.asarray(PICTURE.convert('L'))
KINDS = {
    '1-bit': (saved(Image.fromarray(MASK), 'PNG'), np.dstack([MASK * 255] * 3)),
    '1-bit tiff': (saved(Image.fromarray(MASK), 'TIFF'), np.dstack([MASK * 255] * 3)),
    'gray': (saved(PICTURE.convert('L'), 'PNG'), np.dstack([GRAY] * 3)),
    'gray with a transparent value': (saved(PICTURE.convert('L'), 'PNG', transparency=3), np.dstack([GRAY] * 3)),
    'palette': (saved(palette_image(), 'PNG'), RGB),
    'palette with a transparent color': (saved(palette_image(), 'PNG', transparency=3), RGB),
    'palette with alpha': (saved(palette_image(), 'PNG', transparency=bytes(range(96))), RGB),
    'palette bmp': (saved(palette_image(), 'BMP'), RGB),
    'palette gif': (saved(palette_image(), 'GIF'), RGB),
    'gif with a transparent color': (saved(palette_image(), 'GIF', transparency=3), RGB),
    'LA': (saved(with_alpha(PICTURE.convert('L')), 'PNG'), np.dstack([GRAY] * 3)),
    'RGBA': (saved(with_alpha(PICTURE.copy()), 'PNG'), RGB),
    'RGBA tiff': (saved(with_alpha(PICTURE.copy()), 'TIFF'), RGB),
    'CMYK tiff': (saved(PICTURE.convert('CMYK'), 'TIFF'), RGB),
    **{
        f'animated {kind}': (
            saved(PICTURE, kind, save_all=True, append_images=[Image.new('RGB', (8, 12))], **options),
            np.asarray(PICTURE.quantize(256).convert('RGB')) if kind == 'GIF' else RGB,
        )
        for kind, options in dict(GIF={}, PNG={}, TIFF={}, WEBP=dict(lossless=True)).items()
    },
}


@pytest.mark.parametrize('kind', KINDS)
def test_other_kinds_of_pixels_become_three_channels(tmp_path, kind):
    data, rgb = KINDS[kind]
    (tmp_path / 'a').write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        np.testing.assert_array_equal(read_image(tmp_path / 'a')[:, :, ::-1], rgb)


def test_cmyk_jpegs_have_their_colors(tmp_path):
    """JPEG loses some, and Adobe's files hold the inverse, which a decoder must know."""
    (tmp_path / 'a.jpg').write_bytes(saved(PICTURE.convert('CMYK'), 'JPEG', quality=100))
    assert np.abs(read_image(tmp_path / 'a.jpg')[:, :, ::-1].astype(int) - RGB).max() <= 4


@pytest.mark.parametrize('number', [errno.EIO, errno.EMFILE])
@pytest.mark.parametrize('read', [read_image, read_size])
def test_a_fault_of_the_machine_is_no_damaged_image(tmp_path, monkeypatch, read, number):
    """Who skips damaged images would leave all of them out."""
    path = tmp_path / 'a.jpg'
    Image.new('RGB', (8, 8)).save(path)

    def fail(self, mode='r', *more, **named):
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, 'open', fail)
    monkeypatch.setattr(Path, 'read_bytes', fail)
    with pytest.raises(OSError, match=r'a\.jpg') as error:
        read(path)
    assert error.value.errno == number
