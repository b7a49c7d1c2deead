import cv2
import numpy as np
import pytest

from mmosnet.visualization.prediction_sheet import (
    CELL,
    COLUMNS,
    GAP,
    PER_SHEET,
    TEXT,
    PredictionSheets,
    told_attributes,
)
from mmosnet.visualization.sheet import printable

GREEN = np.full((40, 20, 3), (0, 255, 0), np.uint8)


def sheets_in(folder):
    return [(path.name, cv2.imread(str(path)).astype(int)) for path in sorted(folder.iterdir())]


def test_attributes_from_one_half_on_surest_first():
    result = dict(attributes={'a': 0.5, 'b': 0.49, 'c': 0.9})
    assert told_attributes(result) == [('c', 0.9), ('a', 0.5)]
    assert told_attributes({}) == []


def test_images_fill_sheets_and_numbers_go_on(tmp_path):
    for _ in range(2):
        sheets = PredictionSheets(tmp_path / 'new')
        for _ in range(PER_SHEET + 1):
            sheets.add(GREEN, dict(img_path='folder/a.jpg'))
        sheets.finish()
        sheets.finish()
    (tmp_path / 'new' / 'predictions_more.jpg').write_bytes(b'')
    assert PredictionSheets(tmp_path / 'new').number == 4
    (tmp_path / 'new' / 'predictions_more.jpg').unlink()
    found = sheets_in(tmp_path / 'new')
    assert [name for name, _ in found] == [f'predictions_{number:05d}.jpg' for number in range(1, 5)]
    height, width = CELL[0] + GAP, CELL[1] + TEXT
    assert found[0][1].shape == (PER_SHEET // COLUMNS * height, COLUMNS * width, 3)
    assert found[1][1].shape == (height, width, 3)


def test_a_picture_with_its_text_and_a_grey_one_for_no_image(tmp_path):
    category = dict(name='cart', label=1, score=0.75)
    attributes = {f'attribute {number}': 0.9 for number in range(12)}
    sheets = PredictionSheets(tmp_path)
    sheets.add(GREEN, dict(img_path=None, attributes=attributes, category=category))
    sheets.add(None, dict(img_path='a.jpg', error='gone'))
    sheets.finish()
    ((_, sheet),) = sheets_in(tmp_path)
    # As tall as fourteen lines need.
    assert sheet.shape[0] > CELL[0] + GAP and sheet.shape[1] == 2 * (CELL[1] + TEXT)
    assert sheet[CELL[0] // 2, CELL[1] // 2] == pytest.approx([0, 255, 0], abs=8)
    assert sheet[CELL[0] // 2, CELL[1] + TEXT + 40] == pytest.approx([225, 225, 225], abs=8)
    texts = (
        sheet[:, CELL[1] : CELL[1] + TEXT].min(axis=(1, 2)) < 128,
        sheet[:, 2 * CELL[1] + TEXT :].min(axis=(1, 2)) < 128,
    )
    # Letters in the last line, and in two lines of the other.
    assert texts[0][-GAP - 20 :].any() and texts[1][:36].any() and not texts[1][40:].any()


def test_names_of_files_that_are_no_text(tmp_path):
    """OpenCV ends the process at half characters, which stand for bytes of a name that are not UTF-8."""
    sheets = PredictionSheets(tmp_path)
    sheets.add(GREEN, dict(img_path='folder/b\udcffd\nline\0.jpg', category=dict(name='\ud800', label=0, score=1.0)))
    sheets.finish()
    assert [name for name, _ in sheets_in(tmp_path)] == ['predictions_00001.jpg']
    assert printable('b\udcffd\nline\0 é') == 'b?d line? é'
