import cv2
import numpy as np
import pytest

from mmosnet.evaluation.shown_query import ShownQuery
from mmosnet.visualization.ranked_list_sheet import (
    CAPTION,
    CELL,
    FRAME,
    GAP,
    MARGIN,
    TITLE,
    draw_ranked_lists,
    save_ranked_lists,
)
from mmosnet.visualization.sheet import BLUE, GREEN, MARK, RED

WIDTH = CELL[1] + 2 * FRAME
HEIGHT = CELL[0] + 2 * FRAME + 2 * CAPTION + MARGIN
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
    title = ['A title that is far wider than a query with the three images that it ranks first, and not cut']
    sheet = draw_ranked_lists(shown, columns=3, title=title)
    assert sheet.shape[0] == HEADER + TITLE + 2 * HEIGHT
    assert sheet.shape[1] > 4 * WIDTH + GAP
    assert (sheet[:TITLE, -30:] < 200).any() and (sheet[:TITLE, -2:] == 255).all()


def test_saved_file_reads_back(shown, tmp_path):
    path = save_ranked_lists(shown, tmp_path / 'new' / 'sheet.png', columns=2)
    np.testing.assert_array_equal(cv2.imread(str(path)), draw_ranked_lists(shown, columns=2))
