"""Known, new or unsure: hand-made embeddings with known answers, naive loops, random operations and undoing them."""

from __future__ import annotations

import csv
import itertools
import math
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mmosnet
from mmosnet.errors import DataError
from mmosnet.features import Features
from mmosnet.gallery import Gallery, People
from mmosnet.gallery.people_vectors import PeopleVectors, most_different
from mmosnet.gallery.people_verdicts import Limits, confidence, decide
from mmosnet.gallery.vectors import distances

DEGREES = math.pi / 180


def at(*degrees, lift=0.0):
    """Return vectors of length 1 in a plane, ``(N, 3)``; ``lift`` tilts them out of it."""
    angles = np.array(degrees, np.float64) * DEGREES
    rows = np.stack([np.cos(angles), np.sin(angles), np.full(len(angles), lift)], 1)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def apart(degrees):
    """Return the cosine distance of two vectors with an angle between them."""
    return 1 - math.cos(degrees * DEGREES)


# Known up to 20 degrees, new from 30 on.
LIMITS = dict(threshold=apart(20), band=apart(30) - apart(20), margin=0.0)


@pytest.fixture
def gallery(tmp_path):
    with Gallery.create(tmp_path / 'gällery', dimension=3) as gallery:
        yield gallery


@pytest.fixture
def people(gallery):
    with People(gallery, **LIMITS) as people:
        yield people


def state(people):
    """Return everything but numbers of images, comparable: images with embeddings, names, and where people were."""
    features = people.gallery.features()
    labels = features.labels('pid')
    rows = []
    for row in range(len(features)):
        pid, camid = int(features.pid[row]), int(features.camid[row])
        image = (features.path[row], features.source[row], features.track[row], int(features.frames[row]))
        person = (pid, labels.get(pid, ''), camid, repr(features.time[row]), features.attributes[row])
        rows.append((*image, *person, features.embedding[row].tobytes()))
    # Numbers of sightings go on after undoing.
    seen = [(each.pid, each.camid, repr(each.start), repr(each.until)) for each in people.sightings()]
    return sorted(rows), sorted(seen), people.gallery.names, people.pids()


def enroll(gallery, embedding, pids, **columns):
    number = len(embedding)
    given = dict(path=[f'{row}.jpg' for row in range(number)], camid=[-1] * number, time=np.full(number, np.nan))
    return gallery.enroll(Features(embedding, pid=pids, **(given | columns)))


def test_it_is_public_and_needs_no_torch():
    assert mmosnet.People is People and mmosnet.Sighting.__module__ == 'mmosnet.gallery.people_input'


def test_known_new_and_unsure(people):
    first = people.observe(at(0)[0], 0, 1.0)
    assert (first.pid, first.known, first.reason, first.confidence) == (1, False, 'far', 1.0)
    assert math.isnan(first.distance) and math.isnan(first.runner_up) and first.nearest == -1 and first.enrolled
    known = people.observe(at(10)[0], 0, 2.0)
    assert (known.pid, known.known, known.reason, known.nearest, known.enrolled) == (1, True, 'near', 1, True)
    assert known.distance == pytest.approx(apart(10), abs=1e-7)
    assert known.confidence == pytest.approx(1 - apart(10) / apart(20), abs=1e-6)
    # 25 degrees from the nearest image, at 10.
    unsure = people.observe(at(35)[0], 0, 3.0)
    assert (unsure.pid, unsure.known, unsure.reason, unsure.nearest) == (-1, None, 'between', 1)
    assert unsure.distance == pytest.approx(apart(25), abs=1e-7)
    assert not unsure.enrolled and unsure.confidence == 0
    new = people.observe(at(50)[0], 0, 4.0)
    assert (new.pid, new.known, new.nearest) == (2, False, 1)
    assert new.distance == pytest.approx(apart(40), abs=1e-7)
    assert new.confidence == pytest.approx(min(1, apart(40) / apart(30) - 1), abs=1e-6)
    assert people.pids() == {1: 2, 2: 1}
    assert [record.path for record in people.images(1)] == ['sighting-0', 'sighting-1']


