import numpy as np
import pytest
import torch
from mmpretrain.evaluation import Accuracy, ConfusionMatrix
from mmpretrain.structures import DataSample

from mmosnet.errors import DataError
from mmosnet.evaluation import CategoryMetric
from mmosnet.registry import METRICS

NAMES = [f'category {label}' for label in range(7)]


def make_samples(number=60, categories=7, seed=0, paths=True):
    """Predictions that are right more often than not, as a Runner hands them to metrics."""
    generator = torch.Generator().manual_seed(seed)
    samples = []
    for index in range(number):
        label = int(torch.randint(categories, (1,), generator=generator))
        logits = torch.randn(categories, generator=generator)
        logits[label] += 1
        sample = DataSample(metainfo=dict(sample_idx=index)).set_gt_label(label).set_pred_score(logits.softmax(0))
        if paths:
            sample.set_field(f'{index}.jpg', 'img_path', field_type='metainfo')
        samples.append(sample.to_dict())
    return samples


def evaluate(metric, samples, names=NAMES):
    metric.dataset_meta = dict(classes=names)
    for start in range(0, len(samples), 16):
        metric.process({}, samples[start : start + 16])
    return metric.evaluate(len(samples))


def test_by_hand():
    """Rows are the truth: of two images of category 0 one is taken for 2."""
    rows = [(0, [0.8, 0.1, 0.1]), (0, [0.3, 0.1, 0.6]), (1, [0.1, 0.7, 0.2]), (2, [0.5, 0.3, 0.2])]
    samples = [
        DataSample(metainfo=dict(sample_idx=i)).set_gt_label(label).set_pred_score(torch.tensor(scores)).to_dict()
        for i, (label, scores) in enumerate(rows)
    ]
    metric = CategoryMetric(topk=(1, 2))
    assert metric.confusion is None and metric.classes == []
    # The last one's label has the third score.
    assert evaluate(metric, samples, ['a', 'b', 'c']) == {'accuracy/top1': 50.0, 'accuracy/top2': 75.0}
    np.testing.assert_array_equal(metric.confusion, [[1, 0, 1], [0, 1, 0], [1, 0, 0]])
    assert metric.confusion.dtype.kind == 'i' and metric.classes == ['a', 'b', 'c']


def test_equals_mmpretrain_and_a_loop():
    samples = make_samples()
    metric = METRICS.build(dict(type='mmosnet.CategoryMetric', topk=(1, 5)))
    scores = evaluate(metric, samples)
    assert scores == evaluate(Accuracy(topk=(1, 5)), samples)
    theirs = evaluate(ConfusionMatrix(), samples)['confusion_matrix/result']
    np.testing.assert_array_equal(metric.confusion, theirs.numpy())

    confusion, top5 = np.zeros((7, 7), int), 0
    for sample in samples:
        ranked = sorted(range(7), key=lambda label, s=sample: -s['pred_score'][label])
        confusion[int(sample['gt_label']), ranked[0]] += 1
        top5 += int(sample['gt_label']) in ranked[:5]
    np.testing.assert_array_equal(metric.confusion, confusion)
    assert scores['accuracy/top1'] == pytest.approx(100 * np.trace(confusion) / 60)
    assert scores['accuracy/top5'] == pytest.approx(100 * top5 / 60)
    assert 0 < scores['accuracy/top1'] < scores['accuracy/top5'] < 100


@pytest.mark.parametrize('paths', [True, False])
def test_a_sample_that_comes_twice_counts_once(paths):
    samples = make_samples(20, paths=paths)
    once, twice = CategoryMetric(), CategoryMetric()
    expected = evaluate(once, samples)
    assert evaluate(twice, samples + samples[:7]) == expected
    np.testing.assert_array_equal(twice.confusion, once.confusion)
    assert twice.confusion.sum() == 20


def test_joined_data_sets_count_from_0_each():
    first, second = make_samples(10, seed=1), make_samples(10, seed=2)
    for sample in second:
        sample['img_path'] = 'other/' + sample['img_path']
    metric = CategoryMetric()
    evaluate(metric, first + second)
    assert metric.confusion.sum() == 20


def test_scores_that_underflowed_still_rank():
    """mmpretrain's default threshold of 0 counts a category with score 0 as wrong."""
    sample = DataSample(metainfo=dict(sample_idx=0)).set_gt_label(1).set_pred_score(torch.tensor([1.0, 0.0])).to_dict()
    assert evaluate(CategoryMetric(topk=2), [sample], ['a', 'b']) == {'accuracy/top2': 100.0}


def test_names_are_numbers_without_names():
    metric = CategoryMetric()
    metric.dataset_meta = None
    metric.process({}, make_samples(5))
    metric.evaluate(5)
    assert metric.classes == ['0', '1', '2', '3', '4', '5', '6']


def test_a_second_evaluation_starts_anew():
    metric = CategoryMetric()
    evaluate(metric, make_samples(30))
    evaluate(metric, make_samples(12))
    assert metric.confusion.sum() == 12


def test_no_samples():
    with pytest.raises(DataError, match='no samples'):
        CategoryMetric().compute_metrics([])


def test_another_number_of_categories():
    with pytest.raises(DataError, match=r'7 categories apart and the data set has 3.*num_classes=7'):
        evaluate(CategoryMetric(), make_samples(), ['a', 'b', 'c'])
    with pytest.raises(DataError, match=r'7 categories apart and the data set has 9.*num_classes=9'):
        evaluate(CategoryMetric(), make_samples(), [*NAMES, 'h', 'i'])
    stray = make_samples(3)
    stray[1]['gt_label'] = torch.tensor([7])
    with pytest.raises(DataError, match='labels from'):
        evaluate(CategoryMetric(), stray)


def test_top5_of_three_categories():
    with pytest.raises(DataError, match=r'only 3 categories.*val_evaluator.topk=1'):
        evaluate(CategoryMetric(), make_samples(categories=3), ['a', 'b', 'c'])


def test_a_model_that_has_diverged():
    """The largest of NaN is no prediction."""
    samples = make_samples()
    samples[3]['pred_score'] = torch.full((7,), torch.nan)
    with pytest.raises(DataError, match=r'1 of 60 images, the first 3\.jpg, have scores that are not finite'):
        evaluate(CategoryMetric(), samples)
