from __future__ import annotations

import numpy as np
import pytest

from mmosnet.drawing.sheets import BLACK, MARK, TEXT_SIZE, TITLE_SIZE, blank, mark, save_sheet, text_width, write


def ink(picture):
    return (picture < 128).any(2)


def test_text_stands_on_its_line_within_its_width():
    picture = blank(60, 400)
    write(picture, 'Ranked', 10, 40)
    rows, columns = np.nonzero(ink(picture))
    assert rows.min() >= 40 - TEXT_SIZE and rows.max() == 39
    assert columns.min() >= 10 and columns.max() < 10 + text_width('Ranked')
    large = blank(60, 400)
    write(large, 'Ranked', 10, 40, size=TITLE_SIZE)
    assert ink(large).sum() > ink(picture).sum()


@pytest.mark.parametrize('bottom', [3, 14, 20])
def test_text_near_the_edges_of_a_narrow_strip(bottom):
    strip = blank(18, 100)
    write(strip, 'a text that is far too long for this strip', 5, bottom)
    assert ink(strip).any() and not ink(strip)[:, 99:].any()


def test_a_part_of_a_picture_is_written_on_in_place():
    picture = blank(40, 200)
    write(picture[:, 100:], 'right', 0, 20)
    assert not ink(picture)[:, :99].any() and ink(picture)[:, 100:].any()


def test_marks_differ_without_their_colors():
    pictures = [blank(30, 30), blank(30, 30)]
    for picture, right in zip(pictures, (True, False), strict=True):
        mark(picture, right, 5, 6)
        assert (picture[:6] == 255).all() and (picture[6 + MARK :] == 255).all() and (picture[:, :5] == 255).all()
    tick, cross = ((picture[6 : 6 + MARK, 5 : 5 + MARK].min(2) > 200) for picture in pictures)
    # A cross looks alike from both sides.
    assert (cross != cross[:, ::-1]).sum() < 10 and (tick != tick[:, ::-1]).sum() > 20
    brightness = [picture[6, 5].astype(float) @ (0.11, 0.59, 0.3) for picture in pictures]
    assert abs(brightness[0] - brightness[1]) > 5 and tuple(pictures[0][6, 5]) != BLACK


def test_no_picture_of_an_unknown_format(tmp_path):
    with pytest.raises(OSError, match=r'sheet\.nothing'):
        save_sheet(blank(2, 2), tmp_path / 'sheet.nothing')
