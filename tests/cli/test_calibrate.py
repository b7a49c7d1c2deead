from datetime import date

import cv2
import numpy as np
import pytest

from mmosnet.features import Features, read_features, write_shard
from mmosnet.features.tracks import tracks_of
from mmosnet.gallery import Gallery
from tests.cli.command import outcome


def drawn(people, images=4, seed=0, model='abc', dimension=16):
    random = np.random.RandomState(seed)
    pid = np.arange(people).repeat(images)
    return Features(
        embedding=random.randn(people, dimension)[pid] + 0.5 * random.randn(len(pid), dimension),
        path=[f'{seed}/{row}.jpg' for row in range(len(pid))],
        pid=pid,
        camid=np.tile([0, 1], len(pid) // 2),
        time=np.full(len(pid), np.nan),
        model=model,
    )


@pytest.fixture
def calibrate(tmp_path, monkeypatch, capsys):
    """The command in this process: gives what it prints, or its error."""
    monkeypatch.chdir(tmp_path)

    write_shard('labeled.parquet', drawn(40))
    return lambda *arguments: outcome(capsys, 'calibrate', *arguments)


def row(output, rate):
    """Cells of the table: threshold, FMR, interval, TMR and remark."""
    (line,) = (line for line in output.splitlines() if line.strip().startswith(f'{rate} |'))
    return [cell.strip() for cell in line.split('|')][1:]


@pytest.mark.parametrize('uri', ['gallery', 'people.db'])
def test_a_gallery_answers_the_same_person(calibrate, uri):
    enrolled = drawn(10, seed=1)
    with Gallery.create(uri, 16) as gallery:
        gallery.enroll(enrolled)
        assert gallery.search(enrolled.embedding[:1])[0][0].same_person is None
    output = calibrate('labeled.parquet', '--fmr', 0.01, '--gallery', uri, '--figure', 'seen/threshold.png')
    with Gallery.open(uri) as gallery:
        threshold, facts = gallery.threshold, gallery.facts
        assert f'stored   {threshold:.4f} with {uri}' in output and 'picture  seen/threshold.png' in output
        matches = [match for found in gallery.search(enrolled.embedding, 40) for match in found]
    assert {match.same_person for match in matches} == {True, False}
    assert all(match.same_person == (match.distance <= threshold) for match in matches)
    assert row(output, 0.01)[0] == f'{threshold:.4f}' and '<- wanted' in row(output, 0.01)[4]
    assert (facts['wanted_fmr'], facts['people'], facts['images']) == (0.01, 40, 160)
    assert (facts['genuine_pairs'], facts['impostor_pairs']) == (240, 40 * 39 // 2 * 16)
    assert facts['fmr'] <= 0.01 and facts['interval'][0] < facts['fmr'] < facts['interval'][1]
    assert (facts['set'], facts['model'], facts['cross_camera']) == (['labeled.parquet'], 'abc', False)
    assert facts['date'] == date.today().isoformat()
    # A search of this gallery: 40 images, each a false match with that chance.
    assert f'40 images: {40 * facts["fmr"]:.1f}; one or more in' in output
    assert cv2.imread('seen/threshold.png').shape == (594, 825, 3)


def test_thresholds_of_all_rates_and_what_they_are_worth(calibrate):
    output = calibrate('labeled.parquet', '--fmr', 3e-5)
    lines = [row(output, rate) for rate in ('0.1', '0.01', '0.001', '0.0001', '3e-05')]
    thresholds = [float(line[0]) for line in lines]
    assert thresholds == sorted(thresholds, reverse=True)
    assert ['too few pairs' in line[4] for line in lines] == [False, False, False, True, True]
    assert '40 people: 240 pairs of one person, 12,480 of two; cosine distance' in output
    assert 'WARNING: a rate of 3e-05 needs 100,000 pairs of two people or more, there are 12,480' in output
    across = calibrate('labeled.parquet', '--cross-camera', '--distance', 'euclidean')
    assert '160 pairs by two cameras of one person, 6,240 of two; euclidean distance' in across
    assert 'WARNING' not in calibrate('labeled.parquet', '--fmr', 0.001)
    assert '40 images of 10 people' in calibrate('labeled.parquet', '--images', 43)


def test_the_gallery_itself_may_be_the_labeled_set(calibrate):
    with Gallery.create('gallery', 16, distance='euclidean') as gallery:
        gallery.enroll(drawn(30))
    output = calibrate('--gallery', 'gallery')
    assert '30 people' in output and 'euclidean distance' in output
    with Gallery.open('gallery') as gallery:
        assert gallery.facts['set'] == ['gallery'] and 0 < gallery.threshold < 10


def test_what_cannot_be_calibrated(calibrate):
    assert calibrate() == 'error: nothing to compare: give FEATURES, or --gallery with images whose pids are known'
    assert 'no folder or file of features none' in calibrate('none')
    assert 'a false-match rate of 2.0' in calibrate('labeled.parquet', '--fmr', 2)
    assert '--images 1' in calibrate('labeled.parquet', '--images', 1)
    unknown = drawn(4)
    unknown.pid[:] = -1
    write_shard('unknown.parquet', unknown)
    assert 'unknown.parquet: no image has a pid' in calibrate('unknown.parquet')
    write_shard('single.parquet', drawn(4, images=2)[[0, 2, 4, 6]])
    assert 'no person has two images' in calibrate('single.parquet')
    twins = drawn(3)
    twins.embedding[:] = 1
    write_shard('twins.parquet', twins)
    assert 'Is one person labeled as two?' in calibrate('twins.parquet', '--gallery', gallery_of(drawn(3)))
    other = calibrate('labeled.parquet', '--gallery', gallery_of(drawn(3, model='other')))
    assert 'labeled.parquet: embeddings of the model abc, but gallery-other holds those of other' in other
    assert '--distance euclidean: gallery-abc measures cosine' in calibrate(
        'labeled.parquet', '--gallery', 'gallery-abc', '--distance', 'euclidean'
    )
    write_shard('wide.parquet', drawn(4, dimension=17))
    assert 'embeddings of 17 numbers, gallery-abc has 16' in calibrate('wide.parquet', '--gallery', 'gallery-abc')
    with Gallery.open('gallery-abc') as gallery:
        assert gallery.threshold is None


def gallery_of(features):
    with Gallery.create(f'gallery-{features.model}', 16) as gallery:
        gallery.enroll(features)
        return gallery.uri


def test_people_of_two_files_are_known_by_their_names(calibrate):
    """Names mean the same person in both files, although their numbers differ."""
    features = drawn(40)
    for number, name in enumerate(('one', 'two')):
        half = features[number::2]
        # Half of them are in one file alone, under numbers that others have in the other.
        names = [f'person {pid if number else pid + 20:02d}' for pid in half.pid.tolist()]
        write_shard(f'{name}.parquet', Features(half.embedding, half.path, names, half.camid, half.time, half.model))
    assert '160 images of 60 people: ' in calibrate('one.parquet', 'two.parquet', '--fmr', 0.01)
    assert '80 images of 40 people: ' in calibrate('one.parquet', '--fmr', 0.01)
    with Gallery.create('gallery', dimension=16) as gallery:
        for name in ('one', 'two'):
            gallery.enroll(read_features(f'{name}.parquet'))
    assert '160 images of 60 people: ' in calibrate('--gallery', 'gallery', '--fmr', 0.01)


@pytest.mark.parametrize('name', ['threshold.abc', 'threshold'])
def test_a_figure_of_an_unknown_format_is_refused_first(calibrate, name):
    assert 'ends in .png' in str(calibrate('labelled.parquet', '--figure', name))


@pytest.mark.parametrize('named', [True, False])
def test_tracks_have_a_threshold_of_their_own(calibrate, named):
    """Two tracks per person, one by each camera; without names, the same rows by person and camera."""
    features = drawn(30, images=12, seed=3)
    if named:
        tracks = [f'{pid}, {camid}' for pid, camid in zip(features.pid, features.camid, strict=True)]
        # Somebody who is on no track does not count.
        features = Features(**vars(features) | dict(track=[*tracks[:-1], '']))
    write_shard('tracks.parquet', features)
    pooled = tracks_of(features, by_person=not named)
    pooled = pooled[[bool(track) for track in pooled.track]]
    with Gallery.create('gallery', 16) as gallery:
        gallery.enroll(pooled)
        gallery.set_threshold(0.3, dict(of='images'))
    output = calibrate('tracks.parquet', '--per', 'track', '--fmr', 0.01, '--gallery', 'gallery')
    by = 'track' if named else 'pid and camera'
    assert output.startswith(f'60 tracks (by {by}, pooled by mean) of 30 people: 30 pairs of one person, 1,740 of two')
    with Gallery.open('gallery') as gallery:
        assert (gallery.threshold, gallery.facts) == (0.3, dict(of='images'))
        facts, threshold = gallery.track_facts, gallery.track_threshold
        assert (facts['per'], facts['tracks_by'], facts['pool'], facts['images']) == ('track', by, 'mean', 60)
        matches = gallery.search(pooled.embedding, 5, per='track')
        assert {match.same_person for found in matches for match in found} == {True, False}
        assert all(match.same_person == (match.distance <= threshold) for found in matches for match in found)
    assert f'stored   {threshold:.4f} with gallery for tracks' in output
    # The pairs of pooled embeddings, one by one.
    unit = pooled.embedding / np.linalg.norm(pooled.embedding, axis=1, keepdims=True)
    first, second = np.triu_indices(60, 1)
    impostors = pooled.pid[first] != pooled.pid[second]
    distances = 1 - (unit[first] * unit[second]).sum(axis=1)
    assert (distances[impostors] <= threshold + 1e-6).mean() == pytest.approx(facts['fmr'], abs=1e-3)
    # The gallery's own tracks, pooled already, give the same.
    calibrate('--gallery', 'gallery', '--per', 'track', '--fmr', 0.01)
    with Gallery.open('gallery') as gallery:
        assert gallery.track_threshold == pytest.approx(threshold, abs=1e-4)


def test_tracks_that_tell_nothing(calibrate):
    unknown = drawn(5)
    unknown.pid[:] = -1
    write_shard('unknown.parquet', unknown)
    assert 'no image has a pid' in calibrate('unknown.parquet', '--per', 'track')
    two = Features(**vars(drawn(2, 4)) | dict(track='7'))
    write_shard('two.parquet', two)
    assert "track '7'" in calibrate('two.parquet', '--per', 'track')
    assert calibrate('labeled.parquet', '--per', 'frame') == 2
