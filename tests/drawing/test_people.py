from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mmosnet.drawing.people import (
    ATTRIBUTE_TEXT,
    COLUMNS,
    PER_SHEET,
    PREDICTION_TEXT,
    ROW_GAP,
    PredictionSheets,
    draw_attribute_sheet,
    draw_ranked_lists,
    per_attribute_table,
    predicted_attributes,
    save_attribute_sheet,
    save_ranked_lists,
)
from mmosnet.drawing.sheets import (
    BLUE,
    CAPTION_LINE,
    CELL,
    FRAME,
    GREEN,
    LINE,
    MARGIN,
    MARK,
    QUERY_GAP,
    RED,
    TITLE_LINE,
    blank,
    printable,
    write,
)
from mmosnet.evaluation.metrics import AttributeRow, ShownAttributes
from mmosnet.evaluation.ranking import ShownQuery
from mmosnet.visualization.ranked_lists import MOST_QUERIES

NAMES = ['right', 'wrong', 'missed', 'rightly not predicted', 'exactly']
WIDTH = CELL[1] + ATTRIBUTE_TEXT
# Size of a framed card with three lines below.
CARD_WIDTH = CELL[1] + 2 * FRAME
CARD_HEIGHT = CELL[0] + 2 * FRAME + 3 * CAPTION_LINE + MARGIN


@pytest.fixture
def people(tmp_path):
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
    """Return where a mark is white."""
    return (picture > 200).all(2)


def test_colors_tell_right_from_wrong(people):
    sheet = draw_attribute_sheet(people[:2], columns=3)
    header = LINE + ROW_GAP
    # No more columns than people.
    assert sheet.shape == (header + CELL[0] + ROW_GAP, 2 * WIDTH, 3)
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
    # Marks in front, so that colors are not needed: a tick, a cross, nothing where one is missed.
    marks = [line[:, 6 : 6 + MARK] for line in lines]
    assert has(marks[0], GREEN) and has(marks[1], RED) and (marks[3] == 255).all()
    assert (has_shape(marks[0]) != has_shape(marks[1])).any()
    # Nobody's attributes.
    assert (sheet[header : header + LINE, WIDTH + CELL[1] : 2 * WIDTH] < 255).any()
    assert (sheet[header + LINE :, WIDTH + CELL[1] :] == 255).all()


def test_predictions_that_nobody_can_judge_are_black(people):
    sheet = draw_attribute_sheet([replace(people[0], gt=None)], title=['somebody'])
    assert sheet.shape == (TITLE_LINE + CELL[0] + ROW_GAP, WIDTH, 3)
    assert not has(sheet, GREEN) and not has(sheet, RED)
    lines = [sheet[TITLE_LINE + i * LINE : TITLE_LINE + (i + 1) * LINE, CELL[1] :] for i in range(4)]
    # Three are predicted.
    assert [(line < 128).any() for line in lines] == [True, True, True, False]


def test_many_attributes_lengthen_the_row_and_long_names_are_cut(people):
    sheet = draw_attribute_sheet(people, columns=1)
    # The legend is wider than one person.
    assert sheet.shape[0] == LINE + ROW_GAP + 2 * (CELL[0] + ROW_GAP) + 30 * LINE + 4 + ROW_GAP
    assert sheet.shape[1] > WIDTH and (sheet[LINE + ROW_GAP :, WIDTH:] == 255).all()
    (last,) = sheet[-ROW_GAP - LINE - 4 :][None]
    assert has(last, GREEN)
    beside = draw_attribute_sheet(people[::-1], columns=2)
    # The text of the first person ends where the second's picture begins.
    assert (beside[LINE + ROW_GAP + 5 : LINE + ROW_GAP + CELL[0] - 5, WIDTH + 5 : WIDTH + CELL[1] - 5] == 100).all()


def test_table():
    rows = [AttributeRow('Hat', 0.25, 0.5, 0.875, 0.66667), AttributeRow('LongCoat', 0.0, None, 0.99, None)]
    assert per_attribute_table(rows).splitlines() == [
        '         | positives |    TPR |    TNR |     AP',
        '---------+-----------+--------+--------+-------',
        'Hat      |    0.2500 | 0.5000 | 0.8750 | 0.6667',
        'LongCoat |    0.0000 |        | 0.9900 |',
    ]


