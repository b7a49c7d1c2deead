from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmosnet.errors import DataError
from mmosnet.io.coco import BACKGROUND, compressed_mask, without_background

SIZE = (6, 8)


def expected_mask():
    """Rows 1 to 4, columns 2 to 4."""
    mask = np.zeros(SIZE, np.uint8)
    mask[1:5, 2:5] = 1
    return mask


def run_lengths():
    """Return the run lengths of the same mask, column by column, background first."""
    return dict(size=list(SIZE), counts=[13, 4, 2, 4, 2, 4, 19])


def compressed():
    encoded = coco_mask.encode(np.asfortranarray(expected_mask()))
    return dict(size=list(SIZE), counts=encoded['counts'].decode())


@pytest.mark.parametrize(
    'segmentation',
    [
        [[2, 1, 5, 1, 5, 5, 2, 5]],
        # Two halves of a person.
        [[2, 1, 5, 1, 5, 3, 2, 3], [2, 3, 5, 3, 5, 5, 2, 5]],
        run_lengths(),
        compressed(),
    ],
    ids=['polygon', 'polygons', 'uncompressed', 'compressed'],
)
def test_all_kinds_of_segmentation_are_one_mask(segmentation):
    rle = compressed_mask(segmentation, SIZE, 'here')
    np.testing.assert_array_equal(coco_mask.decode(rle), expected_mask())


def test_polygons_may_leave_the_frame():
    rle = compressed_mask([[-4, -3, 4, -3, 4, 9, -4, 9]], SIZE, 'here')
    assert coco_mask.decode(rle).sum() == 6 * 4


def test_background_is_painted_over():
    crop = np.full((4, 4, 3), 7, np.uint8)
    # The region begins above and left of the person.
    painted = without_background(crop, compressed_mask(run_lengths(), SIZE, ''), 'frame.jpg#xywh=1,0,4,4')
    person = np.zeros((4, 4), bool)
    person[1:, 1:] = True
    assert (painted[person] == 7).all() and (painted[~person] == BACKGROUND).all()
    assert painted.dtype == np.uint8 and (crop == 7).all()


@pytest.mark.parametrize(
    ('segmentation', 'message'),
    [
        (None, 'needs a segmentation.*found None'),
        ([], r'needs a segmentation.*found \[\]'),
        ([2, 1, 5, 1, 5, 5], 'needs a segmentation'),
        ([[2, 1, 5, 1]], 'needs a segmentation'),
        ([[2, 1, 5, 1, 5, 5, 2]], 'needs a segmentation'),
        ([[2, 1, 5, 1, 5, 'x']], 'needs a segmentation'),
        ('mask.png', r'needs a segmentation.*found mask\.png'),
        ([[0, 0, 1e9, 0, 0, 1e9]], 'points far outside its frame of 8x6'),
        ([[-9, 0, -8, 0, -8, 4]], 'has no pixel'),
        (dict(size=[8, 6], counts=[48]), r'size \[8, 6\], its frame \[6, 8\]'),
        (dict(counts=[48]), 'has size None'),
        (dict(size=[6, 8], counts=[20, 4]), 'do not add up'),
        (dict(size=[6, 8], counts=[20, -4, 32]), 'do not add up'),
        (dict(size=[6, 8]), 'do not add up'),
        (dict(size=[6, 8], counts=[48]), 'has no pixel'),
    ],
)
def test_segmentation_of_the_wrong_kind(segmentation, message):
    with pytest.raises(DataError, match='^here: .*' + message):
        compressed_mask(segmentation, SIZE, 'here')


def test_damaged_run_lengths_and_masks_elsewhere_are_met_with_the_crop():
    crop = np.zeros((2, 2, 3), np.uint8)
    damaged = compressed_mask(dict(size=[6, 8], counts='zzzzzzzzz'), SIZE, 'here')
    with pytest.raises(DataError, match=r'frame\.jpg#xywh=0,0,2,2: the run lengths .* damaged'):
        without_background(crop, damaged, 'frame.jpg#xywh=0,0,2,2')
    elsewhere = compressed_mask(run_lengths(), SIZE, 'here')
    with pytest.raises(DataError, match='the segmentation lies wholly outside its box'):
        without_background(crop, elsewhere, 'frame.jpg#xywh=6,0,2,2')
