from __future__ import annotations

import logging
import os
from datetime import timedelta
from multiprocessing import get_context

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain.evaluation import Accuracy, ConfusionMatrix
from mmpretrain.structures import DataSample, MultiTaskDataSample

from mmosnet.errors import DataError
from mmosnet.evaluation import AttributeMetric, CategoryMetric, ReIDMetric, TaskEvaluator
from mmosnet.evaluation.attributes import instance_scores, label_scores
from mmosnet.registry import EVALUATORS, METRICS

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


CATEGORY_METRIC_NAMES = [f'category {label}' for label in range(7)]


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


def category_metric_evaluate(metric, samples, names=CATEGORY_METRIC_NAMES):
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
    assert category_metric_evaluate(metric, samples, ['a', 'b', 'c']) == {'accuracy/top1': 50.0, 'accuracy/top2': 75.0}
    np.testing.assert_array_equal(metric.confusion, [[1, 0, 1], [0, 1, 0], [1, 0, 0]])
    assert metric.confusion.dtype.kind == 'i' and metric.classes == ['a', 'b', 'c']


def test_equals_mmpretrain_and_a_loop():
    samples = make_samples()
    metric = METRICS.build(dict(type='mmosnet.CategoryMetric', topk=(1, 5)))
    scores = category_metric_evaluate(metric, samples)
    assert scores == category_metric_evaluate(Accuracy(topk=(1, 5)), samples)
    theirs = category_metric_evaluate(ConfusionMatrix(), samples)['confusion_matrix/result']
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
    expected = category_metric_evaluate(once, samples)
    assert category_metric_evaluate(twice, samples + samples[:7]) == expected
    np.testing.assert_array_equal(twice.confusion, once.confusion)
    assert twice.confusion.sum() == 20


def test_joined_data_sets_count_from_0_each():
    first, second = make_samples(10, seed=1), make_samples(10, seed=2)
    for sample in second:
        sample['img_path'] = 'other/' + sample['img_path']
    metric = CategoryMetric()
    category_metric_evaluate(metric, first + second)
    assert metric.confusion.sum() == 20


def test_scores_that_underflowed_still_rank():
    """mmpretrain's default threshold of 0 counts a category with score 0 as wrong."""
    sample = DataSample(metainfo=dict(sample_idx=0)).set_gt_label(1).set_pred_score(torch.tensor([1.0, 0.0])).to_dict()
    assert category_metric_evaluate(CategoryMetric(topk=2), [sample], ['a', 'b']) == {'accuracy/top2': 100.0}


def test_names_are_numbers_without_names():
    metric = CategoryMetric()
    metric.dataset_meta = None
    metric.process({}, make_samples(5))
    metric.evaluate(5)
    assert metric.classes == ['0', '1', '2', '3', '4', '5', '6']


def test_a_second_evaluation_starts_anew():
    metric = CategoryMetric()
    category_metric_evaluate(metric, make_samples(30))
    category_metric_evaluate(metric, make_samples(12))
    assert metric.confusion.sum() == 12


def test_no_samples():
    with pytest.raises(DataError, match='no samples'):
        CategoryMetric().compute_metrics([])


def test_another_number_of_categories():
    with pytest.raises(DataError, match=r'7 categories apart and the data set has 3.*num_classes=7'):
        category_metric_evaluate(CategoryMetric(), make_samples(), ['a', 'b', 'c'])
    with pytest.raises(DataError, match=r'7 categories apart and the data set has 9.*num_classes=9'):
        category_metric_evaluate(CategoryMetric(), make_samples(), [*CATEGORY_METRIC_NAMES, 'h', 'i'])
    stray = make_samples(3)
    stray[1]['gt_label'] = torch.tensor([7])
    with pytest.raises(DataError, match='labels from'):
        category_metric_evaluate(CategoryMetric(), stray)


