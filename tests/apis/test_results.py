from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample, MultiTaskDataSample

from mmosnet.apis.results import PredictedTasks, prediction_table, save_predictions
from mmosnet.errors import DataError
from mmosnet.models.build import build_model
from tests.apis.small_models import ATTRIBUTE_NAMES, CLASSES, JOINT, small_config

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


def test_one_line_per_image():
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


def test_csv_has_one_row_per_image(tmp_path):
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
    """A name with a line break stays on one line, and the files keep each byte of it."""
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


@pytest.fixture(scope='module')
def model():
    return build_model(small_config(JOINT))


def test_names_are_given_or_saved_or_numbers(model):
    model._dataset_meta = dict(attributes=ATTRIBUTE_NAMES, classes=tuple(CLASSES), pos_ratio=[0.1] * 3)
    tasks = PredictedTasks(model)
    assert (tasks.attributes, tasks.classes) == (ATTRIBUTE_NAMES, CLASSES)
    tasks = PredictedTasks(model, attributes=('a', 'b', 'c'))
    assert (tasks.attributes, tasks.classes) == (['a', 'b', 'c'], CLASSES)
    for nothing in ({}, None, dict(attributes=None)):
        model._dataset_meta = nothing
        tasks = PredictedTasks(model)
        assert tasks.attributes == ['attribute 0', 'attribute 1', 'attribute 2'] and tasks.classes == list('0123')


@pytest.mark.parametrize(
    ('options', 'meta', 'message'),
    [
        (dict(attributes=['a', 'b']), {}, r'the given attributes are no list of 3 names: .*; give attributes=\['),
        (dict(attributes='abc'), {}, 'the given attributes are no list of 3 names: abc'),
        (dict(attributes=['a', 'a', 'b']), {}, 'give each a name of its own'),
        ({}, dict(classes=['x', 'y']), "the checkpoint's classes are no list of 4 names"),
        ({}, dict(classes=[0, 1, 2, 3]), "the checkpoint's classes are no list of 4 names"),
        ({}, dict(classes=17), "the checkpoint's classes are no list of 4 names: 17"),
    ],
)
def test_names_that_do_not_fit(model, options, meta, message):
    model._dataset_meta = meta
    with pytest.raises(DataError, match=message):
        PredictedTasks(model, **options)


def test_classes_may_share_a_name(model):
    """ImageNet has two cranes."""
    model._dataset_meta = dict(classes=['crane', 'bench', 'crane', 'sign'])
    assert PredictedTasks(model).classes[2] == 'crane'


@pytest.fixture
def sample(model):
    """Return predictions of a model that names its attributes and categories."""
    model._dataset_meta = dict(attributes=ATTRIBUTE_NAMES, classes=CLASSES)
    sample = MultiTaskDataSample()
    sample.set_field(DataSample(embedding=torch.arange(4.0)), 'reid')
    sample.set_field(DataSample().set_pred_score([0.5, 0.25, 1.0]), 'attributes')
    sample.set_field(DataSample().set_pred_score([0.125, 0.25, 0.5, 0.125]), 'category')
    return sample


def test_a_sample_becomes_numbers_with_names(model, sample):
    result = PredictedTasks(model).read(sample)
    np.testing.assert_array_equal(result.pop('embedding'), [0, 1, 2, 3])
    assert result == dict(
        attributes={'hat': 0.5, 'bag': 0.25, 'long hair': 1.0}, category=dict(name='cart', label=2, score=0.5)
    )


@pytest.mark.parametrize('task', ['reid', 'attributes', 'category'])
def test_a_model_that_has_diverged(model, sample, task):
    """JSON has no NaN."""
    part = sample.get(task)
    (part.embedding if task == 'reid' else part.pred_score)[1] = torch.nan
    with pytest.raises(DataError, match=r'not finite.*another checkpoint'):
        PredictedTasks(model).read(sample)
