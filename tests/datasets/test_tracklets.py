"""Frames of tracklets: which ones are taken, how they are loaded and changed, and clips."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from mmosnet.datasets import LoadPersonImage, TrackletFrames
from mmosnet.datasets.tracklets import frame_indices, split_into_clips
from mmosnet.errors import DataError

LOAD = dict(type='mmosnet.LoadPersonImage')
FLIP = dict(type='RandomFlip', prob=0.5, direction='horizontal')


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture
def record(tmp_path):
    """A tracklet of seven frames in a folder with another alphabet, each of one gray level."""
    folder = tmp_path / 'люди'
    folder.mkdir()
    paths = [str(folder / f'{frame}.png') for frame in range(7)]
    for frame, path in enumerate(paths):
        picture = np.full((8, 4, 3), 10 * frame, np.uint8)
        picture[:, :2] += 100
        cv2.imencode('.png', picture)[1].tofile(path)
    return dict(img_path=paths[0], frame_paths=paths, pid=3, camid=1, tracklet=5)


def levels(results):
    """Return the gray level of each frame, and whether it is mirrored."""
    images = results['img'].astype(int)
    return images.min((1, 2, 3)) // 10, images[:, 0, 0, 0] < images[:, 0, 0, -1]


@pytest.mark.parametrize('number', [1, 2, 4, 7, 15])
@pytest.mark.parametrize('length', [1, 2, 3, 7, 15, 16, 61])
def test_indices(number, length):
    np.random.seed(length)
    for sampling in ('random', 'consecutive', 'evenly'):
        for _ in range(20):
            found = frame_indices(length, number, sampling)
            assert len(found) == number and (np.diff(found) >= 0).all() and found[0] >= 0 and found[-1] < length
            counts = np.bincount(found, minlength=length)
            # No frame is taken twice as long as others are not taken at all.
            assert counts.max() - counts.min() <= 1
            if sampling == 'consecutive' and number <= length:
                assert (np.diff(found) == 1).all()
    naive = [max(f for f in range(length) if f * number <= part * length) for part in range(number)]
    assert frame_indices(length, number, 'evenly').tolist() == naive
    assert frame_indices(length, number, 'dense').tolist() == list(range(length))


def test_random_starts_reach_both_ends():
    np.random.seed(0)
    starts = {int(frame_indices(6, 4, 'consecutive')[0]) for _ in range(100)}
    assert starts == {0, 1, 2}
    assert {int(i) for _ in range(100) for i in frame_indices(6, 2, 'random')} == set(range(6))


def test_evenly_reaches_the_last_part():
    """torchreid cuts 29 frames down to 15, and never takes the last 14."""
    assert frame_indices(29, 15, 'evenly')[-1] == 27


def test_evenly_is_that_of_torchreid_where_no_tail_is_lost(monkeypatch):
    peer = pytest.importorskip('torchreid.reid.data.datasets.dataset', reason="needs the extra 'peer'")
    taken = []
    monkeypatch.setattr(peer, 'read_image', taken.append)
    for length in (15, 30, 45, 900):
        data = peer.VideoDataset.__new__(peer.VideoDataset)
        data.data = [([str(frame) for frame in range(length)], 0, 0, 0)]
        data.seq_len, data.sample_method, data.transform = 15, 'evenly', lambda _: torch.zeros(1)
        taken.clear()
        assert len(data[0]['img']) == 15
        assert [int(frame) for frame in taken] == frame_indices(length, 15, 'evenly').tolist()


def test_all_frames_in_order_with_the_record(record):
    results = TrackletFrames([LOAD], sampling='dense')(dict(record))
    assert results['img'].shape == (7, 3, 8, 4) and results['img'].dtype == np.uint8
    assert levels(results)[0].tolist() == list(range(7))
    assert {key: results[key] for key in record} == record
    assert results['img_shape'] == (8, 4)


def test_each_frame_has_its_own_changes_unless_asked(record):
    np.random.seed(0)
    transform = TrackletFrames([LOAD, FLIP], sampling='dense')
    assert {len(set(levels(transform(dict(record)))[1].tolist())) for _ in range(20)} >= {2}
    transform = TrackletFrames([LOAD, FLIP], sampling='dense', same_augmentation=True)
    flips = [set(levels(transform(dict(record)))[1].tolist()) for _ in range(20)]
    assert all(len(flip) == 1 for flip in flips) and len({min(flip) for flip in flips}) == 2


def test_a_frame_is_decoded_once(record, monkeypatch):
    read = []
    load = LoadPersonImage.transform
    monkeypatch.setattr(
        LoadPersonImage, 'transform', lambda self, results: read.append(results['img_path']) or load(self, results)
    )
    results = TrackletFrames([LOAD, FLIP], num_frames=20, sampling='random')(dict(record))
    assert len(results['img']) == 20 and sorted(read) == record['frame_paths']


def test_an_image_is_an_image(record):
    transform = TrackletFrames([LOAD], num_frames=4)
    results = transform(dict(img_path=record['img_path']))
    np.testing.assert_array_equal(results['img'], LoadPersonImage()(dict(img_path=record['img_path']))['img'])


def test_errors_name_the_frame(record):
    broken = record['frame_paths'][4]
    with open(broken, 'wb') as file:
        file.write(b'no image')
    with pytest.raises(DataError, match=r'4\.png'):
        TrackletFrames([LOAD], sampling='dense')(dict(record))
    cv2.imencode('.png', np.zeros((9, 4, 3), np.uint8))[1].tofile(broken)
    with pytest.raises(DataError, match=r'4\.png.*\(9, 4\).*\(8, 4\)'):
        TrackletFrames([LOAD], sampling='dense')(dict(record))


@pytest.mark.parametrize(
    ('options', 'value'),
    [
        (dict(transforms=[LOAD], sampling='all'), "'all'"),
        (dict(transforms=[LOAD]), 'num_frames=None'),
        (dict(transforms=[LOAD], num_frames=0), 'num_frames=0'),
        (dict(transforms=[LOAD], num_frames=1.5), 'num_frames=1.5'),
        (dict(transforms=[], num_frames=4), 'transforms'),
    ],
)
def test_bad_arguments(options, value):
    with pytest.raises(DataError, match=value):
        TrackletFrames(**options)


def test_clips_hold_every_frame_once():
    records = [dict(tracklet=i, frame_paths=[f'{i}/{f}' for f in range(n)], pid=i) for i, n in enumerate((1, 4, 5, 9))]
    clips = split_into_clips(records, 4)
    assert [(clip['tracklet'], clip['clip'], len(clip['frame_paths'])) for clip in clips] == [
        (0, 0, 1), (1, 0, 4), (2, 0, 4), (2, 1, 1), (3, 0, 4), (3, 1, 4), (3, 2, 1)
    ]  # fmt: skip
    assert [f for clip in clips for f in clip['frame_paths']] == [f for r in records for f in r['frame_paths']]
    assert all(clip['pid'] == clip['tracklet'] for clip in clips)
    for length in (0, 2.5, '4'):
        with pytest.raises(DataError, match=f'clip_length={length!r}'):
            split_into_clips(records, length)
