import logging
import os
from datetime import timedelta
from multiprocessing import get_context

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.logging import MMLogger

from mmosnet.errors import DataError
from mmosnet.evaluation import AttributeMetric
from mmosnet.evaluation.attribute_scores import instance_scores, label_scores

NAMES = ['hat', 'bag', 'boots', 'coat']


def crowd(number=23):
    random = np.random.default_rng(0)
    target = (random.random((number, 4)) < [0.2, 0.5, 0.7, 0]).astype(np.float32)
    scores = np.clip(0.3 * target + 0.8 * random.random((number, 4)), 0, 1).astype(np.float32)
    samples = [
        dict(
            sample_idx=i,
            img_path=f'{i}.jpg',
            pred_score=torch.from_numpy(scores[i]),
            gt_score=torch.from_numpy(target[i]),
        )
        for i in range(number)
    ]
    return samples, scores, target


def evaluate(metric, samples, names=NAMES):
    metric.dataset_meta = dict(attributes=names) if names else None
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def test_scores_have_the_prefix_and_are_unrounded():
    samples, scores, target = crowd()
    found = evaluate(AttributeMetric(), samples)
    means = label_scores(scores, target).means()
    expected = dict(mA=means['mA'], **instance_scores(scores, target), mAP=means['mAP'])
    assert found == {f'attributes/{name}': value for name, value in expected.items()}
    assert list(expected) == ['mA', 'Accuracy', 'Precision', 'Recall', 'F1', 'mAP']
    assert all(0 < value < 1 and value != round(value, 4) for value in found.values())


def test_padding_and_order_do_not_count():
    samples, *_ = crowd()
    expected = evaluate(AttributeMetric(), samples)
    assert evaluate(AttributeMetric(), [*samples[5:], *samples[:8]]) == expected
    # Joined data sets that each count from 0 lose nobody.
    assert evaluate(AttributeMetric(), [dict(s, sample_idx=i % 2) for i, s in enumerate(samples)]) == pytest.approx(
        expected
    )


def test_rows_and_people_to_show():
    samples, scores, target = crowd()
    metric = AttributeMetric(num_shown=5)
    evaluate(metric, samples)
    labels = label_scores(scores, target)
    for i, row in enumerate(metric.per_attribute[:3]):
        found = (row.positives, row.TPR, row.TNR, row.AP)
        assert row.name == NAMES[i]
        assert found == (labels.positives[i], labels.tpr[i], labels.tnr[i], labels.ap[i])
    coat = metric.per_attribute[3]
    assert (coat.name, coat.positives, coat.TPR, coat.AP) == ('coat', 0, None, None) and 0 < coat.TNR < 1
    # Spread over the set.
    assert [shown.img_path for shown in metric.shown] == [f'{i}.jpg' for i in (0, 4, 9, 13, 18)]
    assert metric.shown[1].names == NAMES
    assert metric.shown[1].gt == target[4].astype(bool).tolist()
    assert metric.shown[1].scores == scores[4].tolist()
    evaluate(AttributeMetric(num_shown=99), samples)


def test_one_sided_attributes_are_named(caplog):
    samples, *_ = crowd()
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, logger=logger.name):
            evaluate(
                AttributeMetric(), [dict(s, gt_score=s['gt_score'].index_fill(0, torch.tensor(1), 1)) for s in samples]
            )
    finally:
        logger.removeHandler(caplog.handler)
    assert 'nobody has them: coat' in caplog.text and 'everybody has them: bag' in caplog.text


def test_names_are_numbers_where_the_data_set_has_none():
    metric = AttributeMetric()
    evaluate(metric, crowd()[0], names=None)
    assert [row.name for row in metric.per_attribute] == [f'attribute {i}' for i in range(4)]


def test_an_entry_holds_its_own_scores_only():
    metric = AttributeMetric()
    batch = torch.rand(100, 4)
    metric.process({}, [dict(crowd()[0][0], pred_score=row, gt_score=row) for row in batch])
    assert all(metric.results[0][key].untyped_storage().nbytes() == 4 * 4 for key in ('pred_score', 'gt_score'))


def test_half_precision_scores():
    samples, *_ = crowd()
    halves = [dict(s, pred_score=s['pred_score'].bfloat16()) for s in samples]
    assert 0 < evaluate(AttributeMetric(), halves)['attributes/mA'] < 1


@pytest.mark.parametrize(
    ('change', 'names', 'message'),
    [
        (lambda samples: [], NAMES, 'no samples'),
        (lambda samples: samples, NAMES[:3], 'predicts 4 attributes and the data set has 3, with labels of 4'),
        (
            lambda samples: [dict(s, gt_score=torch.zeros(5)) for s in samples],
            None,
            'predicts 4 attributes and the data set has 5, with labels of 5.*num_classes=5',
        ),
        (lambda samples: samples[:1], NAMES, 'evaluate more images'),
        (lambda samples: [dict(s, pred_score=s['pred_score'] / 0) for s in samples], NAMES, 'diverged'),
    ],
)
def test_mistakes(change, names, message):
    with pytest.raises(DataError, match=message):
        evaluate(AttributeMetric(), change(crowd()[0]), names)


def half(rank, folder):
    """What one of two processes does: every other sample, the set padded to an even number."""
    # mmengine collects the results in a folder below the current one.
    os.chdir(folder)
    meeting = f'file://{folder}/meeting'
    dist.init_process_group('gloo', init_method=meeting, rank=rank, world_size=2, timeout=timedelta(minutes=2))
    samples, *_ = crowd()
    metric = AttributeMetric()
    metric.dataset_meta = dict(attributes=NAMES)
    metric.process({}, [*samples, samples[0]][rank::2])
    found = metric.evaluate(len(samples))
    torch.save((found, len(metric.shown)), f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def test_two_processes_evaluate_like_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = get_context('fork').Process(target=half, args=(1, str(tmp_path)))
    other.start()
    half(0, str(tmp_path))
    other.join()
    results = [torch.load(tmp_path / f'{rank}.pt', weights_only=True) for rank in range(2)]
    expected = evaluate(AttributeMetric(), crowd()[0])
    # All processes know the scores, the main one keeps the people.
    assert [found for found, _ in results] == [expected, expected]
    assert [shown for _, shown in results] == [20, 0]
