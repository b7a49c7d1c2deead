from __future__ import annotations

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmosnet.datasets.check import ImageFacts, load_parts, read_images
from mmosnet.drawing.sheets import CAPTION_LINE, GRAY, MARGIN
from mmosnet.visualization.data import (
    CAPTION,
    CELL,
    GAP,
    MAX_CAMERAS,
    ShownPerson,
    choose_people,
    draw_contact_sheet,
    save_contact_sheet,
)


@pytest.fixture
def people(tmp_path):
    for name, shape in dict(tall=(64, 16), square=(50, 50), large=(256, 128)).items():
        cv2.imwrite(str(tmp_path / f'{name}.png'), np.full((*shape, 3), 100, np.uint8))
    record = {name: dict(img_path=str(tmp_path / f'{name}.png')) for name in ('tall', 'square', 'large')}
    first = ShownPerson('anna', 'train', {0: [record['tall'], record['large']], 4: [record['square']]})
    second = ShownPerson('a very long name that leaves the caption', 'test', {2: [record['large']]})
    return [first, second]


def test_rows_are_people_and_columns_cameras(people):
    sheet = draw_contact_sheet(people)
    line = CAPTION_LINE + MARGIN
    row, column = CELL[0] + line, CELL[1] + GAP
    assert sheet.shape == (line + 2 * row, CAPTION + 3 * column, 3)

    def cell(i, j):
        return sheet[line + i * row : line + i * row + CELL[0], CAPTION + j * column : CAPTION + j * column + CELL[1]]

    # Proportions stay: a tall image leaves its sides gray, a square one its top and bottom.
    assert (cell(0, 0)[:, 20:44] == 100).all() and (cell(0, 0)[:, :16] == GRAY).all()
    assert (cell(0, 2)[40:88] == 100).all() and (cell(0, 2)[:30] == GRAY).all()
    assert (cell(1, 1) == 100).all()
    for i, j in ((0, 1), (1, 0), (1, 2)):
        assert (cell(i, j) == GRAY).all(), 'nobody by this camera'
    # A long name stays in its caption.
    assert (sheet[line + row :, CAPTION - 3 : CAPTION] == 255).all()
    assert (sheet[line : line + row, :CAPTION] < 255).any()


def test_many_cameras_are_cut(people):
    record = people[1].records[2]
    sheet = draw_contact_sheet([ShownPerson('anna', 'train', dict.fromkeys(range(30), record))])
    assert sheet.shape[1] == CAPTION + MAX_CAMERAS * (CELL[1] + GAP)


def test_people_are_spread_over_training_and_testing(market_root):
    common = dict(type='mmosnet.Market1501', data_root=str(market_root))
    loaders = dict(
        train_dataloader=dict(dataset=dict(common)),
        val_dataloader=dict(dataset=dict(common, split=('query', 'gallery'))),
    )
    parts, _ = load_parts(Config(loaders))
    facts = read_images(parts)
    chosen = choose_people(parts, facts, 6)
    assert [(person.split, person.name) for person in chosen] == [
        *(('train', '1'), ('train', '3'), ('train', '5')),
        *(('test', '7'), ('test', '8'), ('test', '9')),
    ]
    # Query and gallery together.
    assert {camid: len(records) for camid, records in chosen[3].records.items()} == {0: 2, 1: 2}
    # Neither distractors nor images that cannot be read.
    assert len(choose_people(parts, facts, 100)) == 10
    facts = {path: fact if '/0007_' not in path else ImageFacts(0, 0, '', 'damaged') for path, fact in facts.items()}
    assert '7' not in [person.name for person in choose_people(parts, facts, 100)]
    assert [person.split for person in choose_people(parts[:1], facts, 4)] == ['train'] * 4
    assert choose_people([], {}) == []


def test_saved_file_reads_back(people, tmp_path):
    path = save_contact_sheet(people, tmp_path / 'new' / 'sheet.png')
    np.testing.assert_array_equal(cv2.imread(str(path)), draw_contact_sheet(people))