HEADER = MARK + CAPTION_LINE + 3 * MARGIN


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f'{value}.png' for value in (0, 100, 200)]
    for path in paths:
        cv2.imwrite(str(path), np.full((64, 32, 3), int(path.stem), np.uint8))
    return list(map(str, paths))


@pytest.fixture
def queries(paths):
    return [ShownQuery(paths[0], 5, [(paths[1], 5, 0.5, True), (paths[2], 7, 1.25, False)], 0.75, 2, 1)] * 2


def test_frames_and_marks_tell_right_from_wrong(queries):
    sheet = draw_ranked_lists(queries, columns=10)
    # A header, two rows; the query, a gap, ten columns of which eight are empty.
    assert sheet.shape == (HEADER + 2 * CARD_HEIGHT, 11 * CARD_WIDTH + QUERY_GAP, 3)
    row = sheet[HEADER : HEADER + CARD_HEIGHT]
    query, first, second = (
        row[:, :CARD_WIDTH],
        row[:, CARD_WIDTH + QUERY_GAP :][:, :CARD_WIDTH],
        row[:, 2 * CARD_WIDTH + QUERY_GAP :][:, :CARD_WIDTH],
    )
    assert [tuple(cell[1, 10]) for cell in (query, first, second)] == [BLUE, GREEN, RED]
    assert [(cell[FRAME + MARK + 5, 20] == value).all() for cell, value in ((first, 100), (second, 200))]
    # Without colors: the white of the marks has another shape, and the query has none.
    corners = [cell[FRAME : FRAME + MARK, -FRAME - MARK : -FRAME].min(2) > 200 for cell in (query, first, second)]
    assert not corners[0].any() and (corners[1] != corners[2]).any()
    assert (row[:, 3 * CARD_WIDTH + QUERY_GAP :] == 255).all()


def test_what_nobody_knows_has_neither_color_nor_mark(paths):
    sheet = draw_ranked_lists([ShownQuery(paths[0], -1, [(paths[1], 5, 0.5, None)])], columns=1)
    row = sheet[HEADER:]
    assert tuple(row[1, CARD_WIDTH + QUERY_GAP + 10]) == BLUE
    assert not (row == GREEN).all(2).any() and not (row == RED).all(2).any()


def test_a_narrow_sheet_is_as_wide_as_its_title(queries):
    title = ['A title that is far wider than a query with the three images that it ranks first, with room, and not cut']
    sheet = draw_ranked_lists(queries, columns=3, title=title)
    assert sheet.shape[0] == HEADER + TITLE_LINE + 2 * CARD_HEIGHT
    assert sheet.shape[1] > 4 * CARD_WIDTH + QUERY_GAP
    assert (sheet[:TITLE_LINE, -30:] < 200).any() and (sheet[:TITLE_LINE, -2:] == 255).all()


def dark(picture):
    """Return where a picture has letters."""
    return (picture.max(2) < 150).any(0)


def test_figures_of_a_query_are_whole(paths):
    gallery = [(paths[1], 5, 0.5, True)] * 10
    for found in (10, 1000):
        sheet = draw_ranked_lists([ShownQuery(paths[0], 5, gallery, 1.0, found, 1)], columns=10)
        line = blank(CAPTION_LINE, 200)
        write(line, f'AP 1.00, 10/{found}', MARGIN, CAPTION_LINE - 4)
        bottom = HEADER + CARD_HEIGHT - MARGIN
        drawn = sheet[bottom - CAPTION_LINE : bottom, : CARD_WIDTH + QUERY_GAP]
        # Every letter, and white behind the last one.
        np.testing.assert_array_equal(drawn, line[:, : CARD_WIDTH + QUERY_GAP])
        assert not dark(line)[CARD_WIDTH + QUERY_GAP - 4 :].any()


def test_cameras_are_shown(queries):
    with_cameras = [replace(query, camid=3, camids=[0, 12]) for query in queries]
    one, other = draw_ranked_lists(queries, 2), draw_ranked_lists(with_cameras, 2)
    top = HEADER + CELL[0] + 2 * FRAME + CAPTION_LINE
    changed = (one != other).any(2)
    assert not changed[:top].any() and not changed[top + CAPTION_LINE + 2 : HEADER + CARD_HEIGHT].any()
    lefts = (0, CARD_WIDTH + QUERY_GAP, 2 * CARD_WIDTH + QUERY_GAP)
    for left, text in zip(lefts, ('camera 3', 'camera 0', 'camera 12'), strict=True):
        line = blank(CAPTION_LINE, CARD_WIDTH)
        write(line, text, MARGIN, CAPTION_LINE - 4)
        np.testing.assert_array_equal(other[top : top + CAPTION_LINE, left : left + CARD_WIDTH], line)


