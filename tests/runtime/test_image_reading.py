"""Images are read with the same pixels everywhere, and damaged ones are refused, with Pillow and without."""

import contextlib
import io
import random

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from mmosnet.errors import DataError
from mmosnet.runtime import image_reading, read_image


@pytest.fixture
def picture(tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (40, 20, 3), dtype=np.uint8)
    path = tmp_path / 'person.png'
    cv2.imwrite(str(path), image)
    return path, image


@pytest.fixture
def no_pillow(monkeypatch):
    monkeypatch.setattr(image_reading, 'Image', None)


@pytest.mark.parametrize('mode', ['L', 'P', 'RGBA'])
def test_other_colour_modes_become_three_channels(tmp_path, picture, mode):
    path = tmp_path / 'other.png'
    Image.open(picture[0]).convert(mode).save(path)
    assert read_image(path).shape == (40, 20, 3)


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
        return np.asarray(image.convert('RGB'))[:, :, ::-1]


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


PILLOWS = ('1', 'LA', 'P', 'RGBA')


def test_without_pillow_pixels_are_the_same_or_the_image_is_refused(tmp_path, picture, no_pillow):
    for path in write_jpegs(tmp_path / 'jpegs'):
        if path.name == 'CMYK.jpg':
            with pytest.raises(DataError, match=r'CMYK\.jpg: unreadable image .*pip install pillow'):
                read_image(path)
        else:
            np.testing.assert_array_equal(read_image(path), pillow(path), err_msg=path.name)
    for mode in ('L', 'RGB', *PILLOWS):
        path = tmp_path / f'{mode}.png'
        Image.open(picture[0]).convert(mode).save(path)
        if mode in PILLOWS:
            with pytest.raises(DataError, match=rf'{mode}\.png: unreadable image .*pip install pillow'):
                read_image(path)
        else:
            np.testing.assert_array_equal(read_image(path), pillow(path), err_msg=mode)
    Image.open(picture[0]).save(tmp_path / 'a.bmp')
    with pytest.raises(DataError, match='pip install pillow'):
        read_image(tmp_path / 'a.bmp')


def test_without_pillow_large_images_are_refused(tmp_path, picture, no_pillow, monkeypatch):
    jpeg = write_jpegs(tmp_path / 'jpegs')[0]
    monkeypatch.setattr(image_reading, 'MAX_PIXELS', 700)
    for path in (jpeg, picture[0]):
        with pytest.raises(DataError, match='unreadable image'):
            read_image(path)
    assert Image.MAX_IMAGE_PIXELS == 1024**3 // 4 // 3


@pytest.mark.parametrize('keep', [0, 10, 0.5, 0.9, 0.999])
def test_without_pillow_truncated_files_are_refused(tmp_path, picture, no_pillow, keep):
    for file in (picture[0], write_jpegs(tmp_path / 'jpegs')[0]):
        data = file.read_bytes()
        path = tmp_path / f'broken{file.suffix}'
        path.write_bytes(data[: int(keep * len(data)) if keep < 1 else keep])
        with pytest.raises(DataError, match=f'broken{file.suffix}: unreadable image'):
            read_image(path)


def test_as_opencv_reads(tmp_path):
    load = LoadImageFromFile()
    turned = set()
    for path in write_jpegs(tmp_path / 'jpegs'):
        image = read_image(path, by_opencv=True)
        np.testing.assert_array_equal(image, load(dict(img_path=str(path)))['img'], err_msg=path.name)
        if image.shape != read_image(path).shape:
            turned.add(path.stem)
    assert turned == {'exif'}
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match='unreadable image'):
        read_image(path, by_opencv=True)