def test_top5_of_three_categories():
    with pytest.raises(DataError, match=r'only 3 categories.*val_evaluator.topk=1'):
        category_metric_evaluate(CategoryMetric(), make_samples(categories=3), ['a', 'b', 'c'])


def test_a_model_that_has_diverged():
    """The largest of NaN is no prediction."""
    samples = make_samples()
    samples[3]['pred_score'] = torch.full((7,), torch.nan)
    with pytest.raises(DataError, match=r'1 of 60 images, the first 3\.jpg, have scores that are not finite'):
        category_metric_evaluate(CategoryMetric(), samples)


def sample(index, position, pid, camid, split):
    return dict(
        sample_idx=index,
        embedding=torch.tensor([float(position), 1.0]),
        pid=pid,
        camid=camid,
        split=split,
        img_path=f'{index}.jpg',
    )


# One query at 0; the gallery's matches are second (index 2) and third (index 4).
SAMPLES = [
    sample(0, 0, 1, 0, 'query'),
    sample(1, 1, 2, 1, 'gallery'),
    sample(2, 2, 1, 1, 'gallery'),
    sample(3, 0.5, 1, 0, 'gallery'),
    sample(4, 3, 1, 2, 'gallery'),
]


def reid_metric_evaluate(metric, samples=SAMPLES, size=None):
    metric.process({}, samples)
    return metric.evaluate(size or len(samples))


def test_reid_metric_scores_have_the_prefix_and_are_unrounded():
    scores = reid_metric_evaluate(ReIDMetric(topk=(1, 2)))
    assert scores == pytest.approx(
        {'reid/mAP': (1 / 2 + 2 / 3) / 2, 'reid/Rank-1': 0, 'reid/Rank-2': 1, 'reid/mINP': 2 / 3}
    )
    assert scores['reid/mAP'] != round(scores['reid/mAP'], 4)


def test_reid_metric_padding_and_order_do_not_count():
    expected = reid_metric_evaluate(ReIDMetric())
    # As distributed evaluation may deliver it: interleaved, with the first samples once more.
    shuffled = [SAMPLES[i] for i in (3, 0, 4, 2, 1, 0, 3)]
    assert reid_metric_evaluate(ReIDMetric(), shuffled) == expected


def test_joined_data_sets_that_each_count_from_zero_lose_nothing():
    renumbered = [dict(s, sample_idx=i % 2) for i, s in enumerate(SAMPLES)]
    assert reid_metric_evaluate(ReIDMetric(), renumbered) == reid_metric_evaluate(ReIDMetric())


def test_an_entry_holds_its_own_embedding_only():
    metric = ReIDMetric()
    batch = torch.rand(100, 2)
    metric.process({}, [dict(SAMPLES[0], embedding=row) for row in batch])
    assert metric.results[0]['embedding'].untyped_storage().nbytes() == 2 * 4


def test_query_and_gallery_are_told_apart_by_their_split():
    assert reid_metric_evaluate(ReIDMetric(), SAMPLES[::-1]) == reid_metric_evaluate(ReIDMetric())


def test_options():
    # With its own camera kept the nearest image is a match.
    assert reid_metric_evaluate(ReIDMetric(same_camera='keep'))['reid/Rank-1'] == 1
    cosine, normalized = (
        reid_metric_evaluate(ReIDMetric(distance='cosine')),
        reid_metric_evaluate(ReIDMetric(normalize=True)),
    )
    assert cosine == pytest.approx(normalized)


def test_shown_lists():
    metric = ReIDMetric(num_shown=3)
    reid_metric_evaluate(metric)
    (shown,) = metric.shown
    assert (shown.img_path, shown.pid) == ('0.jpg', 1)
    assert [(path, pid, match) for path, pid, _, match in shown.gallery] == [
        ('1.jpg', 2, False),
        ('2.jpg', 1, True),
        ('4.jpg', 1, True),
    ]
    assert [distance for *_, distance, _ in shown.gallery] == pytest.approx([1, 2, 3])


