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

ATTRIBUTES = ['hat', 'bag', 'boots', 'coat']


def attribute_samples(number=23):
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


def evaluate_attributes(metric, samples, names=ATTRIBUTES):
    metric.dataset_meta = dict(attributes=names) if names else None
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def test_attribute_scores_have_the_prefix_and_are_unrounded():
    samples, scores, target = attribute_samples()
    found = evaluate_attributes(AttributeMetric(), samples)
    means = label_scores(scores, target).means()
    expected = dict(mA=means['mA'], **instance_scores(scores, target), mAP=means['mAP'])
    assert found == {f'attributes/{name}': value for name, value in expected.items()}
    assert list(expected) == ['mA', 'Accuracy', 'Precision', 'Recall', 'F1', 'mAP']
    assert all(0 < value < 1 and value != round(value, 4) for value in found.values())


def test_attributes_padding_and_order_do_not_count():
    samples, *_ = attribute_samples()
    expected = evaluate_attributes(AttributeMetric(), samples)
    assert evaluate_attributes(AttributeMetric(), [*samples[5:], *samples[:8]]) == expected
    # Joined data sets that each count from 0 lose no person.
    assert evaluate_attributes(
        AttributeMetric(), [dict(s, sample_idx=i % 2) for i, s in enumerate(samples)]
    ) == pytest.approx(expected)


def test_rows_and_people_to_show():
    samples, scores, target = attribute_samples()
    metric = AttributeMetric(num_shown=5)
    evaluate_attributes(metric, samples)
    labels = label_scores(scores, target)
    for i, row in enumerate(metric.per_attribute[:3]):
        found = (row.positives, row.TPR, row.TNR, row.AP)
        assert row.name == ATTRIBUTES[i]
        assert found == (labels.positives[i], labels.tpr[i], labels.tnr[i], labels.ap[i])
    coat = metric.per_attribute[3]
    assert (coat.name, coat.positives, coat.TPR, coat.AP) == ('coat', 0, None, None) and 0 < coat.TNR < 1
    # Spread over the set.
    assert [shown.img_path for shown in metric.shown] == [f'{i}.jpg' for i in (0, 4, 9, 13, 18)]
    assert metric.shown[1].names == ATTRIBUTES
    assert metric.shown[1].gt == target[4].astype(bool).tolist()
    assert metric.shown[1].scores == scores[4].tolist()
    evaluate_attributes(AttributeMetric(num_shown=99), samples)


def test_one_sided_attributes_are_named(caplog):
    samples, *_ = attribute_samples()
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, logger=logger.name):
            evaluate_attributes(
                AttributeMetric(), [dict(s, gt_score=s['gt_score'].index_fill(0, torch.tensor(1), 1)) for s in samples]
            )
    finally:
        logger.removeHandler(caplog.handler)
    assert 'nobody has them: coat' in caplog.text and 'everybody has them: bag' in caplog.text


def test_names_are_numbers_where_the_data_set_has_none():
    metric = AttributeMetric()
    evaluate_attributes(metric, attribute_samples()[0], names=None)
    assert [row.name for row in metric.per_attribute] == [f'attribute {i}' for i in range(4)]


def test_an_entry_holds_its_own_scores():
    metric = AttributeMetric()
    batch = torch.rand(100, 4)
    metric.process({}, [dict(attribute_samples()[0][0], pred_score=row, gt_score=row) for row in batch])
    assert all(metric.results[0][key].untyped_storage().nbytes() == 4 * 4 for key in ('pred_score', 'gt_score'))


def test_half_precision_scores():
    samples, *_ = attribute_samples()
    halves = [dict(s, pred_score=s['pred_score'].bfloat16()) for s in samples]
    assert 0 < evaluate_attributes(AttributeMetric(), halves)['attributes/mA'] < 1


@pytest.mark.parametrize(
    ('change', 'names', 'message'),
    [
        (lambda samples: [], ATTRIBUTES, 'no samples'),
        (lambda samples: samples, ATTRIBUTES[:3], '4 attributes .* 3, .* 4'),
        (
            lambda samples: [dict(s, gt_score=torch.zeros(5)) for s in samples],
            None,
            '4 attributes .* 5.*num_classes=5',
        ),
        (lambda samples: samples[:1], ATTRIBUTES, 'evaluate more images'),
        (lambda samples: [dict(s, pred_score=s['pred_score'] / 0) for s in samples], ATTRIBUTES, 'diverged'),
    ],
)
def test_mistakes_of_attributes(change, names, message):
    with pytest.raises(DataError, match=message):
        evaluate_attributes(AttributeMetric(), change(attribute_samples()[0]), names)


