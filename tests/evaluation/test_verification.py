from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmosnet.errors import DataError
from mmosnet.evaluation import distances, verification
from mmosnet.evaluation.distances import Embeddings, pairwise_distance
from mmosnet.evaluation.verification import (
    RATES,
    Smallest,
    area_under_curve,
    chosen_people,
    compare_pairs,
    equal_error_rate,
    jackknife,
    match_thresholds,
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
def test_pairs_on_a_line():
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
        # Of whole numbers for cosine: many directions coincide, to the last bit only without normalizing.
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


def random_people(people, images=4, seed=0, dimension=32):
    """People who differ from each other and in how much their images differ, by three cameras."""
    random = np.random.RandomState(seed)
    spread = np.exp(0.4 * random.randn(people, 1, 1))
    features = random.randn(people, 1, dimension) + 0.8 * spread * random.randn(people, images, dimension)
    pids = np.arange(people).repeat(images)
    camids = random.randint(0, 3, people * images)
    return Embeddings(
        torch.from_numpy(features.reshape(-1, dimension)).float(), torch.from_numpy(pids), torch.from_numpy(camids)
    )


def naive_pairs(embeddings, distance='cosine', cross_camera=False):
    """Distances of one person and of two, each pair once, and who the two are."""
    x = embeddings.features.double().numpy()
    genuine, impostor, who = [], [], []
    for i in range(len(x)):
        for j in range(i):
            if cross_camera and embeddings.camids[i] == embeddings.camids[j]:
                continue
            if distance == 'cosine':
                found = 1 - x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j])
            else:
                found = np.linalg.norm(x[i] - x[j])
            if embeddings.pids[i] == embeddings.pids[j]:
                genuine.append(found)
            else:
                impostor.append(found)
                who.append((int(embeddings.pids[i]), int(embeddings.pids[j])))
    return np.array(genuine), np.array(impostor), np.array(who)


def naive_interval(impostor, who, threshold):
    """Leaving out one person at a time."""
    rate = np.mean(impostor <= threshold)
    people = np.unique(who)
    without = np.array([np.mean(impostor[(who != person).all(1)] <= threshold) for person in people])
    deviation = math.sqrt((len(people) - 1) / len(people) * ((without - without.mean()) ** 2).sum())
    return rate / math.exp(1.96 * deviation / rate), rate * math.exp(1.96 * deviation / rate)


@pytest.mark.parametrize('cross_camera', [False, True])
@pytest.mark.parametrize('distance', ['cosine', 'euclidean'])
def test_against_all_pairs(monkeypatch, distance, cross_camera):
    # Several chunks, the last one shorter.
    monkeypatch.setattr(distances, 'CHUNK_ELEMENTS', 7 * 60)
    embeddings = random_people(15)
    genuine, impostor, who = naive_pairs(embeddings, distance, cross_camera)
    found = match_thresholds(embeddings, (1e-4, 0.2, 0.05), distance, cross_camera)
    assert (found.people, found.images, found.genuine, found.impostor) == (15, 60, len(genuine), len(impostor))
    assert [threshold.wanted for threshold in found.thresholds] == [0.2, 0.05, 1e-4]
    everything = np.sort(np.concatenate([genuine, impostor]))
    for threshold in found.thresholds:
        passing = np.sort(impostor)[: int(threshold.wanted * len(impostor)) + 1]
        # The first that must not pass is the next pair beyond the threshold.
        assert everything[everything > threshold.distance][0] == passing[-1]
        below = everything[everything <= threshold.distance][-1]
        assert threshold.distance == pytest.approx((below + passing[-1]) / 2, abs=1e-5)
        assert threshold.fmr == np.mean(impostor <= threshold.distance) <= threshold.wanted
        assert threshold.tmr == np.mean(genuine <= threshold.distance)
    pairs = [tuple(sorted(pair)) for pair in who[impostor <= found.at(0.05).distance]]
    assert found.at(0.05).interval == pytest.approx(naive_interval(impostor, who, found.at(0.05).distance))
    assert 0 < found.at(0.05).false_hits <= 2 * len(pairs) / 60
    assert found.at(0.05).enough_pairs and not found.at(1e-4).enough_pairs
    assert found.at(1e-4).fmr == 0 and found.at(1e-4).interval == (0, 3 / 7)
    bins = np.histogram(impostor, found.edges)[0] / len(impostor)
    # Beside an edge a rounded distance falls to either side.
    assert np.abs(found.impostor_histogram.cumsum() - bins.cumsum()).max() <= 2 / len(impostor)
    assert found.genuine_histogram.sum() == pytest.approx(1)


# On a line, by their positions: 0 and 1 are person 0; 3, 4 and 9 person 1; 11 person 2.
# Distances of two people: 2 (1-3), 2 (9-11), 3 (0-3), 3 (1-4), 4, 7, 8, 8, 9, 10, 11. Of one: 1, 1, 5, 6.
def test_thresholds_on_a_line():
    positions = torch.tensor([0.0, 1, 3, 4, 9, 11])[:, None]
    embeddings = Embeddings(positions, torch.tensor([0, 0, 1, 1, 1, 2]), torch.zeros(6, dtype=torch.int64))
    found = match_thresholds(embeddings, (0.1, 0.2, 0.3, 0.999), 'euclidean')
    assert (found.genuine, found.impostor) == (4, 11)
    # Of 11 pairs one may pass, but the two at 2 pass together or not at all: in the middle between 1 and 2.
    assert found.at(0.1).distance == pytest.approx(1.5) and found.at(0.1).tmr == 0.5 and found.at(0.1).fmr == 0
    assert found.at(0.2).distance == pytest.approx(2.5) and found.at(0.2).fmr == 2 / 11
    # At 2.5 the images at 1, 3, 9 and 11 have a false match.
    assert found.at(0.2).false_hits == 4 / 6
    assert found.at(0.3).distance == pytest.approx(2.5)
    assert found.at(0.999).distance == pytest.approx(10.5) and found.at(0.999).tmr == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(3, 8))
