"""Drawn scenes: the same again, boxes that fit their people, real occlusion, and passages that are possible."""

from __future__ import annotations

import json
from collections import defaultdict

import cv2
import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.io.video import VideoFrames, read_boxes
from mmosnet.synthetic import scenes
from mmosnet.synthetic.scenes import (
    ABSENCE_SECONDS,
    MIN_VISIBILITY,
    TRAVEL_SECONDS,
    View,
    draw_scene,
    exact_boxes,
    noisy_boxes,
    plan_passages,
    read_truth,
)

SIZE = (320, 180)
SHORT = dict(seed=3, num_people=5, seconds=12.0, fps=4, size=SIZE, num_strangers=2)
GOLDEN_PASSAGES = [(5, 1), (1, 1), (3, 1), (6, 1)]  # pid and camera of the first ones
GOLDEN_ROWS = [
    (0, 11, 1, 7, (301, 72, 19, 76)),
    (0, 12, 0, 4, (0, 79, 3, 5)),
    (0, 12, 1, 7, (294, 72, 21, 77)),
]
FILES = ('cam0.txt', 'cam1.txt', 'truth.csv', 'synthetic.json')


@pytest.fixture(scope='module')
def scene(tmp_path_factory):
    """A short scene with exact boxes."""
    return draw_scene(tmp_path_factory.mktemp('scenes') / 'exact', **SHORT)


def test_a_scene_is_the_same_again(scene, tmp_path):
    steps = []
    again = draw_scene(tmp_path / 'again', **SHORT, step=lambda: steps.append(1))
    assert len(steps) == 2 * 12 * 4
    for name in FILES:
        assert (again / name).read_bytes() == (scene / name).read_bytes(), name
    before = (again / 'truth.csv').stat().st_mtime_ns
    assert draw_scene(again, **SHORT, step=lambda: pytest.fail('drawn again')) == again
    assert (again / 'truth.csv').stat().st_mtime_ns == before
    other = draw_scene(tmp_path / 'other', **dict(SHORT, seed=4, seconds=2.0))
    assert (other / 'truth.csv').read_bytes() != (scene / 'truth.csv').read_bytes()


def test_the_first_rows_never_change(scene):
    # Whole numbers, so that they are equal on all machines. If boxes are meant to change, raise SCENE_VERSION too.
    people = plan_passages(3, 5, 2, 12.0, SIZE)
    assert [(walk.pid, walk.camid) for walk in people[:4]] == GOLDEN_PASSAGES
    assert [tuple(row[:5]) for row in read_truth(scene)[:3]] == GOLDEN_ROWS


def test_truth_and_boxes_agree(scene):
    truth = read_truth(scene)
    assert {row.camid for row in truth} == {0, 1}
    for camid in (0, 1):
        known = {(row.frame, row.track): row for row in truth if row.camid == camid and row.track}
        boxes = read_boxes(scene / f'cam{camid}.txt')
        assert len(boxes) == len(known) > 40
        for box in boxes:
            row = known[box.frame, box.track]
            assert tuple(box.box) == row.box and row.visibility >= MIN_VISIBILITY
        assert all(row.visibility < MIN_VISIBILITY for row in truth if row.camid == camid and not row.track)
        # A track is one passage of one person.
        pids = defaultdict(set)
        frames = defaultdict(list)
        for row in known.values():
            pids[row.track].add(row.pid)
            frames[row.track].append(row.frame)
        assert all(len(people) == 1 for people in pids.values())
        assert sorted(pids) == list(range(1, len(pids) + 1))


def test_boxes_are_inside_of_the_frames_and_videos_have_all_frames(scene):
    for row in read_truth(scene):
        x, y, w, h = row.box
        assert x >= 0 and y >= 0 and w >= 1 and h >= 1 and x + w <= SIZE[0] and y + h <= SIZE[1]
        assert 0 < row.visibility <= 1
    for camid in (0, 1):
        video = VideoFrames(scene / f'cam{camid}.mp4')
        assert (video.width, video.height, video.fps) == (*SIZE, 4.0)
        assert video.read(47).shape == (180, 320, 3)
        with pytest.raises(DataError):
            video.read(48)
        video.close()


