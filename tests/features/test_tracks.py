from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.features import Features, FeatureShards, write_shard
from mmosnet.features.shards import shard_name
from mmosnet.features.tracks import POOLINGS, TrackPool, image_sharpness, pool_track, track_quality, tracks_of


def naive(embedding, how, quality=None):
    """Return the pooled embedding of a track from the definitions, in double precision."""
    rows = np.asarray(embedding, np.float64)
    lengths = [np.linalg.norm(row) for row in rows]
    unit = [row / length for row, length in zip(rows, lengths, strict=True)]
    if how == 'max':
        pooled = [max(row[column] for row in unit) for column in range(rows.shape[1])]
    else:
        weights = [1.0] * len(rows) if how == 'mean' else quality
        pooled = sum(w * row for w, row in zip(weights, unit, strict=True)) / sum(weights)
    return np.array(pooled) * np.mean(lengths)


def seen(tracks, camid=0, video='door.mp4', pid=-1, frames=1, attributes=(), source='', seed=0, model='abc'):
    """Return features of images in a video, one track each."""
    number = len(tracks)
    return Features(
        np.random.RandomState(seed).randn(number, 6) + 1,
        [f'{video}#frame={row}&xywh=1,2,30,40' for row in range(number)],
        pid if isinstance(pid, list) else [pid] * number,
        camid if isinstance(camid, list) else [camid] * number,
        np.arange(number) / 25,
        model,
        source=source,
        track=tracks,
        frames=frames,
        attributes=attributes,
    )


@pytest.mark.parametrize('how', POOLINGS)
def test_pooling_against_the_definition(how):
    random = np.random.RandomState(0)
    for number in (1, 2, 9):
        rows = random.randn(number, 7) * random.rand(number, 1) * 50
        quality = random.rand(number) + 0.1 if how == 'quality' else None
        pooled = pool_track(rows, how, quality)
        assert pooled.dtype == np.float32 and pooled.shape == (7,)
        np.testing.assert_allclose(pooled, naive(rows, how, quality), rtol=2e-6, atol=1e-5)
    # The scale of the weights does not count, and a weight of 0 leaves the image out of the mean.
    if how == 'quality':
        np.testing.assert_allclose(pool_track(rows, how, quality * 7), pool_track(rows, how, quality), rtol=1e-6)
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        np.testing.assert_allclose(pool_track(unit, how, [0.0] * 8 + [2.0]), unit[8], rtol=1e-6)
        np.testing.assert_allclose(pool_track(rows, how), naive(rows, how, 1 / np.linalg.norm(rows, axis=1)), rtol=1e-5)


def test_one_image_is_its_own_track():
    row = np.random.RandomState(0).randn(1, 5).astype(np.float32)
    for how in POOLINGS:
        np.testing.assert_allclose(pool_track(row, how), row[0], rtol=1e-6)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(how='median'), "how='median'"),
        (dict(embedding=np.ones(4)), r'shape \(4,\)'),
        (dict(embedding=np.ones((0, 4))), r'shape \(0, 4\)'),
        (dict(embedding=[[1, 2], [3]]), 'embedding'),
        (dict(embedding=[['a', 'b']]), 'embedding'),
        (dict(embedding=[[1, 2], [0, 0]]), 'row 1: .*length 0'),
        (dict(embedding=[[1, 2], [np.nan, 0]]), 'row 1: .*nan'),
        (dict(embedding=[[1, 2], [-1, -2]]), 'cancel each other out'),
        (dict(quality=[1, 1]), "how='mean'"),
        (dict(how='quality', quality=[1]), r'quality has the shape \(1,\)'),
        (dict(how='quality', quality=[1, -1]), 'quality, row 1: -1'),
        (dict(how='quality', quality=[np.nan, 1]), 'quality, row 0: nan'),
        (dict(how='quality', quality=[0, 0]), 'quality is above 0'),
    ],
)
def test_tracks_that_cannot_be_pooled(arguments, message):
    with pytest.raises(DataError, match=message):
        pool_track(**dict(embedding=np.ones((2, 3))) | arguments)


def test_quality_of_images():
    quality = track_quality(area=[16, 256, 256], sharpness=[81, 81, 0], norm=[1, 2, 2])
    np.testing.assert_allclose(quality, [2 * 3, 4 * 3 / 2, 0])
    np.testing.assert_allclose(track_quality(norm=[4, 2]), [0.25, 0.5])
    for wrong, message in (
        (dict(), 'give area, sharpness or norm'),
        (dict(area=[1, 0]), 'area, row 1: 0'),
        (dict(area=[1, 1], norm=[1]), 'norm has the shape'),
        (dict(sharpness=[1, -1]), 'sharpness, row 1: -1'),
        (dict(norm=['a']), 'norm'),
    ):
        with pytest.raises(DataError, match=message):
            track_quality(**wrong)


def test_a_blurred_image_is_less_sharp():
    image = np.random.RandomState(0).randint(0, 255, (200, 90, 3), np.uint8)
    sharp, blurred = image_sharpness(image), image_sharpness(cv2.GaussianBlur(image, (0, 0), 4))
    assert sharp > 5 * blurred > 0 and image_sharpness(np.full((20, 9, 3), 7, np.uint8)) == 0
    with pytest.raises(DataError):
        image_sharpness(np.ones(3))


