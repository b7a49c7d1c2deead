"""Pictures that never change, of categories that can be told apart."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
import pytest

from mmosnet.synthetic.objects import CATEGORIES, MARGIN, SHAPES, SIDE, fill_polygon, label_map, render_object

# zlib.crc32 of rendered arrays, not of JPEG files, one of each category; seen with OpenCV 4.9, 4.10 and 5.0 and with
# numpy 1.26 and 2.4. If pictures are meant to change, raise OBJECT_RENDERER_VERSION too.
GOLDEN = {
    ('backpack', 0, 0): 701423120,
    ('bench', 1, 1): 4025898360,
    ('bicycle', 2, 2): 2930116885,
    ('bottle', 0, 3): 2329945555,
    ('car', 1, 4): 1170275173,
    ('chair', 2, 5): 4152765601,
    ('dog', 0, 6): 2832621109,
    ('lamp', 1, 7): 2776718243,
    ('suitcase', 2, 8): 1039005880,
    ('traffic_light', 0, 9): 14193827,
    ('tree', 1, 10): 4189001373,
    ('umbrella', 2, 11): 2022116792,
}


@pytest.mark.parametrize('key', GOLDEN, ids=lambda key: key[0])
def test_pictures_never_change(key):
    assert zlib.crc32(render_object(*key).tobytes()) == GOLDEN[key]


def test_categories_are_sorted_as_folders_are():
    assert list(CATEGORIES) == sorted(CATEGORIES) == [key[0] for key in GOLDEN]


def test_shape_type_and_contrast():
    for category in CATEGORIES:
        picture = render_object(category, 3, 0)
        assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
        assert picture.std() > 8, category
    assert render_object('car', 0, 0, size=128).shape == (128, 128, 3)


def test_alone_or_in_sequence_is_the_same():
    keys = [(category, 0, index) for category in CATEGORIES[:4] for index in (0, 1)]
    forward = {key: render_object(*key) for key in keys}
    np.random.seed(7)  # no global state is read ...
    state = np.random.get_state()[1].copy()
    for key in reversed(keys):
        np.testing.assert_array_equal(render_object(*key), forward[key])
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # ... nor written


def test_everything_in_the_key_matters():
    first = render_object('car', 0, 0).astype(int)
    for key in (('dog', 0, 0), ('car', 1, 0), ('car', 0, 1)):
        assert np.abs(render_object(*key).astype(int) - first).mean() > 3, key


@pytest.mark.parametrize('category', CATEGORIES)
def test_objects_of_a_category_differ_and_are_large_enough(category):
    seen = set()
    for number in range(40):
        parts = SHAPES[category](np.random.RandomState(number))
        labels = label_map(parts, np.diag([80.0, -80.0]), np.full(2, SIDE / 2 + MARGIN))
        rows, columns = np.nonzero(labels)
        # Scaled to 80 pixels along the larger side; strokes are thicker than their points.
        assert 78 <= max(np.ptp(rows), np.ptp(columns)) <= 100
        assert len(parts) < 255 and len(np.unique(labels)) > 2
        seen.add(zlib.crc32(labels.tobytes()))
    # Plain ones, as conifers, may have equal outlines in other colors.
    assert len(seen) >= 30


def test_polygons_are_filled_by_the_even_odd_rule():
    """A pixel is filled if an odd number of edges lies on its left, or if it is on the outline."""
    random = np.random.RandomState(0)
    for _ in range(30):
        points = random.randint(2, 62, (random.randint(3, 9), 2)).astype(np.int32)
        found = np.zeros((64, 64), np.uint8)
        fill_polygon(found, points, 7)
        assert set(np.unique(found)) <= {0, 7}
        for x, y in random.randint(0, 64, (40, 2)):
            corners = zip(points.tolist(), np.roll(points, -1, 0).tolist(), strict=True)
            crossings = [
                ax + (y - ay) * (bx - ax) / (by - ay)
                for (ax, ay), (bx, by) in corners
                if min(ay, by) <= y < max(ay, by)
            ]
            outline = np.zeros((64, 64), np.uint8)
            cv2.polylines(outline, [points], True, 1, 1)
            inside = sum(crossing <= x for crossing in crossings) % 2 == 1
            assert found[y, x] == 7 * (inside or outline[y, x])
    line = np.zeros((8, 8), np.uint8)
    fill_polygon(line, np.array([(1, 3), (6, 3)], np.int32), 1)
    assert line.sum() == 6 == line[3].sum()


def test_bad_arguments_raise():
    with pytest.raises(ValueError, match=r"'cat'.*backpack"):
        render_object('cat', 0, 0)
    with pytest.raises(ValueError, match='size=8'):
        render_object('car', 0, 0, size=8)