@pytest.mark.parametrize('missing', ['query', 'gallery'])
def test_missing_split_is_named(missing):
    with pytest.raises(DataError, match=f'no {missing} images'):
        reid_metric_evaluate(ReIDMetric(), [s for s in SAMPLES if s['split'] != missing])


def test_hopeless_data_set_fails_before_training():
    with pytest.raises(DataError, match="same_camera='keep'"):
        ReIDMetric().dataset_meta = dict(num_cross_camera_queries=0)
    ReIDMetric(same_camera='keep').dataset_meta = dict(num_cross_camera_queries=0)
    ReIDMetric().dataset_meta = dict(num_cross_camera_queries=3)


@pytest.mark.parametrize('options', [dict(distance='l1'), dict(same_camera='no'), dict(protocol='cuhk')])
def test_bad_options(options):
    with pytest.raises(DataError, match='choose from'):
        ReIDMetric(**options)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(rerank=dict(k3=1)), r"rerank=\{'k3': 1\}: give a dict of some of k1, k2, lambda_value, mode"),
        (dict(rerank=True), r'rerank=True: .* dict\(\) takes the defaults'),
        (dict(rerank=dict(mode='x')), "mode='x': choose from paper, released"),
        (dict(query_expansion=dict(k=3)), 'query_expansion=.*: give a dict of some of num_images, alpha'),
    ],
)
def test_bad_settings_fail_when_the_metric_is_built(options, message):
    with pytest.raises(DataError, match=message):
        ReIDMetric(**options)


@pytest.fixture(scope='module')
def reid_metric_crowd():
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(12, 6, generator=generator)
    return [
        dict(
            sample_idx=i,
            embedding=centres[i % 12] + 0.5 * torch.randn(6, generator=generator),
            pid=i % 12,
            camid=i // 12 % 3,
            split='query' if i < 36 else 'gallery',
            img_path=f'{i}.jpg',
        )
        for i in range(240)
    ]


@pytest.mark.parametrize('distance', ['euclidean', 'cosine'])
@pytest.mark.parametrize('protocol', ['market', 'single_gallery_shot'])
def test_further_scores_leave_the_plain_ones_alone(reid_metric_crowd, distance, protocol):
    plain = reid_metric_evaluate(ReIDMetric(distance=distance, protocol=protocol), reid_metric_crowd)
    options = dict(rerank=dict(k1=8), query_expansion=dict(), verification=True)
    scores = reid_metric_evaluate(ReIDMetric(distance=distance, protocol=protocol, **options), reid_metric_crowd)
    assert list(plain) == [f'reid/{name}' for name in ('mAP', 'Rank-1', 'Rank-5', 'Rank-10', 'Rank-20', 'mINP')]
    assert {key: scores[key] for key in plain} == plain
    for group in ('rerank', 'query_expansion'):
        assert [key for key in scores if f'/{group}/' in key] == [k.replace('reid/', f'reid/{group}/') for k in plain]
        assert scores[f'reid/{group}/mAP'] > plain['reid/mAP'] + 0.01
    operating = [f'{name}@1e-{i}' for i in (2, 3, 4) for name in ('TPR', 'distance')]
    assert [key for key in scores if '/verification/' in key] == [
        f'reid/verification/{name}' for name in ('AUC', 'EER', *operating)
    ]


@pytest.mark.parametrize('exponent', [-90, -60, 60, 110])
@pytest.mark.parametrize('distance', ['euclidean', 'cosine'])
def test_no_score_depends_on_the_size_of_the_embeddings(reid_metric_crowd, distance, exponent):
    options = dict(distance=distance, rerank=dict(), query_expansion=dict(alpha=3.0), verification=True)
    scaled = [dict(entry, embedding=entry['embedding'] * 2.0**exponent) for entry in reid_metric_crowd]
    expected, found = (reid_metric_evaluate(ReIDMetric(**options), samples) for samples in (reid_metric_crowd, scaled))
    for name, score in expected.items():
        unit = 2.0**exponent if 'distance@' in name and distance == 'euclidean' else 1
        assert found[name] == pytest.approx(score * unit, rel=1e-6), name


