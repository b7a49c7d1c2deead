from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmosnet.datasets import LoadPersonImage, RandomPatch
from mmosnet.errors import DataError
from mmosnet.io.regions import box_with_margin, cut, split_region
from mmosnet.runtime import Box, read_image, region_path


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


def test_the_transform_reads_the_crop(frame):
    path, image = frame
    results = LoadPersonImage()(dict(img_path=f'{path}#xywh=10,20,30,40'))
    np.testing.assert_array_equal(results['img'], image[20:60, 10:40])
    assert results['img_shape'] == results['ori_shape'] == (40, 30)


def test_whatever_reads_by_the_path_gets_the_crop(frame):
    path, image = frame

    class DataSet:
        def __len__(self):
            return 1

        def get_data_info(self, index):
            return dict(img_path=f'{path}#xywh=70,50,1,1')

    results = dict(img=np.zeros((32, 16, 3), np.uint8), dataset=DataSet())
    pasted = RandomPatch(prob=1, rotate_prob=0)(results)['img'].reshape(-1, 3)
    pasted = pasted[pasted.any(1)]
    assert len(pasted) and (pasted == image[50, 70]).all()


# A frame of height 60 and width 80.
@pytest.mark.parametrize(
    ('bbox', 'margin', 'expected', 'clipped'),
    [
        ([10, 20, 30, 20], 0, (10, 20, 30, 20), False),
        # Outwards to whole pixels, at least one.
        ([10.9, 20.1, 0.05, 19.5], 0, (10, 20, 1, 20), False),
        # A tenth of 30 and of 20 on each side.
        ([10, 20, 30, 20], 0.1, (7, 18, 36, 24), False),
        # The margin ends at the frame; that is no clipped box.
        ([2, 1, 30, 58], 0.1, (0, 0, 35, 60), False),
        ([-5, 40, 20, 40], 0, (0, 40, 15, 20), True),
        ([70, -3, 20.5, 10], 0, (70, 0, 10, 7), True),
        ([-10, -10, 200, 200], 0.5, (0, 0, 80, 60), True),
    ],
)
def test_boxes_get_their_margin_and_stay_inside(bbox, margin, expected, clipped):
    assert box_with_margin(bbox, (60, 80), margin, 'here') == (expected, clipped)


@pytest.mark.parametrize('bbox', [[80, 0, 10, 10], [0, 60, 10, 10], [-10, 0, 10, 10], [0, -11, 10, 10]])
def test_box_outside(bbox):
    with pytest.raises(DataError, match=r'here: bbox .* lies wholly outside its frame of 80x60'):
        box_with_margin(bbox, (60, 80), 0.5, 'here')


@pytest.mark.parametrize('bbox', [[0, 0, 0, 10], [0, 0, 10, 0], [20, 20, -5, 10]])
def test_box_without_area(bbox):
    with pytest.raises(DataError, match=r'here: bbox .* has no area'):
        box_with_margin(bbox, (60, 80), 0, 'here')


@pytest.mark.parametrize(
    'bbox', [[1, 2, 3], [1, 2, 3, 4, 5], '1,2,3,4', [1, 2, '3', 4], [1, 2, float('nan'), 4], [1, 2, True, 4], {}]
)
def test_no_box(bbox):
    with pytest.raises(DataError, match=r'here: bbox .* is not \[left, top, width, height\]'):
        box_with_margin(bbox, (60, 80), 0, 'here')