def test_a_second_person_nearly_as_near_makes_unsure(gallery):
    enroll(gallery, at(0, 16), [7, 9])
    for margin, expected in ((0.0, True), (apart(10) - apart(6) - 1e-4, True), (apart(10) - apart(6) + 1e-4, None)):
        with People(gallery, threshold=apart(20), band=0, margin=margin) as people:
            sighting = people.observe(at(6)[0])
            assert sighting.known is expected and sighting.nearest == 7
            assert sighting.pid == (7 if expected else -1)
            assert sighting.runner_up == pytest.approx(apart(10), abs=1e-6)
            assert sighting.reason == ('near' if expected else 'runner-up')
            people.undo()


def test_the_mean_of_all_images_instead_of_the_best(gallery):
    enroll(gallery, at(0, 40, 90), [1, 1, 2])
    for verdict, distance in (('best', apart(2)), ('mean', (apart(2) + apart(38)) / 2)):
        with People(gallery, threshold=1.0, band=0, margin=0, verdict=verdict) as people:
            sighting = people.observe(at(2)[0])
            assert sighting.pid == 1 and sighting.distance == pytest.approx(distance, abs=1e-6)
            assert sighting.runner_up == pytest.approx(apart(88), abs=1e-6)
            people.undo()


def test_thresholds_are_those_of_the_gallery_unless_given(gallery):
    enroll(gallery, at(0), [5])
    with People(gallery) as people:
        with pytest.raises(DataError, match='threshold'):
            people.observe(at(3)[0])
        gallery.set_threshold(apart(4))
        assert people.observe(at(3)[0]).known and people.observe(at(10)[0]).known is False
        gallery.set_threshold(apart(15), per='track')
        # Of several images, the mean counts: 10 degrees. The other person is at 10 degrees exactly.
        assert people.observe(at(-8, -12)).pid == 5
    with People(gallery, threshold=apart(1), track_threshold=apart(30), band=0, margin=0) as people:
        assert people.observe(at(-15)[0]).known is False and people.observe(at(-30, -32)).known
    with People(gallery, threshold=apart(1)) as people:
        # Not that of the gallery for tracks.
        assert people.observe(at(-70, -72)).known is False


def test_two_boxes_of_one_frame_are_two_people(people):
    first = people.observe_frame(at(0, 100), 0, 1.0)
    assert [(one.pid, one.known) for one in first] == [(1, False), (2, False)]
    # Both are near the first person; the nearer one is known.
    both = people.observe_frame(at(8, 3), 0, 2.0)
    assert [(one.pid, one.known, one.reason) for one in both] == [(3, False, 'taken'), (1, True, 'near')]
    # Likewise box by box: the same camera at the same time.
    assert people.observe(at(1)[0], 0, 3.0).pid == 1
    other = people.observe(at(1)[0], 0, 3.0)
    assert other.pid == 3 and other.known
    assert people.observe(at(1)[0], 0, 3.0).pid == 4


def test_the_sum_of_distances_decides_who_is_who(gallery):
    enroll(gallery, at(0, 10), [1, 2])
    with People(gallery, threshold=apart(20), band=0, margin=0) as people:
        # The second box is near to the second person alone, although the first box is nearest to it.
        found = people.observe_frame(at(6, 25), 0, 1.0)
        assert [one.pid for one in found] == [1, 2]


def test_unsure_people_of_a_frame_take_nobody(people):
    people.observe(at(0)[0], 0, 1.0)
    # Both are 25 degrees away from the only person, who may be either of them.
    both = people.observe_frame(at(-25, 25), 0, 2.0)
    assert [one.known for one in both] == [None, None]
    # The first is known, so that nobody is left for the second.
    both = people.observe_frame(at(5, -25), 0, 3.0)
    assert [(one.pid, one.known, one.reason) for one in both] == [(1, True, 'near'), (2, False, 'taken')]
    assert people.pids() == {1: 2, 2: 1}


