from dataclasses import replace

import cv2
import numpy as np
import pytest

from mmosnet.evaluation.metrics import AttributeRow, ShownAttributes
from mmosnet.visualization.attribute_sheet import (
    CELL,
    GAP,
    LINE,
    TEXT,
    TITLE,
    draw_attribute_sheet,
    per_attribute_table,
    save_attribute_sheet,
)
from mmosnet.visualization.sheet import GREEN, MARK, RED

NAMES = ['right', 'wrong', 'missed', 'rightly not predicted', 'exactly']
WIDTH = CELL[1] + TEXT


@pytest.fixture
def shown(tmp_path):
    path = tmp_path / 'person.png'
    cv2.imwrite(str(path), np.full((64, 32, 3), 100, np.uint8))
    people = [
        (NAMES, [True, False, True, False, True], [0.9, 0.8, 0.3, 0.2, 0.5]),
        (NAMES, [False] * 5, [0.1] * 5),
        ([f'attribute number {i} with a name that is too long' for i in range(30)], [True] * 30, [0.7] * 30),
    ]
    return [ShownAttributes(str(path), *person) for person in people]


def has(picture, color):
    return (picture == color).all(2).any()


def has_shape(picture):
    """Where a mark is white."""
    return (picture > 200).all(2)


def test_colours_tell_right_from_wrong(shown):
    sheet = draw_attribute_sheet(shown[:2], columns=3)
    header = LINE + GAP
    # No more columns than people.
    assert sheet.shape == (header + CELL[0] + GAP, 2 * WIDTH, 3)
    assert has(sheet[:header], GREEN) and has(sheet[:header], RED)
    person = sheet[header : header + CELL[0], :WIDTH]
    assert (person[5:-5, 5 : CELL[1] - 5] == 100).all()
    lines = [person[i * LINE : (i + 1) * LINE, CELL[1] :] for i in range(5)]
    # The surest first: right, wrong, exactly 0.5 (predicted), missed; what is rightly not predicted is left out.
    assert [(has(line, GREEN), has(line, RED)) for line in lines] == [
        (True, False),
        (False, True),
        (True, False),
        (False, True),
        (False, False),
    ]
    # Marks in front, so that colours are not needed: a tick, a cross, nothing where one is missed.
    marks = [line[:, 6 : 6 + MARK] for line in lines]
    assert has(marks[0], GREEN) and has(marks[1], RED) and (marks[3] == 255).all()
    assert (has_shape(marks[0]) != has_shape(marks[1])).any()
    # Nobody's attributes.
    assert (sheet[header : header + LINE, WIDTH + CELL[1] : 2 * WIDTH] < 255).any()
    assert (sheet[header + LINE :, WIDTH + CELL[1] :] == 255).all()


def test_predictions_that_nobody_can_judge_are_black(shown):
    sheet = draw_attribute_sheet([replace(shown[0], gt=None)], title=['somebody'])
    assert sheet.shape == (TITLE + CELL[0] + GAP, WIDTH, 3)
    assert not has(sheet, GREEN) and not has(sheet, RED)
    lines = [sheet[TITLE + i * LINE : TITLE + (i + 1) * LINE, CELL[1] :] for i in range(4)]
    # Three are predicted.
    assert [(line < 128).any() for line in lines] == [True, True, True, False]


def test_many_attributes_lengthen_the_row_and_long_names_are_cut(shown):
    sheet = draw_attribute_sheet(shown, columns=1)
    # The legend is wider than one person.
    assert sheet.shape[0] == LINE + GAP + 2 * (CELL[0] + GAP) + 30 * LINE + 4 + GAP
    assert sheet.shape[1] > WIDTH and (sheet[LINE + GAP :, WIDTH:] == 255).all()
    (last,) = sheet[-GAP - LINE - 4 :][None]
    assert has(last, GREEN)
    beside = draw_attribute_sheet(shown[::-1], columns=2)
    # The text of the first person ends where the second's picture begins.
    assert (beside[LINE + GAP + 5 : LINE + GAP + CELL[0] - 5, WIDTH + 5 : WIDTH + CELL[1] - 5] == 100).all()


def test_saved_file_reads_back(shown, tmp_path):
    path = save_attribute_sheet(shown, tmp_path / 'new' / 'sheet.png', columns=2)
    np.testing.assert_array_equal(cv2.imread(str(path)), draw_attribute_sheet(shown, columns=2))
    with pytest.raises(OSError, match='cannot encode'):
        save_attribute_sheet(shown, tmp_path / 'sheet.nothing')


def test_table():
    rows = [AttributeRow('Hat', 0.25, 0.5, 0.875, 0.66667), AttributeRow('LongCoat', 0.0, None, 0.99, None)]
    assert per_attribute_table(rows).splitlines() == [
        '         | positives |    TPR |    TNR |     AP',
        '---------+-----------+--------+--------+-------',
        'Hat      |    0.2500 | 0.5000 | 0.8750 | 0.6667',
        'LongCoat |    0.0000 |        | 0.9900 |',
    ]
