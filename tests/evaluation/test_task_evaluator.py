import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample, MultiTaskDataSample

from mmosnet.errors import DataError
from mmosnet.evaluation import TaskEvaluator
from mmosnet.registry import EVALUATORS


class Names(BaseMetric):
    """Remembers what it was given."""

    def __init__(self, prefix):
        super().__init__(prefix=prefix)

    def process(self, data_batch, data_samples):
        self.results += [sample['name'] for sample in data_samples]

    def compute_metrics(self, results):
        return {'names': list(results)}


def sample(name, **masks):
    result = MultiTaskDataSample()
    for task, mask in masks.items():
        result.set_field(DataSample(name=name, metainfo=dict(eval_mask=mask)), task)
    return result


def test_each_task_sees_its_samples():
    evaluator = TaskEvaluator(dict(reid=Names('a'), attributes=[Names('b'), Names('c')], category=None))
    evaluator.dataset_meta = dict(attributes=['hat'])
    assert all(metric.dataset_meta == dict(attributes=['hat']) for metric in evaluator.metrics)
    evaluator.process([sample('x', reid=True, attributes=False), sample('y', reid=True, attributes=True)])
    evaluator.process([sample('z', reid=False, attributes=True)])
    expected = {'a/names': ['x', 'y'], 'b/names': ['y', 'z'], 'c/names': ['y', 'z']}
    assert evaluator.evaluate(3) == expected


def test_metrics_of_a_task_that_the_model_has_not():
    evaluator = TaskEvaluator(dict(category=Names('a')))
    with pytest.raises(DataError, match=r'no category.*val_evaluator.metrics.category=None'):
        evaluator.process([sample('x', reid=True)])
    with pytest.raises(DataError, match='at least one task'):
        TaskEvaluator(dict(category=None))


def test_metrics_of_mmpretrain_take_part():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        evaluator = EVALUATORS.build(dict(type='mmosnet.TaskEvaluator', metrics=dict(category=dict(type='Accuracy'))))
    part = DataSample(metainfo=dict(eval_mask=True)).set_gt_label(1).set_pred_score(torch.tensor([0.2, 0.8]))
    joint = MultiTaskDataSample()
    joint.set_field(part, 'category')
    evaluator.process([joint])
    assert evaluator.evaluate(1) == {'accuracy/top1': 100.0}
