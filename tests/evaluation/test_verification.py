import math
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmosnet.errors import DataError
from mmosnet.evaluation import distances, verification
from mmosnet.evaluation.distances import Embeddings, pairwise_distance
from mmosnet.evaluation.verification import (
    Smallest,
    area_under_curve,
    compare_pairs,
    equal_error_rate,
    operating_point,
    roc_curve,
    verification_scores,
)


def line(positions, pids, camids):
    return Embeddings(torch.tensor(positions).float()[:, None], torch.tensor(pids), torch.tensor(camids))


def split_pairs(query, gallery, distance='euclidean', same_camera='drop'):
    """Distances of all valid pairs, in the unit that ranks: of one person, and of two."""
    distmat = pairwise_distance(query.features, gallery.features, distance).tolist()
    positives, negatives = [], []
    for i in range(len(query)):
        for j in range(len(gallery)):
            if query.pids[i] != gallery.pids[j]:
                negatives.append(distmat[i][j])
            elif same_camera == 'keep' or query.camids[i] != gallery.camids[j]:
                positives.append(distmat[i][j])
    return positives, negatives


def naive_curve(positives, negatives):
    """(fpr, tpr) of accepting distances up to each one that occurs."""
    thresholds = sorted(set(positives + negatives))
    share = [(sum(n <= t for n in negatives), sum(p <= t for p in positives)) for t in thresholds]
    return [(0.0, 0.0)] + [(n / len(negatives), p / len(positives)) for n, p in share]


def naive_scores(positives, negatives, fprs, squared):
    pairs = [(p, n) for p in positives for n in negatives]
    scores = dict(AUC=sum(1.0 if p < n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs))
    curve = naive_curve(positives, negatives)
    for (fpr0, tpr0), (fpr1, tpr1) in pairwise(curve):
        before, after = fpr0 + tpr0 - 1, fpr1 + tpr1 - 1
        if before < 0 <= after:
            scores['EER'] = fpr0 + (fpr1 - fpr0) * before / (before - after)
    for name, fpr in fprs.items():
        # The largest distance that occurs below which few enough strangers lie.
        allowed = Fraction(str(fpr)) * len(negatives)
        threshold = max(t for t in negatives if sum(n < t for n in negatives) <= allowed)
        scores[f'TPR@{name}'] = sum(p < threshold for p in positives) / len(positives)
        scores[f'distance@{name}'] = math.sqrt(threshold) if squared else threshold
    return scores


# Query: person 1, camera 0, at 0. Gallery by distance:
#   distance   1    2    3    4    5    6
#   person     1    2    1    2    3    1
#   camera     1    1    2    0    1    0
# The last is left out. Positives 1, 3; negatives 2, 4, 5: of 6 comparisons 5 are right, AUC 5/6.
# Curve: (0, 0), (0, 1/2), (1/3, 1/2), (1/3, 1), (1, 1). It meets fpr = 1 - tpr at fpr = 1/3, between the third and
# fourth corner. No stranger passes below 2: TPR 1/2. One of three passes below 4: TPR 1.
def test_a_drawn_line():
    query = line([0], [1], [0])
    gallery = line([1, 2, 3, 4, 5, 6], [1, 2, 1, 2, 3, 1], [1, 1, 2, 0, 1, 0])
    scores = verification_scores(query, gallery, fprs=(0.1, 0.5))
    assert scores == pytest.approx(
        {'AUC': 5 / 6, 'EER': 1 / 3, 'TPR@1e-1': 0.5, 'distance@1e-1': 2, 'TPR@5e-1': 1, 'distance@5e-1': 4}
    )
    curve = roc_curve(compare_pairs(query, gallery))
    assert [*zip(*(rates.tolist() for rates in curve), strict=True)] == [
        (0, 0), (0, 0), (0, 0.5), (1 / 3, 0.5), (1 / 3, 1), (1, 1),
    ]  # fmt: skip


def test_separate_and_equal_distances():
    query = line([0], [1], [0])
    perfect = verification_scores(query, line([1, 2, 8, 9], [1, 1, 2, 2], [1] * 4))
    assert (perfect['AUC'], perfect['EER'], perfect['TPR@1e-4'], perfect['distance@1e-4']) == (1, 0, 1, 8)
    useless = verification_scores(query, line([1, 1, 1, 1], [1, 1, 2, 2], [1] * 4))
    assert (useless['AUC'], useless['EER'], useless['TPR@1e-2'], useless['distance@1e-2']) == (0.5, 0.5, 0, 1)
    inverted = verification_scores(query, line([8, 9, 1, 2], [1, 1, 2, 2], [1] * 4))
    assert (inverted['AUC'], inverted['EER'], inverted['TPR@1e-2']) == (0, 1, 0)


