"""Scores of identities on an example that is worked out by hand, and one run from drawing to the table."""

from itertools import permutations

import numpy as np
import pytest

from benchmarks.identities import (
    UNSURE,
    Decisions,
    Question,
    ThresholdOnly,
    boxes_of,
    calibrated,
    compare,
    decide_alone,
    decide_by_people,
    frames_of,
    identity_f1,
    measure_scenes,
    measure_tracks,
    score,
    score_table,
    tracks_of,
    true_decisions,
)
from benchmarks.identity_data import CALIBRATION_SEED, LabeledTracks, Sightings, overlap, pooled, scene_sightings
from mmosnet.errors import DataError
from mmosnet.synthetic.datasets import write_jpeg
from mmosnet.synthetic.scenes import draw_scene

# Unit vectors far apart, one per person; person 0 is a false box.
LOOKS = np.eye(4, dtype=np.float32)


def sightings(moment, track, pid, looks=None, overlaps=None, missed=()):
    pid, moment = np.array(pid), np.array(moment)
    looks = pid if looks is None else np.array(looks)
    return Sightings(
        embedding=LOOKS[looks],
        moment=moment,
        track=np.array(track),
        camid=moment % 2,
        time=moment // 2 * 1.0,
        pid=pid,
        overlap=np.where(pid > 0, 0.9, 0.0) if overlaps is None else np.array(overlaps),
        missed_pid=np.array([person for _, person in missed], np.int64),
        missed_moment=np.array([moment for moment, _ in missed], np.int64),
    )


# Person 1 and 2 in two frames of camera 0, a false box, then person 1 and 3 in camera 1.
EXAMPLE = sightings([0, 0, 2, 2, 2, 5, 5], [1, 2, 1, 2, 3, 4, 5], [1, 2, 1, 2, 0, 1, 3])
trackeval = pytest.importorskip('trackeval', reason="needs the extra 'peer'")


def decisions(answers, known):
    return Decisions(boxes_of(EXAMPLE), np.array(answers), np.array(known, bool))


def test_decisions_are_counted_by_hand():
    # Right: new 7, new 8, known 7. Merged: 2 is taken for 7. The false box is not counted. Split: 1 is new again.
    answers = decisions([7, 8, 7, 7, 9, 10, UNSURE], [0, 0, 1, 1, 0, 0, 0])
    result = score(EXAMPLE, answers)
    assert (result.right, result.merged, result.split, result.unsure) == (3 / 6, 1 / 6, 1 / 6, 1 / 6)
    assert result.identities == 4 / 3
    # 1 is matched to 7 (2 boxes), 2 to 8 (1). 6 boxes have an identity, 6 people are there.
    assert (result.idp, result.idr, result.idf1) == (3 / 6, 3 / 6, 3 / 6)


def test_an_identity_of_somebody_else_is_a_merge_and_a_second_own_one_is_right():
    answers = decisions([7, 8, 9, 8, 9, 9, 8], [0, 0, 0, 1, 1, 1, 1])
    # The third founds a second identity of person 1, as which 1 is known rightly later; 3 is taken for 2.
    result = score(EXAMPLE, answers)
    assert (result.right, result.merged, result.split, result.unsure) == (4 / 6, 1 / 6, 1 / 6, 0)


def test_missed_people_and_inaccurate_boxes_lower_recall():
    example = sightings([0, 2], [1, 1], [1, 1], overlaps=[0.9, 0.4], missed=[(0, 2), (4, 1)])
    idf1, idp, idr = identity_f1(example, np.array([5, 5]))
    assert (idp, idr) == (1 / 2, 1 / 4) and idf1 == pytest.approx(2 / 6)
    assert identity_f1(example, np.array([UNSURE, UNSURE])) == (0, 0, 0)


def test_perfect_answers_are_the_best():
    best = score(EXAMPLE, true_decisions(EXAMPLE))
    assert (best.right, best.idf1, best.idp, best.idr, best.identities) == (1, 1, 1, 1, 1)


def test_idf1_is_that_of_all_assignments():
    rng = np.random.default_rng(0)
    for _ in range(20):
        pid, answer = rng.integers(0, 3, 12), rng.integers(-1, 3, 12)
        example = sightings(np.arange(12), np.arange(12), pid)
        best = max(
            sum(int(((pid == person) & (answer == order[person - 1])).sum()) for person in (1, 2))
            for order in permutations(range(3), 2)
        )
        total = (pid > 0).sum() + (answer >= 0).sum()
        assert identity_f1(example, answer)[0] == pytest.approx(2 * best / max(1, total))


def test_groups_are_in_the_order_of_time():
    assert [rows.tolist() for rows in frames_of(EXAMPLE)] == [[0, 1], [2, 3, 4], [5, 6]]
    assert [rows.tolist() for rows in tracks_of(EXAMPLE)] == [[0, 2], [1, 3], [4], [5], [6]]


def test_threshold_only_takes_the_nearest_image():
    near = np.array([1, 0.2, 0, 0], np.float32)
    for keeps_all in (True, False):
        assigner = ThresholdOnly(0.5, keeps_all)
        assert assigner.observe(LOOKS[0]) == (1, False)
        assert assigner.observe(LOOKS[1]) == (2, False)
        assert assigner.observe(near) == (1, True)
    # A chain of images leads from one person to another, if all are kept.
    angles = np.deg2rad([0, 50, 100])
    chain = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    kept, first = ThresholdOnly(0.5, True), ThresholdOnly(0.5, False)
    assert [kept.observe(image)[0] for image in chain] == [1, 1, 1]
    assert [first.observe(image)[0] for image in chain] == [1, 1, 2]