def test_rows_without_an_image_are_left_out(people):
    rows = np.concatenate([at(0), np.zeros((1, 3)), at(50), np.full((1, 3), np.nan)]).astype(np.float32)
    found = people.observe_frame(rows, 0, 1.0, valid=[True, True, False, False])
    assert [one.pid for one in found] == [1, -1, -1, -1]
    assert [one.reason for one in found[1:]] == ['invalid'] * 3 and people.pids() == {1: 1}
    assert people.observe_frame(np.empty((0, 3), np.float32), 0, 2.0) == []
    assert people.observe_frame(rows[1:2], 0, 2.0)[0].known is None
    assert len(people.sightings()) == 1
    for call in (
        lambda: people.observe_frame(rows, 0, 2.0),
        lambda: people.observe_frame(rows[:2], 0, 2.0, valid=[True]),
        lambda: people.observe_frame(rows[:2], 0, 2.0, valid=[1, 0]),
        lambda: people.observe_frame(rows[:2], 0, 2.0, paths=['a']),
        lambda: people.observe_frame(rows[0], 0, 2.0),
        lambda: people.observe_frame(3, 0, 2.0),
        lambda: people.observe_frame([at(0), [1.0, 2.0]], 0, 2.0),
        lambda: people.observe(np.zeros(3, np.float32)),
        lambda: people.observe(np.ones(4, np.float32)),
        lambda: people.observe(np.ones(3, int)),
        lambda: people.observe(np.empty((0, 3), np.float32)),
        lambda: people.observe(at(0)[0], camid='door'),
        lambda: people.observe(at(0)[0], camid=-2),
        lambda: people.observe(at(0)[0], camid=1.5),
        lambda: people.observe(at(0)[0], time='noon'),
        lambda: people.observe(at(0)[0], time=math.inf),
        lambda: people.observe(at(0)[0], time=1.7e12),
        lambda: people.observe(at(0)[0], path=3),
        lambda: people.observe(at(0)[0], track=-2),
    ):
        with pytest.raises(DataError):
            call()
    with pytest.raises(DataError, match='person 3'):
        people.observe_frame(rows, 0, 2.0)
    assert people.pids() == {1: 1}


def test_nobody_walks_faster_than_the_travel_time(gallery):
    times = {(0, 1): 10.0, (1, 2): 5.0, (2, 1): 0.0, (0, 3): 0}
    with People(gallery, **LIMITS, travel_times=times) as people:
        assert people.observe(at(0)[0], 0, 100.0).pid == 1

        def seen(camid, time):
            pid = people.observe(at(0)[0], camid, time).pid
            people.undo()
            return pid

        # In both directions, before and after; a person who needs 10 s may be there after 10 s.
        assert [seen(1, time) == 1 for time in (80.0, 90.0, 90.1, 105.0, 109.9, 110.0)] == [
            True, True, False, False, False, True,
        ]  # fmt: skip
        # Cameras that see the same place, and one without a travel time.
        assert seen(3, 100.0) == 1 and seen(2, 100.0) != 1 and seen(2, 100.1) == 1
        # Times that are unknown exclude nothing.
        assert seen(1, None) == 1 and seen(None, 100.0) == 1
        # 5 s from camera 1 to 2, none back.
        people.observe(at(0)[0], 1, 200.0)
        assert [seen(2, time) == 1 for time in (199.9, 201.0, 204.9, 205.0)] == [True, False, False, True]
    for wrong in ({(0, 0): 1}, {(0, 1): -1}, {(0, 1): math.inf}, {(0, 1): 'x'}, {0: 1}, {('a', 'b'): 1}):
        with pytest.raises(DataError, match=r'travel_times|camid'):
            People(gallery, travel_times=wrong)


def test_tracks_that_overlap_in_one_camera_are_two_people(people):
    assert people.observe(at(0, 1, 2), 0, [10.0, 11.0, 14.0]).pid == 1
    (record,) = people.images(1)
    assert (record.frames, record.time, record.track) == (3, 10.0, 'sighting-0')
    assert people.observe(at(0, 1), 0, (14.0, 20.0)).pid == 2
    assert people.observe(at(0, 1), 0, (15.0, 20.0)).pid == 1
    assert people.observe(at(0, 1), 0, (9.0, 30.0)).pid == 3
    # One track, seen several times.
    assert people.observe(at(100)[0], 1, (1.0, 2.0), track=7).pid == 4
    assert people.observe(at(100)[0], 1, (1.0, 3.0), track='7').pid == 4
    assert people.observe(at(100)[0], 1, (1.0, 3.0), track='8').pid == 5
    found = people.observe_frame([at(200, 201), at(250)], 1, (50.0, 60.0), tracks=['a', 'b'], attributes=[['hat'], []])
    assert [one.pid for one in found] == [6, 7]
    (record,) = people.images(6)
    assert (record.track, record.frames, record.attributes) == ('a', 2, ('hat',))


