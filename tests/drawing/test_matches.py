from __future__ import annotations

import numpy as np

from mmosnet.drawing.matches import ShownImage, draw_matches
from mmosnet.drawing.sheets import CAPTION_LINE, CELL, FRAME, FRAME_COLORS, LINE, MARGIN, QUERY_GAP

CARD_WIDTH = CELL[1] + 2 * FRAME
# Height of the text and the names of the columns above searches.
MATCH_HEADER = 2 * LINE + MARGIN


def picture(seed):
    return np.random.RandomState(seed).randint(0, 256, (32, 16, 3)).astype(np.uint8)


def test_frames_say_who_is_the_same():
    states = [None, True, False, None]
    query, *matches = [ShownImage(picture(number), [f'{number}'], same) for number, same in enumerate(states)]
    sheet = draw_matches([(query, matches)], 0.5)
    # The left edge of each frame.
    lefts = [1, *(CARD_WIDTH * column + QUERY_GAP + 1 for column in (1, 2, 3))]
    assert [tuple(sheet[MATCH_HEADER + 60, left]) for left in lefts] == [FRAME_COLORS[same] for same in states]
    assert sheet.shape[2] == 3 and sheet.dtype == np.uint8


def test_rows_of_any_length_and_images_that_are_gone():
    query = ShownImage(picture(1), ['query'])
    gone = ShownImage(None, ['1: 0.100', 'anna', 'camera 3', '12.5'])
    sheet = draw_matches([(query, [gone] * 12), (query, []), (query, [query])], None)
    heights = [CELL[0] + 2 * FRAME + lines * CAPTION_LINE + MARGIN for lines in (4, 1, 1)]
    assert sheet.shape == (MATCH_HEADER + sum(heights), 13 * CARD_WIDTH + QUERY_GAP, 3)
    # The cell of an image that is gone is gray, with words in it.
    left = CARD_WIDTH + QUERY_GAP + FRAME
    inside = sheet[MATCH_HEADER + FRAME :, left:][: CELL[0], : CELL[1]]
    assert np.mean(inside == 225) > 0.8 and inside.min() < 120