def test_the_largest_sheet_fits_into_a_jpeg_file():
    # 65,535 rows; three lines of title.
    assert MOST_QUERIES * CARD_HEIGHT + HEADER + 3 * TITLE_LINE < 65_536


def test_saved_files_read_back(people, queries, tmp_path):
    path = save_ranked_lists(queries, tmp_path / 'new' / 'ranked.png', columns=2)
    np.testing.assert_array_equal(cv2.imread(str(path)), draw_ranked_lists(queries, columns=2))
    path = save_attribute_sheet(people, tmp_path / 'new' / 'attributes.png', columns=2)
    np.testing.assert_array_equal(cv2.imread(str(path)), draw_attribute_sheet(people, columns=2))


GREEN_IMAGE = np.full((40, 20, 3), (0, 255, 0), np.uint8)


def sheets_in(folder):
    return [(path.name, cv2.imread(str(path)).astype(int)) for path in sorted(folder.iterdir())]


def test_attributes_from_one_half_on_surest_first():
    result = dict(attributes={'a': 0.5, 'b': 0.49, 'c': 0.9})
    assert predicted_attributes(result) == [('c', 0.9), ('a', 0.5)]
    assert predicted_attributes({}) == []


def test_images_fill_sheets_and_numbers_go_on(tmp_path):
    for _ in range(2):
        sheets = PredictionSheets(tmp_path / 'new')
        for _ in range(PER_SHEET + 1):
            sheets.add(GREEN_IMAGE, dict(img_path='folder/a.jpg'))
        sheets.finish()
        sheets.finish()
    (tmp_path / 'new' / 'predictions_more.jpg').write_bytes(b'')
    assert PredictionSheets(tmp_path / 'new').number == 4
    (tmp_path / 'new' / 'predictions_more.jpg').unlink()
    found = sheets_in(tmp_path / 'new')
    assert [name for name, _ in found] == [f'predictions_{number:05d}.jpg' for number in range(1, 5)]
    height, width = CELL[0] + ROW_GAP, CELL[1] + PREDICTION_TEXT
    assert found[0][1].shape == (PER_SHEET // COLUMNS * height, COLUMNS * width, 3)
    assert found[1][1].shape == (height, width, 3)


def test_a_picture_with_its_text_and_a_grey_one_for_no_image(tmp_path):
    category = dict(name='cart', label=1, score=0.75)
    attributes = {f'attribute {number}': 0.9 for number in range(12)}
    sheets = PredictionSheets(tmp_path)
    sheets.add(GREEN_IMAGE, dict(img_path=None, attributes=attributes, category=category))
    sheets.add(None, dict(img_path='a.jpg', error='gone'))
    sheets.finish()
    ((_, sheet),) = sheets_in(tmp_path)
    # As tall as fourteen lines need.
    assert sheet.shape[0] > CELL[0] + ROW_GAP and sheet.shape[1] == 2 * (CELL[1] + PREDICTION_TEXT)
    assert sheet[CELL[0] // 2, CELL[1] // 2] == pytest.approx([0, 255, 0], abs=8)
    assert sheet[CELL[0] // 2, CELL[1] + PREDICTION_TEXT + 40] == pytest.approx([225, 225, 225], abs=8)
    texts = (
        sheet[:, CELL[1] : CELL[1] + PREDICTION_TEXT].min(axis=(1, 2)) < 128,
        sheet[:, 2 * CELL[1] + PREDICTION_TEXT :].min(axis=(1, 2)) < 128,
    )
    # Letters in the last line, and in two lines of the other.
    assert texts[0][-ROW_GAP - 20 :].any() and texts[1][:36].any() and not texts[1][40:].any()


def test_names_of_files_that_are_no_text(tmp_path):
    """OpenCV ends the process at half characters, which stand for bytes of a name that are not UTF-8."""
    sheets = PredictionSheets(tmp_path)
    sheets.add(
        GREEN_IMAGE,
        dict(img_path='folder/b\udcffd\nline\0.jpg', category=dict(name='\ud800', label=0, score=1.0)),
    )
    sheets.finish()
    assert [name for name, _ in sheets_in(tmp_path)] == ['predictions_00001.jpg']
    assert printable('b\udcffd\nline\0 é') == 'b?d line? é'