def test_features_of_a_person_have_everything_themselves(people):
    features = Features(
        at(0, 2), ['a.jpg', 'b.jpg'], [-1, -1], [2, 2], [5.0, 7.0], source='host', track='t', attributes=[('hat',), ()]
    )
    assert people.observe(features).pid == 1
    (record,) = people.images(1)
    assert (record.path, record.source, record.track, record.camid, record.time) == ('a.jpg', 'host', 't', 2, 5.0)
    assert people.sightings(1)[0].until == 7.0
    features.model = 'other'
    with pytest.raises(DataError, match='other'):
        people.observe(features)
    with pytest.raises(DataError, match='without a row'):
        people.observe(features[:0])
    with pytest.raises(DataError, match='Features'):
        people.observe_frame(features)


def test_an_image_that_was_observed_gets_the_same_answer_again(people):
    first = people.observe_frame(at(0, 100, 200), 0, 1.0, paths=['a', 'b', ''])
    again = people.observe_frame(at(0, 100), 0, 1.0, paths=['a', 'b'])
    assert [(one.pid, one.number) for one in again] == [(one.pid, one.number) for one in first[:2]]
    assert people.pids() == {1: 1, 2: 1, 3: 1}
    people.merge(1, 2)
    assert people.observe(at(100)[0], 0, 1.0, path='b').pid == 1
    # Others of the same frame are others.
    assert people.observe(at(0)[0], 0, 1.0, path='c').pid == 4
    # Of an image that the gallery has from elsewhere, there is no second copy.
    enroll(people.gallery, at(300), [9], path=['d'])
    sighting = people.observe(at(300)[0], 0, 2.0, path='d')
    assert (sighting.pid, sighting.enrolled, people.pids()[9]) == (9, False, 1)


def test_the_most_different_images_are_kept(gallery):
    with People(gallery, threshold=apart(40), band=0, margin=0, images_per_person=3) as people:
        angles = [0, 10, 2, 12, 1, 30, 5]
        enrolled = [people.observe(at(angle)[0], 0, float(time)).enrolled for time, angle in enumerate(angles)]
        kept = at(*angles)[[int(record.time) for record in people.images(1)]]
        kept = np.round(np.degrees(np.arctan2(kept[:, 1], kept[:, 0])))
        # After the fourth, 2 is in the middle; then 12 and 0 are farthest, and 10 goes. 30 replaces 12.
        assert sorted(kept.tolist()) == [0, 2, 30] or sorted(kept.tolist()) == [0, 12, 30]
        assert enrolled[:4] == [True] * 4 and not enrolled[4] and enrolled[5] and not enrolled[6]
        assert people.pids() == {1: 3}
        dropped = [row for row in people.log() if row['event'] == 'dropped']
        assert len(dropped) == 2 and dropped[0]['path'] == 'sighting-1'
        # Images that somebody else enrolled stay, and do not count.
        enroll(gallery, at(1, 2, 3, 4), [1] * 4)
        people.observe(at(35)[0], 0, 20.0)
        assert people.pids() == {1: 7}


def test_farthest_points_against_a_loop():
    random = np.random.RandomState(0)
    for case in range(60):
        number, most = random.randint(1, 9), random.randint(1, 6)
        embedding = random.randn(number, 3).astype(np.float32)
        embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
        fixed = random.rand(number) < (0.3 if case % 2 else 0)
        table = [[float(distances(one, other[None], 'cosine')[0]) for other in embedding] for one in embedding]
        free = [row for row in range(number) if not fixed[row]]
        if len(free) <= most:
            expected = free
        else:
            chosen = [row for row in range(number) if fixed[row]]
            if not chosen:
                chosen = [min(free, key=lambda row: (sum(table[row][other] for other in free), row))]
            while len(set(chosen) & set(free)) < most:
                left = [row for row in free if row not in chosen]
                chosen.append(max(left, key=lambda row: (min(table[row][other] for other in chosen), -row)))
            expected = sorted(set(chosen) & set(free))
        assert most_different(embedding, fixed, most, 'cosine') == expected