def test_people_who_are_nearer_occlude_others():
    size = (160, 90)
    passages = plan_passages(0, 8, 0, 20.0, size)
    view = View(0, 0, size, passages)
    numbers = [number for number, _ in view.passages]
    occluded = 0
    for frame in range(20, 70):
        _, people = view.draw(frame, 5)
        for person in people:
            # Alone in front of the camera.
            alone = View(0, 0, size, passages)
            alone.passages = [(n, walk) for n, walk in view.passages if n == person.passage]
            found = alone.draw(frame, 5)[1]
            assert [p.box for p in found] == [person.box] and found[0].visibility >= person.visibility
            if found[0].visibility > person.visibility:
                occluded += 1
                depth = passages[person.passage].at(frame / 5)[1]
                others = [passages[p.passage].at(frame / 5)[1] for p in people if p.passage != person.passage]
                assert others and max(others) >= depth
    assert occluded > 10 and numbers


def test_a_person_is_painted_where_the_box_is():
    passages = plan_passages(1, 3, 0, 20.0, SIZE)
    view = View(1, 0, SIZE, passages)
    empty = View(1, 0, SIZE, [])
    frame = next(n for n in range(200) if any(p.visibility > 0.95 for p in view.draw(n, 10)[1]))
    picture, people = view.draw(frame, 10)
    change = np.abs(picture.astype(int) - empty.draw(frame, 10)[0]).max(axis=2)
    inside = np.zeros(change.shape, bool)
    for person in people:
        x, y, w, h = person.box
        inside[y : y + h, x : x + w] = True
    # Outside there are shadows, which are near the ground, and the blur of the sensor.
    inside = cv2.dilate(inside.astype(np.uint8), np.ones((9, 9))).astype(bool)
    bottom = max(y + h for _, _, _, (_, y, _, h), _ in people)
    assert change[inside].mean() > 5 * change[~inside].mean()
    assert (change[: bottom // 2][~inside[: bottom // 2]] < 40).all()


def test_passages_are_possible():
    walks = plan_passages(5, 20, 10, 120.0, (640, 360))
    assert [walk.start for walk in walks] == sorted(walk.start for walk in walks)
    mine = defaultdict(list)
    for walk in walks:
        mine[walk.pid].append(walk)
        x, _, _, _ = walk.at(walk.start + walk.seconds)
        assert x == pytest.approx(walk.corners[-1][0])
    assert sorted(mine) == list(range(1, 31))
    assert all(len(mine[pid]) == 1 for pid in range(21, 31))
    moved = 0
    for pid in range(1, 21):
        assert len(mine[pid]) > 3
        for before, after in zip(mine[pid], mine[pid][1:], strict=False):
            shortest = ABSENCE_SECONDS if before.camid == after.camid else TRAVEL_SECONDS
            assert after.start - before.start - before.seconds >= shortest
            moved += before.camid != after.camid
    assert moved > 20


def test_noisy_boxes_are_inaccurate_missing_and_false():
    size, fps = (640, 360), 5
    passages = plan_passages(2, 8, 2, 30.0, size)
    # The boxes are what counts here: small pictures are faster to draw.
    seen = []
    for frame in range(150):
        for number, walk in enumerate(passages):
            second = frame / fps
            if walk.camid == 0 and walk.start <= second <= walk.start + walk.seconds:
                x, depth = walk.at(second)[:2]
                box = (int(min(max(250 + 60 * x, 0), 580)), int(60 + 40 * depth), 60, 160)
                seen.append(scenes.SeenPerson(frame, number, walk.pid, box, 0.3 if frame % 10 > 4 else 1.0))
    exact, noisy = exact_boxes(seen), noisy_boxes(seen, 2, 0, 150, fps, size)
    assert len(exact) == len(seen)
    assert noisy == noisy_boxes(seen, 2, 0, 150, fps, size) != noisy_boxes(seen, 3, 0, 150, fps, size)
    people = [box for box in noisy if box.person]
    assert 0.7 * len(seen) < len(people) < 0.95 * len(seen)
    false = [box for box in noisy if box.person is None]
    assert false
    assert not {box.track for box in false} & {box.track for box in people}
    errors = np.array([np.subtract(box.box, box.person.box) / box.person.box[2] for box in people])
    assert 0.01 < errors.std() < 0.1 and abs(errors).max() < 0.6
    for box in noisy:
        x, y, w, h = box.box
        assert x >= 0 and y >= 0 and w >= 1 and h >= 1 and x + w <= size[0] + 0.05 and y + h <= size[1] + 0.05
        assert 0 < box.score <= 1
    assert len({(box.frame, box.track) for box in noisy}) == len(noisy)


def test_a_new_track_after_a_second_without_a_box(monkeypatch):
    monkeypatch.setattr(scenes, 'MISSED_PROB', 0.0)
    monkeypatch.setattr(scenes, 'FALSE_TRACKS', 0.0)
    frames = [0, 1, 2, 12, 13, 24, 25]
    seen = [scenes.SeenPerson(frame, 0, 1, (10, 10, 20, 50), 1.0) for frame in frames]
    assert [box.track for box in noisy_boxes(seen, 0, 0, 30, 10, (640, 360))] == [1, 1, 1, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        (dict(num_people=0, num_strangers=0), '0'),
        (dict(num_people=-1), '-1'),
        (dict(seconds=float('nan')), 'nan'),
        (dict(seconds=0), '0'),
        (dict(seconds=1e9), '1000000000'),
        (dict(num_people=99_999), '99999'),
        (dict(fps=0), 'fps is 0'),
        (dict(size=(321, 180)), '321'),
        (dict(size=(100, 180)), '100'),
        (dict(size=(100_000, 180)), '100000'),
    ],
)
def test_arguments_that_make_no_scene(tmp_path, change, named):
    with pytest.raises(DataError, match=named):
        draw_scene(tmp_path / 'scene', **dict(SHORT, **change))
    assert not (tmp_path / 'scene').exists()


def test_another_scene_is_not_overwritten(scene, tmp_path):
    with pytest.raises(DataError, match='seed'):
        draw_scene(scene, **dict(SHORT, seed=8))
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'photo.jpg').write_bytes(b'x')
    with pytest.raises(FileExistsError, match='mine'):
        draw_scene(tmp_path / 'mine', **SHORT)