@pytest.mark.parametrize('per', ['box', 'track'])
def test_people_who_look_different_are_told_apart(per, tmp_path):
    pytest.importorskip('faiss')
    for answers in (
        decide_alone(EXAMPLE, Question(per, 0.5), True),
        decide_by_people(EXAMPLE, Question(per, 0.5), tmp_path / 'with'),
        decide_by_people(EXAMPLE, Question(per, 0.5), tmp_path / 'without', constraints=False, margin=0.0),
    ):
        result = score(EXAMPLE, answers)
        assert (result.right, result.idr) == (1, 1)
        assert result.idp == 6 / 7  # the false box is a person of its own


@pytest.mark.parametrize('decide', [decide_alone, decide_by_people])
def test_short_tracks_get_no_answer(decide, tmp_path):
    pytest.importorskip('faiss')
    answers = decide(EXAMPLE, Question('track', 0.5, shortest=2), tmp_path / 'gallery')
    assert [len(rows) for rows in answers.rows] == [2, 2, 1, 1, 1]
    assert answers.answer.tolist() == [1, 2, UNSURE, UNSURE, UNSURE]
    result = score(EXAMPLE, answers)
    assert (result.right, result.unsure, result.idp, result.idr) == (2 / 4, 2 / 4, 1, 4 / 6)


def test_two_boxes_of_a_frame_that_look_alike_are_two_people(tmp_path):
    pytest.importorskip('faiss')
    twins = sightings([0, 0, 2, 2], [1, 2, 1, 2], [1, 2, 1, 2], looks=[1, 1, 1, 1])
    assert decide_alone(twins, Question('box', 0.5), True).answer.tolist() == [1, 1, 1, 1]
    assert decide_by_people(twins, Question('box', 0.5), tmp_path / 'gallery').answer[:2].tolist() == [1, 2]


def test_the_threshold_is_that_of_the_rate():
    rng = np.random.default_rng(0)
    pid = np.repeat(np.arange(20), 5)
    embedding = (rng.standard_normal((20, 16))[pid] + 0.3 * rng.standard_normal((100, 16))).astype(np.float32)
    threshold = calibrated(embedding, pid, 0.01)
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    others = (1 - unit @ unit.T)[pid[:, None] != pid]
    assert (others <= threshold).mean() == pytest.approx(0.01, abs=0.001)


def test_overlap_and_pooling():
    assert overlap((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(50 / 150)
    assert overlap((0, 0, 10, 10), (20, 0, 10, 10)) == 0
    mean = pooled(np.array([[3, 0], [0, 4], [0, 1]], np.float32), np.array([5, 5, 2]))
    assert np.allclose(mean, [[0, 1], [0.5, 0.5]])


def test_tracks_in_a_random_order():
    track = np.repeat(np.arange(4), 3)
    tracks = LabeledTracks(np.eye(12, dtype=np.float32), track, track // 2 + 1, track % 2)
    first, again, other = tracks.shuffled(0), tracks.shuffled(0), tracks.shuffled(1)
    assert (first.embedding == again.embedding).all() and (first.embedding != other.embedding).any()
    assert (np.diff(first.time) > 0).all() and (first.moment == np.arange(12)).all()
    assert [len(rows) for rows in tracks_of(first)] == [3] * 4
    assert set(tracks.of_people(np.array([2])).track.tolist()) == {2, 3}


def test_the_threshold_never_comes_from_a_test_scene(tmp_path):
    with pytest.raises(DataError, match=str(CALIBRATION_SEED)):
        measure_scenes(tmp_path, None, 'track', 0.01, 1, [0, CALIBRATION_SEED])


@pytest.mark.parametrize('two_folds', [False, True])
def test_labeled_tracks_from_images_to_the_report(tmp_path, two_folds):
    pytest.importorskip('faiss')
    rng = np.random.default_rng(0)
    for split, pids in (
        ('bounding_box_train', range(1, 5)),
        ('query', range(5, 9)),
        ('bounding_box_test', range(5, 9)),
    ):
        (tmp_path / split).mkdir()
        for pid in pids:
            color = rng.integers(0, 256, 3)
            for camera, frame in ((1, 1), (1, 2), (2, 1)):
                image = np.clip(color + rng.integers(-5, 6, (16, 8, 3)), 0, 255).astype(np.uint8)
                frame += 10 * (split == 'query')
                write_jpeg(tmp_path / split / f'{pid:04d}_c{camera}s1_{frame:06d}_00.jpg', image)

    def colors(image, boxes):
        assert boxes == [[0, 0, 8, 16]]
        return image.reshape(1, -1, 3).mean(axis=1).astype(np.float32) - 128

    report = measure_tracks(tmp_path, colors, 'track', 0.2, 1, [0, 1], two_folds, ['People'])
    assert report.startswith('4 people in 2 orders') and report.count('People') == 1
    assert ('half' in report) == two_folds


def test_from_a_drawn_scene_to_the_table(tmp_path):
    pytest.importorskip('faiss')
    scene = draw_scene(tmp_path / 'scene', 1, 6, 15.0, 2, (320, 180), 1, noise=True)

    def colors(frame, boxes):
        regions = (frame[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1] for x0, y0, x1, y1 in boxes)
        return np.stack([region.reshape(-1, 3).mean(axis=0) for region in regions]).astype(np.float32)

    seen = scene_sightings(scene, colors)
    assert len(seen) > 20 and (np.diff(seen.moment) >= 0).all()
    for rows in tracks_of(seen):
        assert len(set(seen.pid[rows].tolist())) == 1 and len(set(seen.camid[rows].tolist())) == 1
    scores = compare([seen], Question('track', 0.01), ['People'])
    assert scores['perfect'][0].right == 1 and scores['perfect'][0].idf1 > 0.6
    table = score_table(scores)
    assert 'People' in table and f'{scores["People"][0].idf1:.3f}' in table