@pytest.mark.parametrize('distance', ['cosine', 'euclidean'])
@pytest.mark.parametrize('verdict', ['best', 'mean'])
def test_distances_to_people_against_a_loop(tmp_path, distance, verdict):
    random = np.random.RandomState(1)
    with Gallery.create(tmp_path / 'g', dimension=8, distance=distance) as gallery:
        ids = enroll(gallery, random.randn(300, 8), random.randint(-1, 60, 300))
        vectors = PeopleVectors(gallery, verdict)
        for change in (lambda: None, lambda: gallery.delete(ids=ids[::3]), lambda: gallery.relabel(ids[1:90:3], 77)):
            change()
            vectors.sync(None)
            features = gallery.features()
            queries = random.randn(5, 8).astype(np.float32)
            queries /= np.linalg.norm(queries, axis=1, keepdims=True)
            for query, found in zip(queries, vectors.ranked(queries, [0.5] * 5, 7), strict=True):
                expected = []
                for pid in sorted(set(features.pid[features.pid >= 0].tolist())):
                    x = features.embedding[features.pid == pid].astype(np.float64)
                    far = np.linalg.norm(x - query, axis=1)
                    far = far**2 / 2 if distance == 'cosine' else far
                    expected.append((far.min() if verdict == 'best' else far.mean(), pid))
                expected.sort()
                needed = max(7, sum(far <= 0.5 for far, _ in expected))
                assert [pid for pid, _ in found[:needed]] == [pid for _, pid in expected[:needed]]
                found_distances = [far for _, far in found[:needed]]
                np.testing.assert_allclose(found_distances, [far for far, _ in expected[:needed]], atol=1e-6)


def naive_assignment(ranked, limits):
    """Return the best total score of all one-to-one assignments."""
    options = [
        [(None, 0.0), *((pid, limit.farthest - far) for pid, far in people if far <= limit.farthest)]
        for people, limit in zip(ranked, limits, strict=True)
    ]
    best = 0.0
    for choice in itertools.product(*options):
        pids = [pid for pid, _ in choice if pid is not None]
        if len(pids) == len(set(pids)):
            best = max(best, sum(score for _, score in choice))
    return best


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(0, 5), st.floats(0, 0.2))
def test_decisions_against_all_assignments(seed, number, count, margin):
    random = np.random.RandomState(seed)
    table = random.rand(number, count)
    ranked = [sorted(((pid + 1, table[row, pid]) for pid in range(count)), key=lambda p: p[1]) for row in range(number)]
    limits = [Limits(0.4, 0.2, margin) for _ in range(number)]
    verdicts = decide(ranked, limits)
    known = [verdict.pid for verdict in verdicts if verdict.known]
    # Nobody twice, and nobody that is known to be another one is the nearest of somebody.
    assert len(known) == len(set(known))
    for row, verdict in enumerate(verdicts):
        others = {one.pid for other, one in enumerate(verdicts) if one.known and other != row}
        left = [(pid, far) for pid, far in ranked[row] if pid not in others]
        nearest = min((far for _, far in left), default=math.inf)
        if verdict.known:
            assert verdict.distance == table[row, verdict.pid - 1] <= 0.4
            rest = [far for pid, far in left if pid != verdict.pid]
            assert min(rest, default=math.inf) - verdict.distance >= margin
        elif verdict.known is None:
            assert nearest <= 0.6 and verdict.distance == nearest
        else:
            assert nearest > 0.6
    if margin == 0 and all(verdict.known or verdict.distance != verdict.distance for verdict in verdicts):
        total = sum(0.6 - verdict.distance for verdict in verdicts if verdict.known)
        assert total == pytest.approx(naive_assignment(ranked, limits), abs=1e-12)


def test_confidence_falls_with_the_distance_and_rises_with_the_runner_up():
    limits = Limits(0.4, 0.1, 0.02)
    grid = np.linspace(0, 0.4, 9)
    known = [confidence(True, far, 0.9, limits) for far in grid]
    assert known == sorted(known, reverse=True) and known[0] == 1 and known[-1] == 0
    assert [confidence(True, 0.1, far, limits) for far in (0.1, 0.2, 0.3)] == sorted(
        confidence(True, 0.1, far, limits) for far in (0.1, 0.2, 0.3)
    )
    new = [confidence(False, far, math.nan, limits) for far in np.linspace(0.5, 2, 9)]
    assert new == sorted(new) and new[0] == 0 and new[-1] == 1
    assert confidence(False, math.nan, math.nan, limits) == 1 and confidence(None, 0.45, 0.5, limits) == 0
    assert confidence(True, 0.0, math.nan, Limits(0.0, 0.0, 0.0)) == 1