def test_a_scene_that_fails_leaves_nothing(tmp_path):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_scene(tmp_path / 'scenes' / 'Stück für Stück', **SHORT, step=stop)
    assert list((tmp_path / 'scenes').iterdir()) == []


def test_damaged_truth_is_named(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_truth(tmp_path)
    header = ','.join(scenes.TRUTH_COLUMNS)
    (tmp_path / 'truth.csv').write_text(f'{header}\n0,1,1,2,3,4,5,6,0.5\n0,1,x,2,3,4,5,6,0.5\n')
    with pytest.raises(DataError, match='row 3'):
        read_truth(tmp_path)
    (tmp_path / 'truth.csv').write_text('camera,frame\n')
    with pytest.raises(DataError, match='row 1'):
        read_truth(tmp_path)


def test_the_command_draws_and_reports(tmp_path, capsys):
    from mmosnet.cli.main import main

    folder = tmp_path / 'a scene'
    words = ['draw', str(folder), '--people', '2', '--strangers', '1', '--seconds', '4', '--fps', '3']
    assert main([*words, '--size', '160', '90', '--noise']) == 0
    shown = capsys.readouterr().out
    assert 'cam1.mp4' in shown and str(folder) in shown
    assert json.loads((folder / 'synthetic.json').read_text())['noise'] is True
    assert main([*words, '--size', '161', '90']) == 1
    assert '161' in capsys.readouterr().err
    for seconds in ('nan', '-1', 'inf'):
        assert main(['draw', str(folder), f'--seconds={seconds}']) == 1
        assert seconds in capsys.readouterr().err
