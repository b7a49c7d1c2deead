import cv2
import numpy as np
import pytest

from mmosnet.datasets import LoadPersonImage
from mmosnet.datasets.person_image import read_image
from mmosnet.errors import DataError


def test_reads_bgr(tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (40, 20, 3), dtype=np.uint8)
    path = tmp_path / 'person.png'
    cv2.imwrite(str(path), image)
    np.testing.assert_array_equal(read_image(path), image)
    results = LoadPersonImage()(dict(img_path=str(path)))
    np.testing.assert_array_equal(results['img'], image)
    assert results['img_shape'] == results['ori_shape'] == (40, 20)


def test_errors_name_the_option_that_skips(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jpg: unreadable image .*bad_images='skip'"):
        read_image(tmp_path / 'gone.jpg')