def test_modes_of_re_ranking_reach_it(reid_metric_crowd):
    paper, released = (
        reid_metric_evaluate(ReIDMetric(rerank=dict(mode=mode)), reid_metric_crowd) for mode in ('paper', 'released')
    )
    assert paper['reid/mAP'] == released['reid/mAP']
    assert paper['reid/rerank/mAP'] != released['reid/rerank/mAP']


def test_single_gallery_shot_changes_the_cmc_alone(reid_metric_crowd):
    market, drawn = (
        reid_metric_evaluate(ReIDMetric(protocol=protocol), reid_metric_crowd)
        for protocol in ('market', 'single_gallery_shot')
    )
    # One image of each of 12 people, and not the nearest of many.
    assert drawn['reid/Rank-20'] == 1
    assert 0 < drawn['reid/Rank-1'] < market['reid/Rank-1']
    for name in ('mAP', 'mINP'):
        assert drawn[f'reid/{name}'] == market[f'reid/{name}']
    assert reid_metric_evaluate(ReIDMetric(protocol='single_gallery_shot'), reid_metric_crowd[::-1]) == drawn


def test_the_threshold_parts_the_pairs_as_it_says(reid_metric_crowd):
    scores = reid_metric_evaluate(ReIDMetric(verification=True), reid_metric_crowd)
    queries = [s for s in reid_metric_crowd if s['split'] == 'query']
    pairs = [(q, g, float((q['embedding'] - g['embedding']).norm())) for q in queries for g in reid_metric_crowd[36:]]
    own = [d for q, g, d in pairs if q['pid'] == g['pid'] and q['camid'] != g['camid']]
    strangers = [d for q, g, d in pairs if q['pid'] != g['pid']]
    for fpr in (2, 3):
        threshold = scores[f'reid/verification/distance@1e-{fpr}'] - 1e-5
        assert sum(d < threshold for d in strangers) / len(strangers) == pytest.approx(10**-fpr, abs=1 / len(strangers))
        assert scores[f'reid/verification/TPR@1e-{fpr}'] == sum(d < threshold for d in own) / len(own)


class Names(BaseMetric):
    """Remembers what it was given."""

    def __init__(self, prefix):
        super().__init__(prefix=prefix)

    def process(self, data_batch, data_samples):
        self.results += [task_evaluator_sample['name'] for task_evaluator_sample in data_samples]

    def compute_metrics(self, results):
        return {'names': list(results)}


def task_evaluator_sample(name, **masks):
    result = MultiTaskDataSample()
    for task, mask in masks.items():
        result.set_field(DataSample(name=name, metainfo=dict(eval_mask=mask)), task)
    return result


def test_each_task_sees_its_samples():
    evaluator = TaskEvaluator(dict(reid=Names('a'), attributes=[Names('b'), Names('c')], category=None))
    evaluator.dataset_meta = dict(attributes=['hat'])
    assert all(metric.dataset_meta == dict(attributes=['hat']) for metric in evaluator.metrics)
    evaluator.process(
        [
            task_evaluator_sample('x', reid=True, attributes=False),
            task_evaluator_sample('y', reid=True, attributes=True),
        ]
    )
    evaluator.process([task_evaluator_sample('z', reid=False, attributes=True)])
    expected = {'a/names': ['x', 'y'], 'b/names': ['y', 'z'], 'c/names': ['y', 'z']}
    assert evaluator.evaluate(3) == expected


def test_metrics_of_a_task_that_the_model_has_not():
    evaluator = TaskEvaluator(dict(category=Names('a')))
    with pytest.raises(DataError, match=r'no category.*val_evaluator.metrics.category=None'):
        evaluator.process([task_evaluator_sample('x', reid=True)])
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