def test_merge_split_and_rename(people):
    for time, angle in enumerate((0, 1, 90, 91, 180)):
        people.observe(at(angle)[0], 0, float(time))
    people.rename(2, 'Zoe\u0308')
    before = state(people)
    assert people.pids() == {1: 2, 2: 2, 3: 1} and people.observe(at(92)[0], 1, 5.0).name == 'Zoë'
    people.undo()
    people.merge(1, 'Zoë')
    # The first person gets the other's name and sightings.
    assert people.pids() == {1: 4, 3: 1} and people.gallery.names['pid'] == {1: 'Zoë'}
    assert [seen.start for seen in people.sightings('Zoë')] == [0, 1, 2, 3] and people.sightings(2) == []
    assert people.observe(at(90)[0], 1, 3.0).pid == 4
    assert people.undo() == 'observe' and people.undo() == 'merge' and state(people) == before
    people.rename(1, 'anna')
    people.merge(1, 2)
    assert people.gallery.names['pid'] == {1: 'anna'}
    images = people.images(1)
    new = people.split('anna', [record.id for record in images if record.time >= 2])
    assert new > 3 and people.pids() == {1: 2, 3: 1, new: 2}
    assert [seen.start for seen in people.sightings(new)] == [2, 3]
    assert [people.undo() for _ in range(3)] == ['split', 'merge', 'rename'] and state(people) == before
    for call in (
        lambda: people.merge(1, 1),
        lambda: people.merge(1, 8),
        lambda: people.merge('anna', 1),
        lambda: people.split(1, [record.id for record in people.images(1)]),
        lambda: people.split(1, []),
        lambda: people.split(1, [people.images(3)[0].id]),
        lambda: people.rename(1, 'Zoë'),
        lambda: people.rename(1, '12'),
        lambda: people.rename(8, 'x'),
        lambda: people.rename(1.5, 'x'),
    ):
        with pytest.raises(DataError):
            call()
        # Nothing has happened.
        assert state(people) == before
    # Numbers are not given again.
    assert people.observe(at(270)[0], 0, 9.0).pid > new


def test_a_merge_keeps_the_most_different_images(gallery):
    with People(gallery, threshold=apart(20), band=0, margin=0, images_per_person=2) as people:
        for time, angle in enumerate((0, 1, 90, 91)):
            people.observe(at(angle)[0], 0, float(time))
        before = state(people)
        people.merge(1, 2)
        assert people.pids() == {1: 2}
        assert people.undo() == 'merge' and state(people) == before


def test_forgetting_and_erasing(people, tmp_path):
    enroll(people.gallery, at(250), [50], time=[0.5])
    for time, angle in enumerate((0, 1, 90, 91, 180)):
        people.observe(at(angle)[0], time % 2, float(time), path=f'secret-{time}.jpg')
    before = state(people)
    # Not the image that somebody else enrolled.
    assert people.forget(before=2.0) == 2 and people.pids() == {50: 1, 52: 2, 53: 1}
    assert people.undo() == 'forget' and state(people) == before
    assert people.forget(max_age=1.0) == 3 and people.undo() == 'forget'
    assert people.forget(pid=50) == 1 and people.undo() == 'forget' and state(people) == before
    assert people.forget(before=0.0) == 0
    embedding = people.gallery.features([people.images(51)[0].id]).embedding.tobytes()
    people.forget(pid=51)
    folder = people.gallery.folder
    assert any(embedding in file.read_bytes() for file in folder.iterdir())
    # Erased although they were forgotten before: from the journal, its log and the gallery's files.
    assert people.forget(pid=51, erase=True) == 0
    assert people.forget(before=3.0, erase=True) == 1
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert not any(embedding in content for content in files.values())
    assert not any(f'secret-{time}'.encode() in content for content in files.values() for time in range(3))
    assert any(b'secret-3' in content for content in files.values())
    assert people.pids() == {50: 1, 52: 1, 53: 1} and {seen.start for seen in people.sightings()} == {3.0, 4.0}
    with pytest.raises(DataError, match='nothing to undo'):
        people.undo()
    people.rename(52, 'x')
    assert people.undo() == 'rename'
    for conditions in (
        {}, dict(before=1, max_age=1), dict(before=math.nan), dict(before='x'), dict(pid='nobody'), dict(max_age=-1.0),
    ):  # fmt: skip
        with pytest.raises(DataError):
            people.forget(**conditions)


