import pytest
import torch

from mmosnet.errors import DataError
from mmosnet.evaluation import ReIDMetric


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


def evaluate(metric, samples=SAMPLES, size=None):
    metric.process({}, samples)
    return metric.evaluate(size or len(samples))


def test_scores_have_the_prefix_and_are_unrounded():
    scores = evaluate(ReIDMetric(topk=(1, 2)))
    assert scores == pytest.approx(
        {'reid/mAP': (1 / 2 + 2 / 3) / 2, 'reid/Rank-1': 0, 'reid/Rank-2': 1, 'reid/mINP': 2 / 3}
    )
    assert scores['reid/mAP'] != round(scores['reid/mAP'], 4)


def test_padding_and_order_do_not_count():
    expected = evaluate(ReIDMetric())
    # As distributed evaluation may deliver it: interleaved, with the first samples once more.
    shuffled = [SAMPLES[i] for i in (3, 0, 4, 2, 1, 0, 3)]
    assert evaluate(ReIDMetric(), shuffled) == expected


def test_joined_data_sets_that_each_count_from_zero_lose_nothing():
    renumbered = [dict(s, sample_idx=i % 2) for i, s in enumerate(SAMPLES)]
    assert evaluate(ReIDMetric(), renumbered) == evaluate(ReIDMetric())


def test_an_entry_holds_its_own_embedding_only():
    metric = ReIDMetric()
    batch = torch.rand(100, 2)
    metric.process({}, [dict(SAMPLES[0], embedding=row) for row in batch])
    assert metric.results[0]['embedding'].untyped_storage().nbytes() == 2 * 4


def test_query_and_gallery_are_told_apart_by_their_split():
    assert evaluate(ReIDMetric(), SAMPLES[::-1]) == evaluate(ReIDMetric())


def test_options():
    # With its own camera kept the nearest image is a match.
    assert evaluate(ReIDMetric(same_camera='keep'))['reid/Rank-1'] == 1
    cosine, normalized = evaluate(ReIDMetric(distance='cosine')), evaluate(ReIDMetric(normalize=True))
    assert cosine == pytest.approx(normalized)


def test_shown_lists():
    metric = ReIDMetric(num_shown=3)
    evaluate(metric)
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
        evaluate(ReIDMetric(), [s for s in SAMPLES if s['split'] != missing])


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
def crowd():
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
def test_further_scores_leave_the_plain_ones_alone(crowd, distance, protocol):
    plain = evaluate(ReIDMetric(distance=distance, protocol=protocol), crowd)
    options = dict(rerank=dict(k1=8), query_expansion=dict(), verification=True)
    scores = evaluate(ReIDMetric(distance=distance, protocol=protocol, **options), crowd)
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
def test_no_score_depends_on_the_size_of_the_embeddings(crowd, distance, exponent):
    options = dict(distance=distance, rerank=dict(), query_expansion=dict(alpha=3.0), verification=True)
    scaled = [dict(entry, embedding=entry['embedding'] * 2.0**exponent) for entry in crowd]
    expected, found = (evaluate(ReIDMetric(**options), samples) for samples in (crowd, scaled))
    for name, score in expected.items():
        unit = 2.0**exponent if 'distance@' in name and distance == 'euclidean' else 1
        assert found[name] == pytest.approx(score * unit, rel=1e-6), name


def test_modes_of_re_ranking_reach_it(crowd):
    paper, released = (evaluate(ReIDMetric(rerank=dict(mode=mode)), crowd) for mode in ('paper', 'released'))
    assert paper['reid/mAP'] == released['reid/mAP']
    assert paper['reid/rerank/mAP'] != released['reid/rerank/mAP']


def test_single_gallery_shot_changes_the_cmc_alone(crowd):
    market, drawn = (evaluate(ReIDMetric(protocol=protocol), crowd) for protocol in ('market', 'single_gallery_shot'))
    # One image of each of 12 people, and not the nearest of many.
    assert drawn['reid/Rank-20'] == 1
    assert 0 < drawn['reid/Rank-1'] < market['reid/Rank-1']
    for name in ('mAP', 'mINP'):
        assert drawn[f'reid/{name}'] == market[f'reid/{name}']
    assert evaluate(ReIDMetric(protocol='single_gallery_shot'), crowd[::-1]) == drawn


def test_the_threshold_parts_the_pairs_as_it_says(crowd):
    scores = evaluate(ReIDMetric(verification=True), crowd)
    queries = [s for s in crowd if s['split'] == 'query']
    pairs = [(q, g, float((q['embedding'] - g['embedding']).norm())) for q in queries for g in crowd[36:]]
    own = [d for q, g, d in pairs if q['pid'] == g['pid'] and q['camid'] != g['camid']]
    strangers = [d for q, g, d in pairs if q['pid'] != g['pid']]
    for fpr in (2, 3):
        threshold = scores[f'reid/verification/distance@1e-{fpr}'] - 1e-5
        assert sum(d < threshold for d in strangers) / len(strangers) == pytest.approx(10**-fpr, abs=1 / len(strangers))
        assert scores[f'reid/verification/TPR@1e-{fpr}'] == sum(d < threshold for d in own) / len(own)
