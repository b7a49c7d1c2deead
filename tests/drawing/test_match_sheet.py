import cv2
import numpy as np
import pytest

from mmosnet.drawing.match_sheet import CELL, FRAME, FRAMES, GAP, ShownImage, draw_matches, save_matches

WIDTH = CELL[1] + 2 * FRAME


def picture(seed):
    return np.random.RandomState(seed).randint(0, 256, (32, 16, 3)).astype(np.uint8)


def frame_colors(sheet, row_top, number):
    """The left edge of the frame of each image in a row, the query first."""
    lefts = [0, *(WIDTH + GAP + WIDTH * column for column in range(number - 1))]
    return [tuple(int(value) for value in sheet[row_top + 60, left + 1]) for left in lefts]


def test_frames_say_who_is_the_same():
    matches = [ShownImage(picture(number), [f'{number}'], same) for number, same in enumerate([True, False, None])]
    sheet = draw_matches([(ShownImage(picture(9), ['query']), matches)], 0.5)
    top = 2 * 18 + 4
    assert frame_colors(sheet, top, 4) == [FRAMES[None], FRAMES[True], FRAMES[False], FRAMES[None]]
    assert sheet.shape[2] == 3 and sheet.dtype == np.uint8


def test_rows_of_any_length_and_images_that_are_gone(tmp_path):
    query = ShownImage(picture(1), ['query'])
    gone = ShownImage(None, ['1: 0.100', 'anna'])
    sheet = draw_matches([(query, [gone] * 12), (query, []), (query, [query])], None)
    assert sheet.shape[1] == GAP + 13 * WIDTH
    # The place of an image that is gone is grey, with words in it.
    inside = sheet[44 + FRAME : 44 + CELL[0] - FRAME, WIDTH + GAP + 2 * FRAME : 2 * WIDTH + GAP - 2 * FRAME]
    assert np.mean(inside == 225) > 0.8 and inside.min() < 120
    save_matches([(query, [gone])], None, tmp_path / 'new' / 'sheet.png')
    np.testing.assert_array_equal(
        cv2.imread(str(tmp_path / 'new' / 'sheet.png')), draw_matches([(query, [gone])], None)
    )
    with pytest.raises(OSError, match=r'sheet\.txt'):
        save_matches([(query, [gone])], None, tmp_path / 'sheet.txt')