def test_what_passes_never_exceeds_the_rate(seed, people):
    random = np.random.RandomState(seed)
    # Few distances, most of them shared by several pairs.
    features = torch.from_numpy(random.randint(0, 3, (people * 3, 2))).float()
    embeddings = Embeddings(features, torch.arange(people).repeat(3), torch.zeros(people * 3, dtype=torch.int64))
    genuine, impostor, _ = naive_pairs(embeddings, 'euclidean')
    for threshold in match_thresholds(embeddings, (0.5, 0.1), 'euclidean').thresholds:
        if threshold.distance is None:
            assert np.mean(impostor == 0) > threshold.wanted and threshold.tmr == threshold.fmr == 0
            continue
        assert np.mean(impostor <= threshold.distance) == threshold.fmr <= threshold.wanted
        assert threshold.tmr == np.mean(genuine <= threshold.distance)
        # With the next distance more would pass than may.
        farther = min(impostor[impostor > threshold.distance])
        assert np.mean(impostor <= farther) > threshold.wanted


def test_other_people_get_the_rate_that_was_wanted():
    found = match_thresholds(random_people(200), (1e-2, 1e-3))
    others = random_people(200, seed=1)
    features = torch.nn.functional.normalize(others.features)
    different = others.pids[:, None] != others.pids
    measured = 1 - (features @ features.T)
    for threshold in found.thresholds:
        fmr = (measured[different] <= threshold.distance).double().mean().item()
        assert threshold.interval[0] / 1.5 < fmr < threshold.interval[1] * 1.5
        assert threshold.interval[1] / threshold.interval[0] < 3
        same = ~different & ~torch.eye(len(others), dtype=torch.bool)
        assert (measured[same] <= threshold.distance).double().mean().item() == pytest.approx(threshold.tmr, abs=0.05)


def test_the_interval_is_of_people_not_of_pairs():
    """Two who look alike, in many images: as many false matches, of one pair of people."""
    person = torch.arange(20).repeat_interleave(10)
    impostors = torch.full((200,), 190)
    alike = torch.where(person < 2, 10, 0)
    spread = torch.ones(200, dtype=torch.int64)
    spread_rate, spread_interval = jackknife(spread, impostors, person)
    alike_rate, alike_interval = jackknife(alike, impostors, person)
    assert spread_rate == alike_rate == 200 / 38_000
    assert spread_interval[1] / spread_interval[0] < 1.2 and alike_interval[1] / alike_interval[0] > 10
    assert jackknife(0 * spread, impostors, person) == (0, (0, 0.3))


def test_people_are_sampled_whole():
    pids = np.array([3, -1, 3, 5, 5, 5, 8, -1, 9, 9])
    assert chosen_people(pids, 8).tolist() == [0, 2, 3, 4, 5, 6, 8, 9]
    rows = chosen_people(pids, 5, seed=1)
    assert 1 <= len(rows) <= 5 and rows.tolist() == chosen_people(pids, 5, seed=1).tolist()
    assert np.isin(pids, pids[rows]).sum() == len(rows)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(pids=torch.arange(6)), 'no person has two images'),
        (dict(pids=torch.zeros(6, dtype=torch.int64)), 'two people or more'),
        (dict(pids=torch.tensor([0, 0, 1, 1, -1, 2])), 'known people'),
        (dict(features=torch.full((6, 4), torch.nan)), 'infinite or undefined'),
        (dict(rates=(0.0,)), 'a false-match rate of 0'),
        (dict(rates=(1.5,)), 'a false-match rate of 1.5'),
        (dict(cross_camera=True), 'no person has images by two cameras'),
        (dict(cross_camera=True, camids=torch.tensor([0, 1, -1, 0, 1, 0])), '1 of 6 images have no camera'),
    ],
)
def test_what_cannot_be_calibrated(change, message):
    given = dict(
        features=torch.randn(6, 4),
        pids=torch.tensor([0, 0, 1, 1, 2, 2]),
        camids=torch.zeros(6, dtype=torch.int64),
        rates=RATES,
        cross_camera=False,
    )
    given.update(change)
    embeddings = Embeddings(given['features'], given['pids'], given['camids'])
    with pytest.raises(DataError, match=message):
        match_thresholds(embeddings, given['rates'], 'cosine', given['cross_camera'])


@pytest.mark.parametrize('distance', ['cosine', 'euclidean'])
def test_the_wanted_rate_is_never_exceeded(distance):
    """Each pair counts from either side: one side alone beyond the threshold would be half a pair too many."""
    pids = torch.arange(60) // 3
    for seed in range(40):
        torch.manual_seed(seed)
        features = torch.randn(60, 16) + seed % 3 * 1000
        thresholds = match_thresholds(Embeddings(features, pids, pids), (0.1, 0.03, 0.01), distance)
        pairs = thresholds.impostor
        for threshold in thresholds.thresholds:
            assert threshold.fmr == math.floor(threshold.wanted * pairs + 1e-9) / pairs
