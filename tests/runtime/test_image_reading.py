"""Images are read with the same pixels everywhere, upright, and damaged ones are refused."""

import contextlib
import io
import random
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image, ImageOps

from mmosnet.errors import DataError
from mmosnet.runtime import image_reading, read_image
from mmosnet.runtime.image_reading import read_size


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
    """One file of each kind of JPEG that people have."""
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


@pytest.mark.parametrize('kind', ['truncated', 'cut, with the end', 'a byte changed', 'bytes inserted'])
def test_damaged_jpegs_are_refused_or_have_pillows_pixels(tmp_path, kind):
    chosen, passed = random.Random(0), 0
    files = [path.read_bytes() for path in write_jpegs(tmp_path / 'jpegs')]
    path = tmp_path / 'damaged.jpg'
    for _ in range(100):
        path.write_bytes(damage(chosen.choice(files), kind, chosen))
        try:
            image = read_image(path)
        except DataError as e:
            assert 'damaged.jpg: unreadable image' in str(e)
            with pytest.raises((OSError, SyntaxError, ValueError)):
                pillow(path)
            continue
        passed += 1
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            np.testing.assert_array_equal(image, pillow(path))
    # Damage within the compressed pixels goes unnoticed with Pillow too.
    assert (passed == 0) == (kind == 'truncated')


def test_pillows_limit_to_the_size_holds(tmp_path, monkeypatch):
    path = write_jpegs(tmp_path / 'jpegs')[0]
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
    with pytest.raises(DataError, match='exceeds limit'):
        read_image(path)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', None)
    assert read_image(path).shape == (75, 37, 3)


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


FILES = ('a.jpg', 'grey.jpg', 'a.png', 'late.png', 'a.webp', 'a.tif', 'packed.tif')


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
        picture = rgb.convert('L') if name == 'grey.jpg' else rgb
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
    """A grey TIFF file: numbers of this many bits, kind 1 unsigned, 2 signed, 3 floating-point."""
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


GREY = np.asarray(PICTURE.convert('L'))
KINDS = {
    '1-bit': (saved(Image.fromarray(MASK), 'PNG'), np.dstack([MASK * 255] * 3)),
    '1-bit tiff': (saved(Image.fromarray(MASK), 'TIFF'), np.dstack([MASK * 255] * 3)),
    'grey': (saved(PICTURE.convert('L'), 'PNG'), np.dstack([GREY] * 3)),
    'grey with a transparent value': (saved(PICTURE.convert('L'), 'PNG', transparency=3), np.dstack([GREY] * 3)),
    'palette': (saved(palette_image(), 'PNG'), RGB),
    'palette with a transparent color': (saved(palette_image(), 'PNG', transparency=3), RGB),
    'palette with alpha': (saved(palette_image(), 'PNG', transparency=bytes(range(96))), RGB),
    'palette bmp': (saved(palette_image(), 'BMP'), RGB),
    'palette gif': (saved(palette_image(), 'GIF'), RGB),
    'gif with a transparent color': (saved(palette_image(), 'GIF', transparency=3), RGB),
    'LA': (saved(with_alpha(PICTURE.convert('L')), 'PNG'), np.dstack([GREY] * 3)),
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