def test_only_the_last_operations_can_be_undone(gallery):
    with People(gallery, **LIMITS, images_per_person=1, undo_operations=2) as people:
        for time in range(5):
            people.observe(at(3 * time % 7)[0], 0, float(time))
        assert people.undo() == 'observe'
        # The undoing counts too.
        with pytest.raises(DataError, match='2 operations'):
            [people.undo() for _ in range(2)]


def test_the_log_tells_everything(people, tmp_path):
    people.observe_frame(at(0, 100), 0, 1.0, paths=['ä,"1".jpg', 'b.jpg'], source='host', tracks=['t', ''])
    people.observe(at(25)[0], 1, 2.0)
    people.merge(1, 2)
    people.undo()
    people.rename(1, 'anna')
    rows = people.log()
    events = [(row['operation'], row['event'], row['pid'], row['undone']) for row in rows]
    assert events == [
        (1, 'new', 1, False), (1, 'new', 2, False), (1, 'enrolled', 1, False), (1, 'enrolled', 2, False),
        (2, 'unsure', -1, False),
        (3, 'merge', None, True), (3, 'moved', 2, True),
        (4, 'undo', None, False), (4, 'moved', 1, False),
        (5, 'rename', None, False), (5, 'renamed', 1, False),
    ]  # fmt: skip
    assert rows[4]['distance'] == pytest.approx(apart(25), abs=1e-6) and rows[4]['camid'] == 1
    people.write_log(tmp_path / 'log.csv')
    with (tmp_path / 'log.csv').open(encoding='utf-8', newline='') as file:
        written = list(csv.DictReader(file))
    assert len(written) == len(rows) and written[0]['path'] == 'ä,"1".jpg' and written[0]['track'] == 't'
    for row, text in zip(rows, written, strict=True):
        assert {name: '' if value is None else str(value) for name, value in row.items()} == text


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**6))
def test_undoing_leads_back_through_all_states(tmp_path_factory, seed):
    random = np.random.RandomState(seed)
    folder = tmp_path_factory.mktemp('people')
    with Gallery.create(folder / 'g', dimension=3) as gallery:
        enroll(gallery, at(0, 5, 120), [3, 3, 8])
        with People(gallery, **LIMITS, images_per_person=3, travel_times={(0, 1): 2}) as people:
            states = [state(people)]
            for time in range(12):
                pids = list(people.pids()) or [0]
                kind = random.choice(['frame', 'frame', 'frame', 'merge', 'split', 'rename', 'forget', 'person'])
                pid, other = random.choice(pids), random.choice(pids)
                if kind == 'merge' and pid != other:
                    people.merge(int(pid), int(other))
                elif kind == 'split' and people.pids().get(pid, 0) > 1:
                    people.split(int(pid), [people.images(int(pid))[0].id])
                elif kind == 'rename' and pid:
                    people.rename(int(pid), f'name {time}')
                elif kind == 'forget' and any(seen.start < time - 3 for seen in people.sightings()):
                    if people.forget(before=time - 3.0) == 0:
                        continue
                elif kind == 'person' and len(pids) > 2:
                    people.forget(pid=int(pid))
                elif kind == 'frame':
                    people.observe_frame(at(*random.randint(0, 360, random.randint(1, 4))), time % 3, float(time))
                else:
                    continue
                states.append(state(people))
                if random.rand() < 0.3:
                    people.undo()
                    states.pop()
                    assert state(people) == states[-1]
            while len(states) > 1:
                people.undo()
                states.pop()
                assert state(people) == states[-1]
            with pytest.raises(DataError):
                people.undo()


def test_others_may_change_the_gallery(people):
    people.observe_frame(at(0, 90, 180), 0, 1.0)
    with Gallery.open(people.gallery.uri) as other:
        other.delete(pid=1)
        enroll(other, at(270), [40])
        other.relabel(other.ids()[:1], 41)
        other.rename(41, 'anna')
    found = [people.observe(at(angle)[0], 0, 2.0 + angle) for angle in (0, 90, 180, 270)]
    assert [(one.pid, one.name) for one in found] == [(42, ''), (41, 'anna'), (3, ''), (40, '')]
    # What is gone does not come back, and what has moved is no longer the image that was enrolled.
    assert [people.undo() for _ in range(5)] == ['observe'] * 5 and people.pids() == {40: 1, 41: 1}


