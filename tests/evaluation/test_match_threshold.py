import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmosnet.errors import DataError
from mmosnet.evaluation import distances
from mmosnet.evaluation.distances import Embeddings
from mmosnet.evaluation.match_threshold import RATES, chosen_people, jackknife, match_thresholds


def drawn(people, images=4, seed=0, dimension=32):
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
    embeddings = drawn(15)
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
def test_a_drawn_line():
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
    found = match_thresholds(drawn(200), (1e-2, 1e-3))
    others = drawn(200, seed=1)
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


def test_people_are_drawn_whole():
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
