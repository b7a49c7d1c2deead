from dataclasses import replace

import cv2
import numpy as np
import pytest

from mmosnet.evaluation.ranking import ShownQuery
from mmosnet.visualization.ranked_list_sheet import (
    CAPTION,
    CELL,
    FRAME,
    GAP,
    LINES,
    MARGIN,
    TITLE,
    draw_ranked_lists,
    save_ranked_lists,
)
from mmosnet.visualization.ranked_lists import MOST_QUERIES
from mmosnet.visualization.sheet import BLUE, GREEN, MARK, RED, blank, write

WIDTH = CELL[1] + 2 * FRAME
HEIGHT = CELL[0] + 2 * FRAME + LINES * CAPTION + MARGIN
HEADER = TITLE + CAPTION + MARGIN


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f'{value}.png' for value in (0, 100, 200)]
    for path in paths:
        cv2.imwrite(str(path), np.full((64, 32, 3), int(path.stem), np.uint8))
    return list(map(str, paths))


@pytest.fixture
def shown(paths):
    return [ShownQuery(paths[0], 5, [(paths[1], 5, 0.5, True), (paths[2], 7, 1.25, False)], 0.75, 2, 1)] * 2


def test_frames_and_marks_tell_right_from_wrong(shown):
    sheet = draw_ranked_lists(shown, columns=10)
    # A header, two rows; the query, a gap, ten columns of which eight are empty.
    assert sheet.shape == (HEADER + 2 * HEIGHT, 11 * WIDTH + GAP, 3)
    row = sheet[HEADER : HEADER + HEIGHT]
    query, first, second = row[:, :WIDTH], row[:, WIDTH + GAP :][:, :WIDTH], row[:, 2 * WIDTH + GAP :][:, :WIDTH]
    assert [tuple(cell[1, 10]) for cell in (query, first, second)] == [BLUE, GREEN, RED]
    assert [(cell[FRAME + MARK + 5, 20] == value).all() for cell, value in ((first, 100), (second, 200))]
    # Without colours: the white of the marks has another shape, and the query has none.
    corners = [cell[FRAME : FRAME + MARK, -FRAME - MARK : -FRAME].min(2) > 200 for cell in (query, first, second)]
    assert not corners[0].any() and (corners[1] != corners[2]).any()
    assert (row[:, 3 * WIDTH + GAP :] == 255).all()


def test_what_nobody_knows_has_neither_colour_nor_mark(paths):
    sheet = draw_ranked_lists([ShownQuery(paths[0], -1, [(paths[1], 5, 0.5, None)])], columns=1)
    row = sheet[HEADER:]
    assert tuple(row[1, WIDTH + GAP + 10]) == BLUE
    assert not (row == GREEN).all(2).any() and not (row == RED).all(2).any()


def test_a_narrow_sheet_is_as_wide_as_its_title(shown):
    title = ['A title that is far wider than a query with the three images that it ranks first, with room, and not cut']
    sheet = draw_ranked_lists(shown, columns=3, title=title)
    assert sheet.shape[0] == HEADER + TITLE + 2 * HEIGHT
    assert sheet.shape[1] > 4 * WIDTH + GAP
    assert (sheet[:TITLE, -30:] < 200).any() and (sheet[:TITLE, -2:] == 255).all()


def dark(picture):
    """Return where a picture has letters."""
    return (picture.max(2) < 150).any(0)


def test_figures_of_a_query_are_whole(paths):
    gallery = [(paths[1], 5, 0.5, True)] * 10
    for found in (10, 1000):
        sheet = draw_ranked_lists([ShownQuery(paths[0], 5, gallery, 1.0, found, 1)], columns=10)
        line = blank(CAPTION, 200)
        write(line, f'AP 1.00, 10/{found}', MARGIN, CAPTION - 4)
        bottom = HEADER + HEIGHT - MARGIN
        drawn = sheet[bottom - CAPTION : bottom, : WIDTH + GAP]
        # Every letter, and white behind the last one.
        np.testing.assert_array_equal(drawn, line[:, : WIDTH + GAP])
        assert not dark(line)[WIDTH + GAP - 4 :].any()


def test_cameras_are_shown(shown):
    with_cameras = [replace(query, camid=3, camids=[0, 12]) for query in shown]
    one, other = draw_ranked_lists(shown, 2), draw_ranked_lists(with_cameras, 2)
    top = HEADER + CELL[0] + 2 * FRAME + CAPTION
    changed = (one != other).any(2)
    assert not changed[:top].any() and not changed[top + CAPTION + 2 : HEADER + HEIGHT].any()
    lefts = (0, WIDTH + GAP, 2 * WIDTH + GAP)
    for left, text in zip(lefts, ('camera 3', 'camera 0', 'camera 12'), strict=True):
        line = blank(CAPTION, WIDTH)
        write(line, text, MARGIN, CAPTION - 4)
        np.testing.assert_array_equal(other[top : top + CAPTION, left : left + WIDTH], line)


def test_the_largest_sheet_fits_into_a_jpeg_file():
    # 65,535 rows; three lines of title.
    assert MOST_QUERIES * HEIGHT + HEADER + 3 * TITLE < 65_536


def test_saved_file_reads_back(shown, tmp_path):
    path = save_ranked_lists(shown, tmp_path / 'new' / 'sheet.png', columns=2)
    np.testing.assert_array_equal(cv2.imread(str(path)), draw_ranked_lists(shown, columns=2))
