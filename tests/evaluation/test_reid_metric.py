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


@pytest.mark.parametrize('options', [dict(distance='l1'), dict(same_camera='no')])
def test_bad_options(options):
    with pytest.raises(DataError, match='choose from'):
        ReIDMetric(**options)