def half(rank, folder):
    """Evaluate in one of two processes: every other sample, with the set padded to an even number."""
    # mmengine collects the results in a folder below the current one.
    os.chdir(folder)
    meeting = f'file://{folder}/meeting'
    dist.init_process_group('gloo', init_method=meeting, rank=rank, world_size=2, timeout=timedelta(minutes=2))
    samples, *_ = attribute_samples()
    metric = AttributeMetric()
    metric.dataset_meta = dict(attributes=ATTRIBUTES)
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
    expected = evaluate_attributes(AttributeMetric(), attribute_samples()[0])
    # All processes know the scores, the main one keeps the people.
    assert [found for found, _ in results] == [expected, expected]
    assert [shown for _, shown in results] == [20, 0]


CATEGORIES = [f'category {label}' for label in range(7)]


def category_samples(number=60, categories=7, seed=0, paths=True):
    """Predictions that are right more often than not, as a Runner passes them to metrics."""
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


def evaluate_categories(metric, samples, names=CATEGORIES):
    metric.dataset_meta = dict(classes=names)
    for start in range(0, len(samples), 16):
        metric.process({}, samples[start : start + 16])
    return metric.evaluate(len(samples))


def test_categories_by_hand():
    """Rows are true categories: one of two images of category 0 is predicted as 2."""
    rows = [(0, [0.8, 0.1, 0.1]), (0, [0.3, 0.1, 0.6]), (1, [0.1, 0.7, 0.2]), (2, [0.5, 0.3, 0.2])]
    samples = [
        DataSample(metainfo=dict(sample_idx=i)).set_gt_label(label).set_pred_score(torch.tensor(scores)).to_dict()
        for i, (label, scores) in enumerate(rows)
    ]
    metric = CategoryMetric(topk=(1, 2))
    assert metric.confusion is None and metric.classes == []
    # The last one's label has the third score.
    assert evaluate_categories(metric, samples, ['a', 'b', 'c']) == {'accuracy/top1': 50.0, 'accuracy/top2': 75.0}
    np.testing.assert_array_equal(metric.confusion, [[1, 0, 1], [0, 1, 0], [1, 0, 0]])
    assert metric.confusion.dtype.kind == 'i' and metric.classes == ['a', 'b', 'c']


def test_equals_mmpretrain_and_a_loop():
    samples = category_samples()
    metric = METRICS.build(dict(type='mmosnet.CategoryMetric', topk=(1, 5)))
    scores = evaluate_categories(metric, samples)
    assert scores == evaluate_categories(Accuracy(topk=(1, 5)), samples)
    theirs = evaluate_categories(ConfusionMatrix(), samples)['confusion_matrix/result']
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
    samples = category_samples(20, paths=paths)
    once, twice = CategoryMetric(), CategoryMetric()
    expected = evaluate_categories(once, samples)
    assert evaluate_categories(twice, samples + samples[:7]) == expected
    np.testing.assert_array_equal(twice.confusion, once.confusion)
    assert twice.confusion.sum() == 20


def test_joined_data_sets_count_from_0_each():
    first, second = category_samples(10, seed=1), category_samples(10, seed=2)
    for sample in second:
        sample['img_path'] = 'other/' + sample['img_path']
    metric = CategoryMetric()
    evaluate_categories(metric, first + second)
    assert metric.confusion.sum() == 20


def test_scores_that_underflowed_still_rank():
    """mmpretrain's default threshold of 0 counts a category with score 0 as wrong."""
    sample = DataSample(metainfo=dict(sample_idx=0)).set_gt_label(1).set_pred_score(torch.tensor([1.0, 0.0])).to_dict()
    assert evaluate_categories(CategoryMetric(topk=2), [sample], ['a', 'b']) == {'accuracy/top2': 100.0}


def test_names_are_numbers_without_names():
    metric = CategoryMetric()
    metric.dataset_meta = None
    metric.process({}, category_samples(5))
    metric.evaluate(5)
    assert metric.classes == ['0', '1', '2', '3', '4', '5', '6']


def test_a_second_evaluation_starts_anew():
    metric = CategoryMetric()
    evaluate_categories(metric, category_samples(30))
    evaluate_categories(metric, category_samples(12))
    assert metric.confusion.sum() == 12


def test_no_samples_of_categories():
    with pytest.raises(DataError, match='no samples'):
        CategoryMetric().compute_metrics([])


def test_another_number_of_categories():
    with pytest.raises(DataError, match=r'7 categories .* 3.*num_classes=7'):
        evaluate_categories(CategoryMetric(), category_samples(), ['a', 'b', 'c'])
    with pytest.raises(DataError, match=r'7 categories .* 9.*num_classes=9'):
        evaluate_categories(CategoryMetric(), category_samples(), [*CATEGORIES, 'h', 'i'])
    stray = category_samples(3)
    stray[1]['gt_label'] = torch.tensor([7])
    with pytest.raises(DataError, match='labels from'):
        evaluate_categories(CategoryMetric(), stray)


