"""Drawn tracklets: the same frames everywhere, in the layout of DukeMTMC-VideoReID, complete or absent."""

from __future__ import annotations

import json
from itertools import islice

import numpy as np
import pytest

from mmosnet.datasets import DukeMTMCVideoReID
from mmosnet.errors import DataError
from mmosnet.synthetic import SyntheticTracklets
from mmosnet.synthetic.camera import sample_camera
from mmosnet.synthetic.identity import sample_identity
from mmosnet.synthetic.tracklets import render_tracklet, write_synthetic_tracklets

SMALL = dict(num_train_pids=2, num_test_pids=3, num_cameras=3, frames=(2, 4), num_distractors=2, seed=1)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('tracklets') / 'nested' / 'set'
    write_synthetic_tracklets(root, **SMALL)
    return root


def frames(pid, length=4, **options):
    return list(render_tracklet(sample_identity(1, pid), sample_camera(1, 0), 1, 0, length, **options))


def test_frames_move_and_come_out_the_same():
    first, again, other = frames(1), frames(1), frames(2)
    assert all(frame.shape == (128, 64, 3) and frame.dtype == np.uint8 for frame in first)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, first[1:] + other[:1], strict=True))
    assert frames(1, 1, size=(64, 32))[0].shape == (64, 32, 3)
    # Frames can be taken one by one: none depends on a later one.
    lazily = render_tracklet(sample_identity(1, 1), sample_camera(1, 0), 1, 0, 4)
    assert all(np.array_equal(a, b) for a, b in zip(islice(lazily, 2), first, strict=False))


@pytest.mark.parametrize('seed', range(3))
def test_every_camera_and_length_can_be_drawn(seed):
    for camid in range(8):
        drawn = list(render_tracklet(sample_identity(seed, camid), sample_camera(seed, camid), seed, 0, 12))
        assert len(drawn) == 12 and all(frame.std() > 5 for frame in drawn)


def test_splits(root):
    data = SyntheticTracklets(str(root), SMALL, split=('train', 'query', 'gallery'))
    records = [data.get_data_info(index) for index in range(len(data))]
    by_split = {split: [r for r in records if r['split'] == split] for split in ('train', 'query', 'gallery')}
    assert {split: len(rows) for split, rows in by_split.items()} == dict(train=6, query=3, gallery=8)
    assert {r['pid'] for r in by_split['train']} == {1, 2} and {r['pid'] for r in by_split['query']} == {3, 4, 5}
    assert {r['pid'] for r in by_split['gallery']} == {3, 4, 5, 6, 7}
    places = [(r['pid'], r['camid']) for r in records]
    assert len(set(places)) == len(places) and {camid for _, camid in places} == {0, 1, 2}
    assert all(2 <= len(r['frame_paths']) <= 4 and r['img_path'] == r['frame_paths'][0] for r in records)
    assert len({r['tracklet'] for r in records}) == len(records)
    # The official reader sees the same.
    theirs = DukeMTMCVideoReID(str(root), split='query', check_counts=False)
    assert [theirs.get_data_info(i)['frame_paths'] for i in range(3)] == [r['frame_paths'] for r in by_split['query']]


def test_clips(root):
    data = SyntheticTracklets(str(root), SMALL, split=('query', 'gallery'), clip_length=3)
    whole = SyntheticTracklets(str(root), SMALL, split=('query', 'gallery'))
    clips = [data.get_data_info(index) for index in range(len(data))]
    assert len(clips) > len(whole) and max(len(clip['frame_paths']) for clip in clips) == 3
    joined: dict[int, list] = {}
    for clip in clips:
        joined.setdefault(clip['tracklet'], []).extend(clip['frame_paths'])
    assert list(joined.values()) == [whole.get_data_info(index)['frame_paths'] for index in range(len(whole))]


def test_a_complete_folder_is_kept_and_another_is_refused(root, tmp_path):
    manifest = root / 'synthetic.json'
    before = manifest.stat().st_mtime_ns
    write_synthetic_tracklets(root, **SMALL)
    assert manifest.stat().st_mtime_ns == before
    with pytest.raises(DataError, match='seed'):
        write_synthetic_tracklets(root, **(SMALL | dict(seed=2)))
    copy = tmp_path / 'copy'
    write_synthetic_tracklets(copy, **SMALL)
    assert json.loads((copy / 'synthetic.json').read_text())['num_images'].keys() == {'train', 'query', 'gallery'}
    next(copy.glob('gallery/*/*/*.jpg')).unlink()
    with pytest.raises(DataError, match='copy'):
        write_synthetic_tracklets(copy, **SMALL)


@pytest.mark.parametrize(
    'argument',
    [
        dict(num_train_pids=0),
        dict(num_test_pids=1),
        dict(num_cameras=9),
        dict(num_cameras=1),
        dict(frames=(0, 3)),
        dict(frames=(5, 3)),
        dict(frames=(3,)),
        dict(frames=5),
        dict(frames=(2.0, 3)),
        dict(num_cameras='2'),
        dict(num_distractors=-1),
        dict(num_train_pids=9998),
    ],
)
def test_bad_arguments(tmp_path, argument):
    with pytest.raises(DataError, match=next(iter(argument))):
        write_synthetic_tracklets(tmp_path / 'set', **(SMALL | argument))
    assert not (tmp_path / 'set').exists()
