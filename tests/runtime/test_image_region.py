import cv2
import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.runtime import Box, read_image, region_path
from mmosnet.runtime.image_region import cut, split_region


@pytest.fixture
def frame(tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (60, 80, 3), dtype=np.uint8)
    path = tmp_path / 'frame.png'
    cv2.imwrite(str(path), image)
    return str(path), image


@pytest.mark.parametrize('path', ['a.jpg', '/data/#1/a b.jpg', 'C:\\a.jpg#xywh=1,2,3,4'])
def test_paths_of_regions_lead_back(path):
    box = Box(10, 0, 3, 200)
    assert split_region(region_path(path, box)) == (path, box)


@pytest.mark.parametrize('path', ['a.jpg', 'a#xywh=1,2,3', 'a#xywh=1,2,3,-4', '#xywh=1,2,3,4', 'a#xywh=1,2,3,4.jpg'])
def test_other_paths_are_whole_images(path):
    assert split_region(path) == (path, None)


def test_a_region_is_read_as_the_crop(frame):
    path, image = frame
    crop = read_image(f'{path}#xywh=10,20,30,40')
    np.testing.assert_array_equal(crop, image[20:60, 10:40])
    assert crop.flags.c_contiguous and crop.base is None


@pytest.mark.parametrize('region', ['60,0,21,10', '0,50,10,11', '0,0,0,10', '0,0,10,0', '99,99,1,1'])
def test_no_such_region(frame, region):
    path, image = frame
    with pytest.raises(DataError, match=rf'frame\.png#xywh={region}: no such region in an image of 80x60'):
        read_image(f'{path}#xywh={region}')
    with pytest.raises(DataError, match='no such region'):
        cut(image, Box(*map(int, region.split(','))), path)


def test_missing_frame_is_named_without_the_region(tmp_path):
    with pytest.raises(DataError, match=r'gone\.jpg: unreadable image'):
        read_image(f'{tmp_path}/gone.jpg#xywh=0,0,1,1')