def test_top5_of_three_categories():
    with pytest.raises(DataError, match=r'only 3 categories.*val_evaluator.topk=1'):
        evaluate_categories(CategoryMetric(), category_samples(categories=3), ['a', 'b', 'c'])


def test_a_model_that_has_diverged():
    """The largest of NaN is no prediction."""
    samples = category_samples()
    samples[3]['pred_score'] = torch.full((7,), torch.nan)
    with pytest.raises(DataError, match=r'1 of 60 images, the first 3\.jpg'):
        evaluate_categories(CategoryMetric(), samples)


def reid_sample(index, position, pid, camid, split):
    return dict(
        sample_idx=index,
        embedding=torch.tensor([float(position), 1.0]),
        pid=pid,
        camid=camid,
        split=split,
        img_path=f'{index}.jpg',
    )


# One query at 0; the gallery's matches are second (index 2) and third (index 4).
REID_SAMPLES = [
    reid_sample(0, 0, 1, 0, 'query'),
    reid_sample(1, 1, 2, 1, 'gallery'),
    reid_sample(2, 2, 1, 1, 'gallery'),
    reid_sample(3, 0.5, 1, 0, 'gallery'),
    reid_sample(4, 3, 1, 2, 'gallery'),
]


def evaluate_reid(metric, samples=REID_SAMPLES, size=None):
    metric.process({}, samples)
    return metric.evaluate(size or len(samples))


def test_reid_scores_have_the_prefix_and_are_unrounded():
    scores = evaluate_reid(ReIDMetric(topk=(1, 2)))
    assert scores == pytest.approx(
        {'reid/mAP': (1 / 2 + 2 / 3) / 2, 'reid/Rank-1': 0, 'reid/Rank-2': 1, 'reid/mINP': 2 / 3}
    )
    assert scores['reid/mAP'] != round(scores['reid/mAP'], 4)


def test_reid_padding_and_order_do_not_count():
    expected = evaluate_reid(ReIDMetric())
    # As distributed evaluation may deliver it: interleaved, with the first samples once more.
    shuffled = [REID_SAMPLES[i] for i in (3, 0, 4, 2, 1, 0, 3)]
    assert evaluate_reid(ReIDMetric(), shuffled) == expected


def test_joined_data_sets_that_each_count_from_zero_lose_nothing():
    renumbered = [dict(s, sample_idx=i % 2) for i, s in enumerate(REID_SAMPLES)]
    assert evaluate_reid(ReIDMetric(), renumbered) == evaluate_reid(ReIDMetric())


def test_an_entry_holds_its_own_embedding_only():
    metric = ReIDMetric()
    batch = torch.rand(100, 2)
    metric.process({}, [dict(REID_SAMPLES[0], embedding=row) for row in batch])
    assert metric.results[0]['embedding'].untyped_storage().nbytes() == 2 * 4


def test_query_and_gallery_are_told_apart_by_their_split():
    assert evaluate_reid(ReIDMetric(), REID_SAMPLES[::-1]) == evaluate_reid(ReIDMetric())


def test_options():
    # With its own camera kept the nearest image is a match.
    assert evaluate_reid(ReIDMetric(same_camera='keep'))['reid/Rank-1'] == 1
    cosine, normalized = (
        evaluate_reid(ReIDMetric(distance='cosine')),
        evaluate_reid(ReIDMetric(normalize=True)),
    )
    assert cosine == pytest.approx(normalized)


def test_trapezoids_change_map_alone():
    # Matches at ranks 2 and 3: the precision rises from 0 to 1/2, and from 1/2 to 2/3.
    metric = ReIDMetric(average_precision='trapezoid')
    expected = evaluate_reid(ReIDMetric()) | {'reid/mAP': pytest.approx(((0 + 1 / 2) / 2 + (1 / 2 + 2 / 3) / 2) / 2)}
    assert evaluate_reid(metric) == expected
    assert metric.shown[0].ap == expected['reid/mAP']


def test_shown_lists():
    metric = ReIDMetric(num_shown=3)
    evaluate_reid(metric)
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
        evaluate_reid(ReIDMetric(), [s for s in REID_SAMPLES if s['split'] != missing])


def test_hopeless_data_set_fails_before_training():
    with pytest.raises(DataError, match="same_camera='keep'"):
        ReIDMetric().dataset_meta = dict(num_cross_camera_queries=0)
    ReIDMetric(same_camera='keep').dataset_meta = dict(num_cross_camera_queries=0)
    ReIDMetric().dataset_meta = dict(num_cross_camera_queries=3)


