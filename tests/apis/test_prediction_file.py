import csv
import json

import numpy as np
import pytest

from mmosnet.apis.prediction_file import prediction_table, save_predictions
from mmosnet.errors import DataError

EMBEDDING = np.array([0.1, -3e-7, 12345.679, 1 / 3], np.float32)
RESULTS = [
    dict(
        img_path='a.jpg',
        embedding=EMBEDDING,
        attributes={'hat': 0.5, 'bag': 0.499, 'long hair': 0.75},
        category=dict(name='cart, full', label=2, score=0.625),
    ),
    dict(img_path=None, embedding=np.zeros(4, np.float32), attributes={'hat': 0, 'bag': 0, 'long hair': 0}),
    dict(img_path='gone.jpg', error='no image'),
]


def test_a_line_an_image():
    lines = prediction_table(RESULTS).splitlines()
    assert lines == [
        'image    | attributes               | category        | embedding norm | error',
        '---------+--------------------------+-----------------+----------------+---------',
        'a.jpg    | long hair 0.75, hat 0.50 | cart, full 0.62 | 12345.6787     |',
        'array    | none                     |                 | 0.0000         |',
        'gone.jpg |                          |                 |                | no image',
    ]


def test_columns_of_what_there_is():
    assert prediction_table([dict(img_path='a.jpg')]) == 'image\n-----\na.jpg'
    assert prediction_table([]) == 'image\n-----'
    many = dict(img_path='a.jpg', attributes={f'{number}': 1 - number / 100 for number in range(8)})
    assert prediction_table([many]).endswith('0 1.00, 1 0.99, 2 0.98, 3 0.97, 4 0.96, and 3 more')


def test_json_gives_every_number_back(tmp_path):
    path = save_predictions(RESULTS, tmp_path / 'new' / 'out.json', config='c.py', checkpoint='c.pth')
    found = json.loads(path.read_text())
    assert (found['config'], found['checkpoint']) == ('c.py', 'c.pth')
    np.testing.assert_array_equal(np.array(found['results'][0]['embedding'], np.float32), EMBEDDING)
    assert found['results'][0]['attributes'] == RESULTS[0]['attributes']
    assert found['results'][0]['category'] == RESULTS[0]['category']
    assert found['results'][1]['img_path'] is None and found['results'][2] == RESULTS[2]


def test_csv_has_a_row_an_image(tmp_path):
    path = save_predictions(RESULTS, tmp_path / 'out.CSV', config='c.py')
    with path.open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *('img_path', 'category', 'category.label', 'category.score'),
        *('attributes.hat', 'attributes.bag', 'attributes.long hair'),
        *(f'embedding.{i}' for i in range(4)),
        'error',
    ]
    found = np.array([rows[0][f'embedding.{i}'] for i in range(4)], np.float64).astype(np.float32)
    np.testing.assert_array_equal(found, EMBEDDING)
    assert rows[0]['category'] == 'cart, full' and rows[0]['category.label'] == '2'
    assert rows[0]['attributes.bag'] == '0.499' and rows[1]['category'] == rows[1]['img_path'] == ''
    assert rows[2]['error'] == 'no image'


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r'out\.npy: name a file that ends in \.json or \.csv'):
        save_predictions(RESULTS, tmp_path / 'out.npy')


def test_names_of_files_that_are_no_text(tmp_path):
    """A line stays a line, and the files give each name back, byte by byte."""
    name = 'b\udcffd\nline.jpg'
    results = [dict(img_path=name, attributes={'hat': 0.5})]
    lines = prediction_table(results).splitlines()
    assert len(lines) == 3 and lines[2].startswith(r'b\udcffd\nline.jpg | hat')
    lines[2].encode()
    assert json.loads(save_predictions(results, tmp_path / 'out.json').read_text())['results'][0]['img_path'] == name
    with save_predictions(results, tmp_path / 'out.csv').open(
        newline='', encoding='utf-8', errors='surrogateescape'
    ) as file:
        assert [row['img_path'] for row in csv.DictReader(file)] == [name]