def test_numbers_avoid_names_that_are_numbers(people):
    people.gallery.enroll(Features(at(0, 90, 91), ['a', 'b', 'c'], [1, '1', 'x'], ['door', -1, -1], [np.nan] * 3))
    taken = set(people.pids())
    new = people.observe(at(200)[0], camid='door', time=1.0)
    assert new.known is False and new.pid not in taken and people.pids()[new.pid] == 1
    assert people.images(new.pid)[0].camera == 'door'
    assert people.observe(at(201)[0], camid='door', time=2.0).pid == new.pid


def test_an_error_of_the_gallery_leaves_the_state_before(people, monkeypatch):
    people.observe_frame(at(0, 90), 0, 1.0)
    before, rows = state(people), people.log()
    for method, call in (
        ('_append', lambda: people.observe(at(200)[0], 0, 2.0)),
        ('_relabel', lambda: people.merge(1, 2)),
        ('_delete', lambda: people.forget(pid=1)),
        ('_rename', lambda: people.rename(1, 'anna')),
    ):
        with monkeypatch.context() as patch:

            def fail(*args):
                raise OSError(28, 'No space left on device')

            patch.setattr(type(people.gallery), method, fail)
            with pytest.raises(OSError, match='No space'):
                call()
        assert state(people) == before and people.log() == rows
    assert people.observe(at(200)[0], 0, 2.0).known is False


def test_threads_and_objects_share_a_gallery(people):
    # Each thread sees its own ten people, with an object of its own; two share one.
    random = np.random.RandomState(0)
    places = random.randn(30, 3).astype(np.float32)
    with Gallery.create(people.gallery.uri + '2', dimension=3) as gallery:
        shared = People(gallery, threshold=1e-6, band=0, margin=0)
        answers, errors = [], []

        def watch(camid, own):
            try:
                with Gallery.open(gallery.uri) as mine:
                    watcher = shared if own else People(mine, threshold=1e-6, band=0, margin=0)
                    for number in range(10):
                        sighting = watcher.observe(places[10 * camid + number], camid, float(number))
                        answers.append((sighting.pid, sighting.number))
                    if not own:
                        watcher.close()
            except BaseException as e:
                errors.append(e)

        threads = [threading.Thread(target=watch, args=(camid, camid < 2)) for camid in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert sorted(pid for pid, _ in answers) == list(range(1, 31))
        assert sorted(number for _, number in answers) == list(range(30))
        assert shared.pids() == dict.fromkeys(range(1, 31), 1)
        shared.close()


def test_journals_that_cannot_be_used(gallery, tmp_path):
    with People(gallery, journal=tmp_path / 'own' / 'ä.sqlite', threshold=0.1) as people:
        people.observe(at(0)[0])
    with Gallery.create(tmp_path / 'other', dimension=3) as other, pytest.raises(DataError, match='other'):
        People(other, journal=tmp_path / 'own' / 'ä.sqlite')
    (gallery.folder / 'people.sqlite').write_bytes(b'no database at all' * 100)
    with pytest.raises(DataError, match=r'people\.sqlite'):
        People(gallery)
    (gallery.folder / 'people.sqlite').unlink()
    for arguments in (
        dict(threshold=-1), dict(threshold=math.nan), dict(threshold='x'), dict(band=-0.1), dict(margin=True),
        dict(verdict='median'), dict(images_per_person=0), dict(images_per_person=1.5), dict(undo_operations=-1),
        dict(track_threshold=math.inf),
    ):  # fmt: skip
        with pytest.raises(DataError, match=next(iter(arguments)).replace('track_', '')):
            People(gallery, **arguments)
    with pytest.raises(DataError, match='Gallery'):
        People('folder')
    with Gallery.create(tmp_path / 'm', dimension=3, model='abc') as other, pytest.raises(DataError, match='abc'):
        People(other, model='def')


def test_a_closed_object_and_numbers_that_are_none(gallery):
    people = People(gallery, **LIMITS)
    for angle in (0, 1):
        people.observe(at(angle)[0], 0, float(angle))
    for ids in ('a', ['a'], [math.nan], [True], None):
        with pytest.raises(DataError, match='ids'):
            people.split(1, ids)
    first = people.id
    people.close()
    people.close()
    with pytest.raises(DataError, match='closed'):
        people.pids()
    with People(gallery) as again:
        assert again.id == first and again.pids() == {1: 2}
