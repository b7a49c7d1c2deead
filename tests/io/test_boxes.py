"""Boxes are read from any array, checked, rounded outwards and clipped."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmosnet.errors import DataError
from mmosnet.io.boxes import as_boxes, pixel_boxes
from mmosnet.io.regions import box_with_margin

# Eighths of pixels: widths and heights are exact.
CORNER = st.integers(-240, 480).map(lambda eighths: eighths / 8)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(CORNER, CORNER, CORNER, CORNER), min_size=1, max_size=5))
def test_regions_are_those_of_the_boxes_of_files(corners):
    """Compare with ``box_with_margin``, by which boxes of COCO files, tables and videos are cut."""
    boxes = np.array([[min(x, z), min(y, w), max(x, z), max(y, w)] for x, y, z, w in corners])
    for box, region in zip(boxes.tolist(), pixel_boxes(boxes, 20, 30), strict=True):
        left, top, right, bottom = box
        if right <= left or bottom <= top or right <= 0 or bottom <= 0 or left >= 30 or top >= 20:
            assert not region.any()
        elif max(right - left, bottom - top) > 1:
            expected, _ = box_with_margin([left, top, right - left, bottom - top], (20, 30), 0, 'box')
            ends = expected.left + expected.width, expected.top + expected.height
            assert region.tolist() == [expected.left, expected.top, *ends]
        assert (region[:2] >= 0).all() and (region[2:] <= [30, 20]).all()


def test_rounding():
    found = pixel_boxes(np.array([[1.2, 2.8, 5.1, 7.0], [3, 4, 5, 6], [-0.5, -3, 0.1, 99], [5, 5, 5, 6]]), 20, 30)
    assert found.tolist() == [[1, 2, 6, 7], [3, 4, 5, 6], [0, 0, 1, 20], [0, 0, 0, 0]]
    assert pixel_boxes(np.zeros((0, 4)), 20, 30).shape == (0, 4)


@pytest.mark.parametrize(
    'boxes, named',
    [
        ([[0, 0, 5, 5], [1, 1, math.nan, 5]], r'boxes\[1\].*nan'),
        ([[0, 0, 5, math.inf]], r'boxes\[0\].*inf'),
        ([[0, 0, 5, 5], [0, 0, 5, 5], [9, 0, 5, 5]], r'boxes\[2\] is \[9.0, 0.0, 5.0, 5.0\]'),
        ([[0, 9, 5, 5]], r'boxes\[0\]'),
        ([[0.1, 0.2, 0.5, 1.0], [0, 0, 1, 1]], r'boxes\[0\].*shares'),
        (np.zeros((3, 5)), r'\(3, 5\).*boxes\[:, :4\]'),
        (np.zeros((0, 6)), r'\(0, 6\).*boxes\[:, :4\]'),
        ([1, 2, 3, 4], r'\(4,\).*boxes\[None\]'),
        (np.zeros((2, 3)), r'\(2, 3\)'),
        (np.zeros((1, 2, 4)), r'\(1, 2, 4\)'),
        (5, r'\(\)'),
        ([['a', 'b', 'c', 'd']], '<U1'),
        ([[1, 2, 3, 4], [1, 2]], 'list'),
        (None, 'NoneType'),
        ({'xyxy': []}, 'dict'),
        (np.ones((1, 4), bool), 'bool'),
        (np.ones((1, 4), complex), 'complex'),
        ([[0, 0, 10**400, 5]], 'object'),
    ],
)
def test_errors(boxes, named):
    with pytest.raises(DataError, match=named):
        as_boxes(boxes)
