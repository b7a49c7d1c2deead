import cv2
import numpy as np
import pytest

from mmosnet.evaluation.reid_metric import ShownQuery
from mmosnet.visualization.ranked_list_sheet import (
    CAPTION,
    CELL,
    FRAME,
    GAP,
    GREEN,
    RED,
    draw_ranked_lists,
    save_ranked_lists,
)


@pytest.fixture
def shown(tmp_path):
    paths = []
    for value in (0, 100, 200):
        path = tmp_path / f'{value}.png'
        cv2.imwrite(str(path), np.full((64, 32, 3), value, np.uint8))
        paths.append(str(path))
    return [ShownQuery(paths[0], 5, [(paths[1], 5, 0.5, True), (paths[2], 7, 1.25, False)])] * 2


def test_frames_tell_right_from_wrong(shown):
    sheet = draw_ranked_lists(shown, columns=3)
    width, height = CELL[1] + 2 * FRAME, CELL[0] + 2 * FRAME + CAPTION
    # A header, two rows; the query, a gap, three columns of which the last is empty.
    assert sheet.shape == (CAPTION + 2 * height, 4 * width + GAP, 3)
    top = CAPTION + height + 1
    first, second = width + GAP, 2 * width + GAP
    assert tuple(sheet[top, first + 10]) == GREEN
    assert tuple(sheet[top, second + 10]) == RED
    assert (sheet[CAPTION + FRAME + 5, first + 20] == 100).all()
    assert (sheet[CAPTION + FRAME + 5, second + 20] == 200).all()
    assert (sheet[CAPTION:-height, second + width :] == 255).all()


def test_saved_file_reads_back(shown, tmp_path):
    path = save_ranked_lists(shown, tmp_path / 'new' / 'sheet.png', columns=2)
    np.testing.assert_array_equal(cv2.imread(str(path)), draw_ranked_lists(shown, columns=2))