@pytest.mark.parametrize('kind', ['random', 'rounded', 'constant'])
@pytest.mark.parametrize('distance', ['euclidean', 'cosine'])
@pytest.mark.parametrize('same_camera', ['drop', 'keep'])
@pytest.mark.parametrize('chunk', [200, 10**6])
def test_equals_a_naive_loop(monkeypatch, kind, distance, same_camera, chunk):
    monkeypatch.setattr(distances, 'CHUNK_ELEMENTS', chunk)
    torch.manual_seed(0)

    def images(count):
        # Of whole numbers for cosine: many directions coincide, to the last bit only without normalising.
        features = dict(
            random=torch.randn(count, 4),
            rounded=torch.eye(4)[torch.randint(0, 4, (count,))] if distance == 'cosine' else
            torch.randint(0, 3, (count, 2)).float(),
            constant=torch.eye(4)[:1].expand(count, 4),
        )[kind]  # fmt: skip
        return Embeddings(features, torch.randint(0, 5, (count,)), torch.randint(0, 3, (count,)))

    query, gallery = images(14), images(50)
    fprs = {'2e-1': 0.2, '2.5e-2': 0.025, '1e-4': 1e-4, '0e+0': 0.0}
    expected = naive_scores(*split_pairs(query, gallery, distance, same_camera), fprs, distance == 'euclidean')
    scores = verification_scores(query, gallery, distance, same_camera, tuple(fprs.values()))
    assert scores == pytest.approx(expected, abs=1e-6)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_few_images_equal_a_naive_loop(data):
    def images(count):
        numbers = st.lists(st.integers(0, 3), min_size=count, max_size=count)
        return line(data.draw(numbers), data.draw(numbers), data.draw(numbers))

    query, gallery = images(data.draw(st.integers(1, 4))), images(data.draw(st.integers(1, 12)))
    positives, negatives = split_pairs(query, gallery)
    fpr = data.draw(st.sampled_from([0.0, 0.1, 0.29, 0.5, 0.99]))
    if not positives or not negatives:
        with pytest.raises(DataError):
            compare_pairs(query, gallery, max_fpr=fpr)
        return
    pairs = compare_pairs(query, gallery, max_fpr=fpr)
    expected = naive_scores(positives, negatives, {'': fpr}, squared=False)
    curve = roc_curve(pairs)
    assert all((rates.diff() >= 0).all() for rates in curve)
    scores = area_under_curve(*curve), equal_error_rate(*curve), *operating_point(pairs, fpr)
    assert scores == pytest.approx(tuple(expected.values()), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.one_of(st.integers(0, 5), st.just(math.inf)), min_size=1, max_size=40),
    count=st.integers(1, 12),
    step=st.integers(1, 9),
    part=st.integers(1, 9),
)
def test_smallest_keeps_the_smallest_and_little_else(numbers, count, step, part):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, 'PART', part)
        _check_smallest(numbers, count, step)


def _check_smallest(numbers, count, step):
    smallest = Smallest(count)
    for start in range(0, len(numbers), step):
        smallest.add(torch.tensor(numbers[start : start + step], dtype=torch.float32))
        assert sum(map(len, smallest.pieces)) <= 2 * count
    expected = sorted(n for n in numbers if n < math.inf)[:count]
    assert sorted(smallest.numbers().tolist()) == expected


def test_a_rate_is_meant_in_decimal():
    # 0.29 * 100 is 28.999999999999996: of 100 strangers at 1 .. 100 the first 29 may pass, the 30th may not.
    gallery = line([0.5, *range(1, 101)], [1, *range(2, 102)], [1] * 101)
    assert verification_scores(line([0], [1], [0]), gallery, fprs=(0.29,))['distance@2.9e-1'] == 30


def test_what_needs_two_people_and_a_match():
    query = line([0], [1], [0])
    with pytest.raises(DataError, match='two people'):
        verification_scores(query, line([1, 2], [1, 1], [1, 1]))
    with pytest.raises(DataError, match='ANOTHER camera'):
        verification_scores(query, line([1, 2], [1, 2], [0, 1]))
    with pytest.raises(ValueError, match='false positive rate of 1'):
        verification_scores(query, line([1, 2], [1, 2], [1, 1]), fprs=(1.0,))
    pairs = compare_pairs(query, line(list(range(100)), [1, *range(2, 101)], [1] * 100), max_fpr=0.01)
    with pytest.raises(ValueError, match='more than compare_pairs'):
        operating_point(pairs, 0.5)
