"""Tests that every back end passes: a class to inherit from, with a fixture ``place``."""

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmosnet.errors import DataError
from mmosnet.gallery import Gallery
from mmosnet.gallery.settings import Record
from tests.gallery.random_people import TRACKS, named, nearest, people, tracks

# A fixture's gallery is filled once and only searched.
SEARCH_ONLY = dict(deadline=None, suppress_health_check=list(HealthCheck))


class GalleryContract:
    """Subclasses have a fixture ``place``, a function that returns the place of a test's n-th gallery.

    Attributes:
        kinds: Kinds of index that give exact results for few images.
        examples: Number of examples for hypothesis.
    """

    kinds = ('exact',)
    examples = 20

    @pytest.fixture
    def create(self, place):
        """Return a function that creates an empty gallery, a new one each time."""
        opened = []

        def create(dimension=8, **settings):
            opened.append(Gallery.create(place(len(opened)), dimension, **settings))
            return opened[-1]

        yield create
        for gallery in opened:
            gallery.close()

    @pytest.fixture
    def filled(self, create):
        gallery, features = create(), people(40)
        ids = gallery.enroll(features)
        return gallery, features, ids

    def test_short_vectors_have_a_cosine_and_too_long_ones_are_refused(self, create):
        gallery, features = create(), people(40)
        gallery.enroll(features)
        queries = people(3, seed=1).embedding
        expected = [[match.id for match in found] for found in gallery.search(queries, top_k=5)]
        assert [[match.id for match in found] for found in gallery.search(queries * 2.0**-70, top_k=5)] == expected
        with pytest.raises(DataError, match=r'row . has length .*e-3'):
            gallery.search(queries * 2.0**-110, top_k=5)
        with pytest.raises(DataError, match=r'row . has length .*e\+1[89]'):
            create(distance='euclidean').search(queries * 2.0**62, top_k=5)

    @pytest.mark.parametrize('distance', ['cosine', 'euclidean'])
    def test_search_against_the_definition(self, create, distance):
        for index in self.kinds:
            features, queries = people(60), people(5, seed=1).embedding * 3
            gallery = create(index=index, distance=distance)
            first = gallery.enroll(features[:25])
            ids = np.concatenate([first, gallery.enroll(features[25:])])
            assert ids.dtype == np.int64 and (np.diff(ids) > 0).all() and len(gallery) == 60
            for query, matches in zip(queries, gallery.search(queries, top_k=7), strict=True):
                rows, distances = nearest(features, query, 7, distance)
                np.testing.assert_allclose([match.distance for match in matches], distances, atol=1e-5)
                assert [match.id for match in matches] == ids[rows].tolist()
                for match, row in zip(matches, rows, strict=True):
                    assert match.path == features.path[row]
                    assert (match.pid, match.camid) == (features.pid[row], features.camid[row])
                    np.testing.assert_equal(match.time, features.time[row])
                    assert match.same_person is None

    def test_an_image_is_nearest_to_itself_and_to_its_copy(self, filled):
        gallery, features, ids = filled
        (matches,) = gallery.search(features.embedding[:1], top_k=3)
        # Enrolled twice: the first one first.
        assert [match.id for match in matches[:2]] == [ids[0], ids[20]]
        assert matches[0].distance == pytest.approx(0, abs=1e-6) and matches[1].distance == pytest.approx(0, abs=1e-6)

    def test_filters_against_masks(self, filled):
        gallery, features, ids = filled
        query = people(1, seed=2).embedding

        @settings(max_examples=self.examples, **SEARCH_ONLY)
        @given(
            st.none() | st.lists(st.integers(-1, 4), max_size=4),
            st.none() | st.lists(st.integers(-1, 4), max_size=4),
            st.none() | st.integers(-1, 50),
            st.none() | st.floats(0, 50),
            st.integers(1, 45),
        )
        def check(camids, not_camids, after, before, top_k):
            wanted = np.array(
                [
                    (camids is None or camid in camids)
                    and (not_camids is None or camid not in not_camids)
                    and (after is None or (not math.isnan(time) and time >= after))
                    and (before is None or (not math.isnan(time) and time < before))
                    for camid, time in zip(features.camid, features.time, strict=True)
                ]
            )
            (matches,) = gallery.search(query, top_k, camids, not_camids, after, before)
            rows, distances = nearest(features, query[0], top_k, wanted=wanted)
            assert [match.id for match in matches] == ids[rows].tolist()
            np.testing.assert_allclose([match.distance for match in matches], distances, atol=1e-5)

        check()

    def test_one_camera_needs_no_list(self, filled):
        gallery, features, ids = filled
        query = features.embedding[:1]
        assert gallery.search(query, 40, camids=2) == gallery.search(query, 40, camids=[2])
        found = {match.id for match in gallery.search(query, 40, not_camids=np.int64(2))[0]}
        assert found == set(ids[features.camid != 2].tolist())

    def test_deletions(self, filled):
        gallery, features, ids = filled
        left = np.ones(40, bool)
        steps = (
            (dict(ids=[ids[3], ids[7], 12345]), np.isin(np.arange(40), [3, 7])),
            (dict(pid=2), features.pid == 2),
            (dict(pid=[0, 1], camid=3), np.isin(features.pid, [0, 1]) & (features.camid == 3)),
            (dict(before=12), features.time < 12),
            (dict(pid=-1, before=30), (features.pid == -1) & (features.time < 30)),
        )
        for conditions, doomed in steps:
            assert gallery.delete(**conditions) == (doomed & left).sum()
            left &= ~doomed
            assert len(gallery) == left.sum() and gallery.ids().tolist() == ids[left].tolist()
            (matches,) = gallery.search(features.embedding[:1], top_k=50)
            rows, _ = nearest(features, features.embedding[0], 50, wanted=left)
            assert [match.id for match in matches] == ids[rows].tolist()
        assert 0 < left.sum() < 40
        gallery.compact()
        assert gallery.search(features.embedding[:1], top_k=50) == [matches]
        # Numbers are not given twice.
        assert gallery.enroll(people(2, seed=3)).min() > ids.max()
        assert gallery.delete(ids=[]) == 0
        with pytest.raises(DataError, match='give ids, pid, camid, before or track'):
            gallery.delete()

    def test_records_features_and_counts(self, filled):
        gallery, features, ids = filled
        chosen = [5, 0, 12]
        for row, record in zip(chosen, gallery.records(ids[chosen]), strict=True):
            expected = Record(int(ids[row]), features.path[row], features.pid[row], features.camid[row])
            np.testing.assert_equal(asdict(record), dict(asdict(expected), time=features.time[row]))
        back = gallery.features(ids[chosen])
        lengths = np.linalg.norm(features.embedding, axis=1, keepdims=True)
        np.testing.assert_allclose(back.embedding, (features.embedding / lengths)[chosen], atol=1e-6)
        assert back.path == [features.path[row] for row in chosen] and back.model == 'abc'
        np.testing.assert_array_equal(back.time, features.time[chosen])
        assert gallery.features().path == features.path
        pids, counts = np.unique(features.pid, return_counts=True)
        assert gallery.pids() == dict(zip(pids.tolist(), counts.tolist(), strict=True))
        assert list(gallery.pids()) == sorted(gallery.pids())
        assert gallery.known(['nowhere.jpg', features.path[4]]).tolist() == [False, True]
        for wrong in ('features', dict(embedding=1), np.ones((1, 4), np.float32)):
            with pytest.raises(DataError, match=r'enroll: .*Features'):
                gallery.enroll(wrong)
        with pytest.raises(DataError, match='no image with id 999999'):
            gallery.records([ids[0], 999999])
        info = gallery.info()
        assert (info['images'], info['identities'], info['unknown']) == (40, 5, (features.pid == -1).sum())
        assert (info['dimension'], info['distance'], info['model'], info['threshold']) == (8, 'cosine', 'abc', None)

    def test_threshold(self, filled):
        gallery, features, _ = filled
        assert gallery.threshold is None and gallery.facts == {}
        distances = [match.distance for match in gallery.search(features.embedding[:1], 5)[0]]
        gallery.set_threshold(distances[2], dict(rate=1e-3, pairs=[1, 2]))
        gallery = self.reopened(gallery)
        assert gallery.threshold == distances[2] and gallery.facts == dict(rate=1e-3, pairs=[1, 2])
        same = [match.same_person for match in gallery.search(features.embedding[:1], 5)[0]]
        assert same == [True, True, True, False, False]
        for value in (-0.1, math.nan, math.inf):
            with pytest.raises(DataError, match='threshold'):
                gallery.set_threshold(value)
        with pytest.raises(DataError, match='facts'):
            gallery.set_threshold(0.5, dict(when=object()))
        assert gallery.threshold == distances[2]
        gallery.set_threshold(None)
        assert self.reopened(gallery).threshold is None

    def test_reopened_it_is_the_same(self, filled):
        gallery, features, _ = filled
        before = gallery.search(features.embedding[:4])
        info = gallery.info()
        gallery = self.reopened(gallery)
        assert gallery.search(features.embedding[:4]) == before and gallery.info() == info
        with pytest.raises(FileExistsError):
            Gallery.create(gallery.uri, dimension=8)

    def test_the_model_is_that_of_the_first_features(self, create):
        gallery = create()
        assert gallery.model == ''
        gallery.enroll(people(2))
        assert gallery.model == 'abc' and self.reopened(gallery).model == 'abc'
        named = create(model='f00')
        with pytest.raises(DataError, match=r'of the model abc, but .* those of f00'):
            named.enroll(people(2))
        assert len(named) == 0

    @pytest.mark.parametrize(
        ('change', 'message'),
        [
            (dict(model='other'), 'embeddings of the model other, but .* holds those of abc'),
            (dict(model=''), 'embeddings of the model unknown'),
            (dict(embedding=np.ones((2, 9), np.float32)), r'shape \(2, 9\); this gallery takes \(N, 8\)'),
            (dict(embedding=np.full((2, 8), np.nan, np.float32)), 'row 0 holds NaN'),
            (dict(embedding=np.array([[1.0] * 8, [np.inf] * 8], np.float32)), 'row 1 holds NaN or infinity'),
            (dict(embedding=np.array([[1.0] * 8, [0.0] * 8], np.float32)), 'row 1 has length 0'),
        ],
    )
    def test_bad_features_are_refused_and_change_nothing(self, filled, change, message):
        gallery, features, ids = filled
        bad = people(2, seed=5)
        for name, value in change.items():
            setattr(bad, name, value)
        with pytest.raises(DataError, match=message):
            gallery.enroll(bad)
        assert gallery.ids().tolist() == ids.tolist()
        assert len(gallery.enroll(features[:0])) == 0

    def test_bad_searches_are_refused(self, filled):
        gallery, features, _ = filled
        query = features.embedding[:1]
        ragged = [[1.0, 2.0], [3.0]]
        for embedding in (query[0], query[:, :5], query.astype(int), np.full((1, 8), np.nan), ragged, features[:1]):
            with pytest.raises(DataError, match='queries'):
                gallery.search(embedding)
        for top_k in (0, -1, 2.5, True):
            with pytest.raises(DataError, match='top_k'):
                gallery.search(query, top_k)
        for conditions in (dict(camids='nowhere'), dict(not_camids=[0.5]), dict(after='noon'), dict(before=math.nan)):
            with pytest.raises(DataError, match=next(iter(conditions))):
                gallery.search(query, **conditions)
        with pytest.raises(DataError, match=r'after=1700000000000.*milliseconds'):
            gallery.search(query, after=1.7e12)
        assert gallery.search(query[:0]) == []

    def test_an_empty_gallery(self, create):
        gallery = create()
        assert len(gallery) == 0 and gallery.pids() == {} and gallery.ids().tolist() == []
        assert gallery.search(np.ones((2, 8))) == [[], []]
        assert gallery.delete(pid=1) == 0
        gallery.compact()
        assert gallery.info()['images'] == 0 and len(gallery.features()) == 0

    def test_paths_and_numbers_of_any_kind(self, create):
        features = people(3)
        features.path = ['o\'brien "x" %.jpg', 'straße/日本.jpg', 'a\nb\\c.mp4#frame=7&xywh=1,2,3,4']
        features.pid[:] = [2**62, -1, 0]
        features.time[:] = [1.7e9 + 0.25, -5.5, np.nan]
        gallery = create()
        records = gallery.records(gallery.enroll(features))
        assert [record.path for record in records] == features.path
        assert [record.pid for record in records] == [2**62, -1, 0]
        np.testing.assert_equal([record.time for record in records], features.time)
        assert gallery.known([*features.path, 'x']).tolist() == [True, True, True, False]

    def test_names_are_people_whatever_their_numbers(self, create):
        gallery = create()
        first, second = gallery.enroll(named(['anna', 'bob'])), gallery.enroll(named(['bob', 'carl'], seed=1))
        assert gallery.pids() == {1: 1, 2: 2, 3: 1} and gallery.names['pid'] == {1: 'anna', 2: 'bob', 3: 'carl'}
        names = [record.name for record in gallery.records([*first, *second])]
        assert names == ['anna', 'bob', 'bob', 'carl']
        assert gallery.info()['identities'] == 3 and gallery.info()['named'] == 3
        # Another name has the number 1 here, and another number the name 1: neither is anybody else.
        plain = gallery.enroll(named([1, 2, 9, -1], seed=2))
        assert gallery.names['pid'] == {1: 'anna', 2: 'bob', 3: 'carl', 4: '1', 5: '2'}
        assert [record.pid for record in gallery.records(plain)] == [4, 5, 9, -1]
        gallery = self.reopened(gallery)
        assert gallery.enroll(named(['1', 'anna', '9'], seed=3)).size == 3
        assert gallery.pids() == {-1: 1, 1: 2, 2: 2, 3: 1, 4: 2, 5: 1, 9: 2}
        for ambiguous in (1, '1', [3, 2], ['carl', '2']):
            with pytest.raises(DataError, match=r"pid=[12]\b.*'(anna|bob)' or [45]"):
                gallery.delete(pid=ambiguous)
        with pytest.raises(DataError, match='pid=dora'):
            gallery.delete(pid=['anna', 'dora'])
        for wrong in (1.5, [True], [None], ''):
            with pytest.raises(DataError, match='pid'):
                gallery.delete(pid=wrong)
        assert len(gallery) == 11 and gallery.delete(pid=77) == 0
        assert gallery.delete(pid='anna') == 2 and gallery.delete(pid=['bob', '9']) == 4 and gallery.delete(pid=3) == 1
        assert gallery.names['pid'] == {4: '1', 5: '2'} and gallery.pids() == {-1: 1, 4: 2, 5: 1}
        # Nobody else is called so any more.
        assert gallery.delete(pid=1) == 2 and gallery.delete(pid='-1') == 1

    def test_numbers_that_come_before_names(self, create):
        gallery = create()
        gallery.enroll(named([1, 2]))
        gallery.enroll(named(['anna', '2', 'bob'], seed=1))
        assert gallery.pids() == {1: 1, 2: 2, 3: 1, 4: 1} and gallery.names['pid'] == {3: 'bob', 4: 'anna'}
        assert gallery.delete(pid=[1, 'anna']) == 2

    def test_names_of_cameras(self, create):
        gallery = create()
        features = named([0, 0, 0], ['door', 'hall', -1])
        gallery.enroll(features)
        ids = gallery.enroll(named([0, 0], ['yard', 'door'], seed=1))
        records = gallery.records(ids)
        assert [(record.camid, record.camera) for record in records] == [(3, 'yard'), (1, 'door')]
        query = features.embedding[:1]
        for camids in ('door', ['door'], 1, [np.int64(1)], ['1']):
            (matches,) = gallery.search(query, camids=camids)
            assert {match.camera for match in matches} == {'door'} and len(matches) == 2
        (matches,) = gallery.search(query, not_camids=['door', 2])
        assert sorted(match.camera for match in matches) == ['', 'yard']
        for conditions in (dict(camids='cellar'), dict(not_camids=['hall', 'cellar'])):
            with pytest.raises(DataError, match='cellar'):
                gallery.search(query, **conditions)
        assert gallery.delete(camid='hall') == 1 and gallery.names['camid'] == {1: 'door', 3: 'yard'}

    def test_names_and_sources_move_to_another_gallery(self, create):
        gallery, other = create(), create()
        features = named(['anna', 5, 'Zoe\u0308'], ['door', -1, 'hall'], source=['a', '', 'b'])
        gallery.enroll(features)
        other.enroll(named(['bob', 'Zoë'], seed=1))
        ids = other.enroll(gallery.features())
        found = [(record.name, record.camera, record.source) for record in other.records(ids)]
        assert found == [('anna', 'door', 'a'), ('', '', ''), ('Zoë', 'hall', 'b')]
        assert other.features(ids) == gallery.features() and len(set(other.features().pid)) == 4

    def test_a_path_and_its_source_are_an_image(self, create):
        gallery = create()
        features = named([0, 0], source='a')
        gallery.enroll(features)
        assert gallery.known(features.path).all() and gallery.known(features.path, features.source).all()
        assert gallery.known(features.path, ['a', 'b']).tolist() == [True, False]
        assert not gallery.known(features.path, ['', '']).any()
        gallery.enroll(named([0, 0]))
        assert gallery.known(features.path, ['', '']).all()

    def test_images_that_are_known_may_be_skipped(self, create):
        gallery, features = create(), named(['anna', 'bob', 'carl'], source='a')
        assert len(gallery.enroll(features[:2], skip_known=True)) == 2
        ids = gallery.enroll(features, skip_known=True)
        assert [record.name for record in gallery.records(ids)] == ['carl']
        assert len(gallery.enroll(features, skip_known=True)) == 0 and len(gallery) == 3
        # The same paths of another device are other images.
        assert len(gallery.enroll(named(['anna'], source='b'), skip_known=True)) == 1
        assert len(gallery.enroll(features)) == 3 and len(gallery) == 7

    def test_images_move_to_another_person(self, create):
        gallery = create()
        features = named(['anna', 'bob', 'bob', 'carl'], ['door', -1, 'hall', 'door'], source='a')
        ids = gallery.enroll(features)
        before, first = gallery.features(ids), gallery.version()
        assert gallery.relabel(ids[1:3], 1) == 2 and gallery.relabel([], 1) == 0
        assert gallery.version() != first or len(gallery) == 4
        by_path = {record.path: record for record in gallery.records(gallery.ids())}
        assert [by_path[path].name for path in features.path] == ['anna', 'anna', 'anna', 'carl']
        assert gallery.names['pid'] == {1: 'anna', 3: 'carl'} and gallery.pids() == {1: 3, 3: 1}
        numbers, pids = gallery.identities()
        assert numbers.tolist() == gallery.ids().tolist() and sorted(pids.tolist()) == [1, 1, 1, 3]
        moved = next(record.id for record in by_path.values() if record.path == features.path[2])
        # Somebody without a name, and nobody.
        assert gallery.relabel(moved, 8) == 1 and gallery.pids() == {1: 2, 3: 1, 8: 1}
        assert gallery.relabel(next(id for id in gallery.ids() if gallery.records([id])[0].pid == 3), -1) == 1
        gallery = self.reopened(gallery)
        after = gallery.features()
        order = [after.path.index(path) for path in features.path]
        assert after.pid[order].tolist() == [1, 1, 8, -1] and gallery.names['pid'] == {1: 'anna'}
        np.testing.assert_array_equal(after.embedding[order], before.embedding)
        assert [after.source[row] for row in order] == before.source
        assert after.labels('camid') == before.labels('camid')
        (matches,) = gallery.search(features.embedding[2:3], top_k=1)
        assert (matches[0].path, matches[0].pid, matches[0].name) == (features.path[2], 8, '')
        for wrong in (-2, 1.5, 2**63, True, 'anna'):
            with pytest.raises(DataError, match='pid='):
                gallery.relabel(gallery.ids(), wrong)
        with pytest.raises(DataError, match='999999'):
            gallery.relabel([*gallery.ids(), 999999], 1)
        assert gallery.pids() == {-1: 1, 1: 2, 8: 1}

    def test_people_get_names(self, create):
        gallery = create()
        gallery.enroll(named(['anna', 5, 5, -1]))
        gallery.rename(5, 'Zoe\u0308')
        assert gallery.names['pid'] == {1: 'anna', 5: 'Zoë'} and gallery.pids() == {-1: 1, 1: 1, 5: 2}
        gallery.rename(1, 'anne')
        gallery.rename(1, 'anne')
        gallery.rename(5, '')
        gallery = self.reopened(gallery)
        assert gallery.names['pid'] == {1: 'anne'}
        for pid, name in ((5, 'anne'), (7, 'x'), (-1, 'x'), (5, ' '), (5, '12'), (5, 'a\nb')):
            with pytest.raises(DataError, match=f'{pid}|name'):
                gallery.rename(pid, name)

    def test_its_version_tells_changes(self, create):
        gallery = create()
        other = Gallery.open(gallery.uri)
        versions = [other.version(), other.version()]
        ids = gallery.enroll(people(6))
        versions.append(other.version())
        gallery.delete(ids=ids[:1])
        versions.append(other.version())
        assert versions[0] == versions[1] and len(set(versions)) == 3 and gallery.version() == versions[-1]
        other.close()

    def test_tracks_beside_images_are_kept_and_found(self, create):
        gallery, features = create(), tracks(30)
        images = gallery.enroll(people(5, seed=1))
        ids = gallery.enroll(features)
        gallery = self.reopened(gallery)
        for row, record in enumerate(gallery.records(ids)):
            expected = (features.track[row], features.frames[row], features.attributes[row])
            assert (record.track, record.frames, record.attributes) == expected
        assert {(record.track, record.frames, record.attributes) for record in gallery.records(images)} == {('', 1, ())}
        (matches,) = gallery.search(features.embedding[7:8], top_k=1)
        assert (matches[0].id, matches[0].track, matches[0].frames) == (ids[7], features.track[7], features.frames[7])
        assert matches[0].attributes == features.attributes[7] and isinstance(matches[0].attributes, tuple)
        back = gallery.features(ids)
        assert (back.track, back.attributes) == (features.track, features.attributes)
        assert back.frames.tolist() == features.frames.tolist()
        assert gallery.info()['pooled'] == (features.frames > 1).sum()

    def test_attributes_select_against_a_loop(self, create):
        gallery, features = create(), tracks(30)
        gallery.enroll(people(5, seed=1))
        ids = gallery.enroll(features)
        query = people(1, seed=2).embedding
        for names in ('hat', ['backpack'], ('hat', 'backpack'), ['hat', 'skirt, long'], ['%', 'back"pack'], ["a\\b'"]):
            given = {names} if isinstance(names, str) else set(names)
            wanted = np.array([given <= set(row) for row in features.attributes])
            for camids in (None, [0, 1]):
                seen = wanted if camids is None else wanted & np.isin(features.camid, camids)
                (matches,) = gallery.search(query, 40, camids=camids, attributes=names)
                assert [match.id for match in matches] == ids[nearest(features, query[0], 40, wanted=seen)[0]].tolist()
        assert gallery.search(query, 40, attributes=[]) == gallery.search(query, 40)
        with pytest.raises(DataError, match=r'attributes=beard: .*backpack, hat'):
            gallery.search(query, attributes=['hat', 'beard'])
        for wrong in (3, [3], ['']):
            with pytest.raises(DataError, match='attributes'):
                gallery.search(query, attributes=wrong)
        with pytest.raises(DataError, match=r'attributes=hat: .*none'):
            create().search(query, attributes='hat')

    def test_tracks_are_deleted_by_name(self, create):
        gallery, features = create(), tracks(30)
        single = gallery.enroll(people(5, seed=1))
        ids = gallery.enroll(features)
        left = np.ones(30, bool)
        for track, conditions in (('7', dict(camid=1)), (7, {}), (TRACKS[1:3], {}), ("it's; 1, 2", {}), ('nobody', {})):
            names = [str(track)] if isinstance(track, (int, str)) else track
            doomed = np.isin(features.track, names) & np.isin(features.camid, conditions.get('camid', features.camid))
            assert gallery.delete(track=track, **conditions) == (doomed & left).sum()
            left &= ~doomed
            assert gallery.ids().tolist() == [*single, *ids[left]]
        assert gallery.delete(track=[]) == 0
        for wrong in ('', -1, 1.5, True, ['a', ''], 'nan', 'a\nb'):
            with pytest.raises(DataError, match='track'):
                gallery.delete(track=wrong)
        assert len(gallery) == 5 + left.sum()

    def test_a_track_and_its_first_image_are_two(self, create):
        gallery, features = create(), named([1, 1], source='a')
        track = named([1], source='a')
        track.track, track.frames = ['7'], np.array([9])
        assert len(gallery.enroll(features, skip_known=True)) == 2 and len(gallery.enroll(track, skip_known=True)) == 1
        assert len(gallery.enroll(features, skip_known=True)) == len(gallery.enroll(track, skip_known=True)) == 0
        assert gallery.known(features.path, features.source, ['7', '7']).tolist() == [True, False]

    def test_tracks_have_a_threshold_of_their_own(self, filled):
        gallery, features, _ = filled
        query = features.embedding[:1]
        distances = [match.distance for match in gallery.search(query, 5)[0]]
        gallery.set_threshold(distances[2], dict(fmr=1e-3))
        gallery.set_threshold(distances[3], dict(fmr=1e-2, per='track'), per='track')
        gallery = self.reopened(gallery)
        assert (gallery.threshold_of('image'), gallery.threshold_of('track')) == (distances[2], distances[3])
        assert gallery.facts == dict(fmr=1e-3) and gallery.track_facts == dict(fmr=1e-2, per='track')
        for per, number in (('image', 3), ('track', 4)):
            same = [match.same_person for match in gallery.search(query, 5, per=per)[0]]
            assert same == [True] * number + [False] * (5 - number)
        gallery.set_threshold(None)
        assert {match.same_person for match in gallery.search(query, 5)[0]} == {None}
        assert gallery.search(query, 1, per='track')[0][0].same_person is True
        with pytest.raises(DataError, match='track_threshold=-1'):
            gallery.set_threshold(-1, per='track')
        for call in (gallery.set_threshold, lambda value, per: gallery.search(query, per=per)):
            with pytest.raises(DataError, match="per='frame'"):
                call(0.5, per='frame')

    def test_an_empty_one_may_be_discarded(self, create):
        gallery = create()
        gallery.enroll(people(2))
        with pytest.raises(DataError, match='2 images'):
            gallery.discard()
        assert len(gallery) == 2
        gallery.delete(ids=gallery.ids())
        gallery.compact()
        gallery.discard()
        assert not Path(gallery.uri).is_dir()
        with pytest.raises(FileNotFoundError):
            Gallery.open(gallery.uri)

    def test_closing_twice(self, create):
        with create() as gallery:
            gallery.close()

    def reopened(self, gallery):
        """Return the same gallery, opened again."""
        gallery.close()
        return Gallery.open(gallery.uri)
