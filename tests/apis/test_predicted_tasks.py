import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample, MultiTaskDataSample

from mmosnet.apis.predicted_tasks import PredictedTasks
from mmosnet.errors import DataError
from mmosnet.models.build import build_model
from tests.apis.small_models import ATTRIBUTE_NAMES, CLASSES, JOINT, small_config


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


def test_a_sample_becomes_numbers_with_names(model):
    model._dataset_meta = dict(attributes=ATTRIBUTE_NAMES, classes=CLASSES)
    sample = MultiTaskDataSample()
    sample.set_field(DataSample(embedding=torch.arange(4.0)), 'reid')
    sample.set_field(DataSample().set_pred_score([0.5, 0.25, 1.0]), 'attributes')
    sample.set_field(DataSample().set_pred_score([0.125, 0.25, 0.5, 0.125]), 'category')
    result = PredictedTasks(model).read(sample)
    np.testing.assert_array_equal(result.pop('embedding'), [0, 1, 2, 3])
    assert result == dict(
        attributes={'hat': 0.5, 'bag': 0.25, 'long hair': 1.0}, category=dict(name='cart', label=2, score=0.5)
    )


@pytest.mark.parametrize('task', ['reid', 'attributes', 'category'])
def test_a_model_that_has_diverged(model, task):
    """NaN is no JSON, and no answer."""
    model._dataset_meta = dict(attributes=ATTRIBUTE_NAMES, classes=CLASSES)
    sample = MultiTaskDataSample()
    sample.set_field(DataSample(embedding=torch.ones(4)), 'reid')
    sample.set_field(DataSample().set_pred_score([0.5, 0.25, 1.0]), 'attributes')
    sample.set_field(DataSample().set_pred_score([0.25, 0.25, 0.25, 0.25]), 'category')
    part = sample.get(task)
    (part.embedding if task == 'reid' else part.pred_score)[1] = torch.nan
    with pytest.raises(DataError, match=r'not finite.*another checkpoint'):
        PredictedTasks(model).read(sample)
