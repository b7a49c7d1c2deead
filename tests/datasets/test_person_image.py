import io

import cv2
import numpy as np
import pytest
from PIL import Image

from mmosnet.datasets import LoadPersonImage
from mmosnet.datasets.person_image import read_image
from mmosnet.errors import DataError


@pytest.fixture
def picture(tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (40, 20, 3), dtype=np.uint8)
    path = tmp_path / 'person.png'
    cv2.imwrite(str(path), image)
    return path, image


def test_reads_bgr(picture):
    path, image = picture
    np.testing.assert_array_equal(read_image(path), image)
    results = LoadPersonImage()(dict(img_path=str(path)))
    np.testing.assert_array_equal(results['img'], image)
    assert results['img_shape'] == results['ori_shape'] == (40, 20)


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