@pytest.mark.parametrize('how', POOLINGS)
def test_rows_of_tracks_against_a_loop(how):
    features = seen(['7', 'Gasse, links', '', '7', '', '7', 'Gasse, links'])
    pooled = tracks_of(features, how)
    assert pooled.track == ['7', 'Gasse, links', '', ''] and pooled.frames.tolist() == [3, 2, 1, 1]
    for row, rows in enumerate(([0, 3, 5], [1, 6], [2], [4])):
        expected = pool_track(features.embedding[rows], how)
        np.testing.assert_allclose(pooled.embedding[row], expected, rtol=1e-6)
        assert pooled.path[row] == features.path[rows[0]] and pooled.time[row] == features.time[rows[0]]
    # A single image is unchanged, to the bit.
    assert pooled.embedding[2].tobytes() == features.embedding[2].tobytes() and pooled.model == 'abc'


def test_equal_numbers_by_other_cameras_videos_or_sources_are_other_tracks():
    parts = [seen(['7', '7']), seen(['7'], 1), seen(['7'], video='hall.mp4'), seen(['7'], source='b'), seen(['7'])]
    pooled = tracks_of(parts)
    assert pooled.frames.tolist() == [3, 1, 1, 1] and set(pooled.track) == {'7'}
    # Images in one folder are frames of one video.
    files = Features(
        np.ones((3, 2)), ['a/1.jpg', 'a/2.jpg#xywh=1,2,3,4', 'b/1.jpg'], [1] * 3, [0] * 3, [0] * 3, track='7'
    )
    assert tracks_of(files).frames.tolist() == [2, 1]


def test_parts_give_what_the_whole_gives(tmp_path):
    whole = seen(['1', '2', '', '1', '3', '2', '1', ''], pid=['anna', 'bob', -1, 'anna', 5, 'bob', 'anna', 5])
    for number, rows in enumerate(([0, 1, 2], [3, 4], [5, 6, 7])):
        write_shard(tmp_path / shard_name(number, 3), whole[rows])
    for how in POOLINGS:
        assert tracks_of(FeatureShards(tmp_path), how) == tracks_of(whole, how)
    # Tracks that are pooled already count with all their images.
    once, rest = tracks_of(whole[:5]), whole[5:]
    twice, expected = tracks_of([once, rest]), tracks_of(whole)
    assert twice.frames.tolist() == expected.frames.tolist() and twice.track == expected.track
    unit, wanted = (
        each / np.linalg.norm(each, axis=1, keepdims=True) for each in (twice.embedding, expected.embedding)
    )
    # The mean of a part is shorter than its images; the parts of a long track are not told apart by it.
    assert ((unit * wanted).sum(axis=1) > 0.98).all()
    assert twice.labels('pid') == expected.labels('pid')


def test_attributes_are_those_of_half_the_images():
    features = seen(['1'] * 4, attributes=[('hat', 'bag'), ('hat',), ('bag', 'hat'), ('coat',)])
    assert tracks_of(features).attributes == [('bag', 'hat')]


def test_people_by_camera_where_there_are_no_tracks():
    features = seen([''] * 6, camid=[0, 0, 1, 1, 0, 0], pid=['anna', 'bob', 'anna', 'anna', 'anna', -1])
    pooled = tracks_of(features, by_person=True)
    assert pooled.frames.tolist() == [2, 1, 2] and len(set(pooled.track)) == 3
    labels = pooled.labels('pid')
    assert [labels[number] for number in pooled.pid.tolist()] == ['anna', 'bob', 'anna']
    np.testing.assert_allclose(pooled.embedding[0], pool_track(features.embedding[[0, 4]]), rtol=1e-6)
    assert len(tracks_of(features[5:], by_person=True)) == 0


def test_own_qualities():
    features = seen(['1', '1', '1'])
    pooled = tracks_of(features, 'quality', lambda part: 1.0 + np.arange(len(part)))
    np.testing.assert_allclose(pooled.embedding[0], pool_track(features.embedding, 'quality', [1, 2, 3]), rtol=1e-6)
    for quality, message in ((lambda part: [1], 'shape'), (lambda part: -np.ones(3), 'row 0')):
        with pytest.raises(DataError, match=message):
            tracks_of(features, 'quality', quality)


def test_faults_name_the_track():
    with pytest.raises(DataError, match=r"track '7': door\.mp4#frame=0.* shows anna, .*#frame=1.* bob"):
        tracks_of(seen(['7', '7'], pid=['anna', 'bob']))
    with pytest.raises(DataError, match='unknown'):
        tracks_of(seen(['7', '7'], pid=['anna', -1]))
    broken = seen(['7', '7'])
    broken.embedding[1] = 0
    with pytest.raises(DataError, match='frame=1&'):
        tracks_of(broken)
    broken.embedding[1] = -broken.embedding[0]
    with pytest.raises(DataError, match=r'frame=0&.*cancel'):
        tracks_of(broken)
    with pytest.raises(DataError, match='no features'):
        tracks_of([])
    with pytest.raises(DataError, match='of the models'):
        tracks_of([seen(['7']), seen(['7'], model='f00')])
    with pytest.raises(DataError, match='how'):
        tracks_of(seen(['7']), 'median')
    assert len(tracks_of(seen(['7'])[:0])) == 0


def test_memory_does_not_grow_with_the_length_of_a_track():
    def peak(parts):
        tracemalloc.start()
        try:
            pooled = tracks_of(seen(['7'] * 100, seed=part) for part in range(parts))
            return pooled, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # Caches of the interpreter grow in the first calls.
    peak(30)
    (_, short), (pooled, long) = peak(5), peak(150)
    assert pooled.frames.tolist() == [15_000] and long < 3 * short


def test_a_long_track_of_largest_values():
    pool = TrackPool('max')
    for _ in range(3):
        pool.add(np.array([1e-3, 0]), images=10**7)
    np.testing.assert_allclose(pool.result(), [1e-3, 0])