@pytest.mark.parametrize(
    'options', [dict(distance='l1'), dict(same_camera='no'), dict(protocol='cuhk'), dict(average_precision='mean')]
)
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
def people():
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(12, 6, generator=generator)
    return [
        dict(
            sample_idx=i,
            embedding=centers[i % 12] + 0.5 * torch.randn(6, generator=generator),
            pid=i % 12,
            camid=i // 12 % 3,
            split='query' if i < 36 else 'gallery',
            img_path=f'{i}.jpg',
        )
        for i in range(240)
    ]


@pytest.mark.parametrize('distance', ['euclidean', 'cosine'])
@pytest.mark.parametrize('protocol', ['market', 'single_gallery_shot'])
def test_further_scores_leave_the_plain_ones_alone(people, distance, protocol):
    plain = evaluate_reid(ReIDMetric(distance=distance, protocol=protocol), people)
    options = dict(rerank=dict(k1=8), query_expansion=dict(), verification=True)
    scores = evaluate_reid(ReIDMetric(distance=distance, protocol=protocol, **options), people)
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
def test_no_score_depends_on_the_size_of_the_embeddings(people, distance, exponent):
    options = dict(distance=distance, rerank=dict(), query_expansion=dict(alpha=3.0), verification=True)
    scaled = [dict(entry, embedding=entry['embedding'] * 2.0**exponent) for entry in people]
    expected, found = (evaluate_reid(ReIDMetric(**options), samples) for samples in (people, scaled))
    for name, score in expected.items():
        unit = 2.0**exponent if 'distance@' in name and distance == 'euclidean' else 1
        assert found[name] == pytest.approx(score * unit, rel=1e-6), name


def test_modes_of_re_ranking_reach_it(people):
    paper, released = (evaluate_reid(ReIDMetric(rerank=dict(mode=mode)), people) for mode in ('paper', 'released'))
    assert paper['reid/mAP'] == released['reid/mAP']
    assert paper['reid/rerank/mAP'] != released['reid/rerank/mAP']


def test_single_gallery_shot_changes_the_cmc_alone(people):
    market, sampled = (
        evaluate_reid(ReIDMetric(protocol=protocol), people) for protocol in ('market', 'single_gallery_shot')
    )
    # One image of each of 12 people, and not the nearest of many.
    assert sampled['reid/Rank-20'] == 1
    assert 0 < sampled['reid/Rank-1'] < market['reid/Rank-1']
    for name in ('mAP', 'mINP'):
        assert sampled[f'reid/{name}'] == market[f'reid/{name}']
    assert evaluate_reid(ReIDMetric(protocol='single_gallery_shot'), people[::-1]) == sampled


def test_the_threshold_parts_the_pairs_as_it_says(people):
    scores = evaluate_reid(ReIDMetric(verification=True), people)
    queries = [s for s in people if s['split'] == 'query']
    pairs = [(q, g, float((q['embedding'] - g['embedding']).norm())) for q in queries for g in people[36:]]
    own = [d for q, g, d in pairs if q['pid'] == g['pid'] and q['camid'] != g['camid']]
    strangers = [d for q, g, d in pairs if q['pid'] != g['pid']]
    for fpr in (2, 3):
        threshold = scores[f'reid/verification/distance@1e-{fpr}'] - 1e-5
        assert sum(d < threshold for d in strangers) / len(strangers) == pytest.approx(10**-fpr, abs=1 / len(strangers))
        assert scores[f'reid/verification/TPR@1e-{fpr}'] == sum(d < threshold for d in own) / len(own)


class Names(BaseMetric):
    """Collects the names of its samples."""

    def __init__(self, prefix):
        super().__init__(prefix=prefix)

    def process(self, data_batch, data_samples):
        self.results += [sample['name'] for sample in data_samples]

    def compute_metrics(self, results):
        return {'names': list(results)}


def joint_sample(name, **masks):
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
            joint_sample('x', reid=True, attributes=False),
            joint_sample('y', reid=True, attributes=True),
        ]
    )
    evaluator.process([joint_sample('z', reid=False, attributes=True)])
    expected = {'a/names': ['x', 'y'], 'b/names': ['y', 'z'], 'c/names': ['y', 'z']}
    assert evaluator.evaluate(3) == expected


def test_metrics_of_a_task_that_the_model_has_not():
    evaluator = TaskEvaluator(dict(category=Names('a')))
    with pytest.raises(DataError, match=r'no category.*val_evaluator.metrics.category=None'):
        evaluator.process([joint_sample('x', reid=True)])
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
