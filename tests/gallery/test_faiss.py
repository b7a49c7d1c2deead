from __future__ import annotations

import json
import os
import sqlite3
import sys
import threading
from contextlib import closing

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmosnet.errors import DataError
from mmosnet.gallery import FaissGallery, Gallery, MilvusGallery, base
from mmosnet.gallery.records import RecordTable
from tests.gallery.gallery_contract import GalleryContract
from tests.gallery.random_people import everything, named, nearest, people, tracks


class TestFaiss(GalleryContract):
    kinds = ('exact', 'ivfpq', 'hnsw')

    @pytest.fixture
    def place(self, tmp_path):
        return lambda number: tmp_path / f'gallery{number}'


@pytest.fixture
def filled(tmp_path):
    with Gallery.create(tmp_path / 'gallery', dimension=8) as gallery:
        gallery.enroll(people(40))
        yield gallery


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just('enroll'), st.integers(1, 6)),
            st.tuples(st.just('delete'), st.integers(0, 20)),
            st.tuples(st.just('delete_camid'), st.integers(-1, 3)),
            st.tuples(st.sampled_from(['compact', 'reopen']), st.just(0)),
        ),
        max_size=8,
    )
)
def test_any_order_of_changes_against_a_dict(tmp_path_factory, steps):
    gallery = Gallery.create(tmp_path_factory.mktemp('any') / 'gallery', dimension=4)
    known = {}
    for seed, (step, number) in enumerate(steps):
        if step == 'enroll':
            features = people(number, 4, seed)
            for row, id in enumerate(gallery.enroll(features).tolist()):
                assert id not in known
                known[id] = features[[row]]
        elif step == 'delete':
            assert gallery.delete(ids=number) == (known.pop(number, None) is not None)
        elif step == 'delete_camid':
            doomed = [id for id, features in known.items() if features.camid[0] == number]
            assert gallery.delete(camid=number) == len(doomed)
            for id in doomed:
                del known[id]
        elif step == 'compact':
            gallery.compact()
            assert gallery.info()['deleted'] == 0
        else:
            gallery.close()
            gallery = Gallery.open(gallery.uri)
        assert gallery.ids().tolist() == sorted(known)
        assert {record.id: record.path for record in gallery.records(gallery.ids())} == {
            id: features.path[0] for id, features in known.items()
        }
        for match in gallery.search(np.ones((1, 4)), top_k=99)[0]:
            expected = nearest(known[match.id], np.ones(4), 1)[1][0]
            assert match.distance == pytest.approx(expected, abs=1e-6)
    gallery.close()


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork on this system')
@pytest.mark.parametrize('moment', ['before the records', 'amid the records'])
def test_a_process_that_dies_while_enrolling_leaves_nothing(filled, moment):
    before = filled.search(np.ones((1, 8)), top_k=50)
    add = RecordTable.add

    def die(table, rows, *others):
        def some():
            yield next(rows)
            os._exit(7)

        if moment == 'amid the records':
            add(table, some(), *others)
        os._exit(7)

    filled.close()
    child = os.fork()
    if child == 0:
        RecordTable.add = die
        try:
            Gallery.open(filled.uri).enroll(people(20, seed=1))
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    with Gallery.open(filled.uri) as gallery:
        # The vectors are there, but do not count.
        assert (gallery.folder / 'vectors-0001.f32').stat().st_size == 60 * 32
        assert gallery.search(np.ones((1, 8)), top_k=50) == before
        ids = gallery.enroll(people(3, seed=2))
        assert len(gallery) == 43 and (gallery.folder / 'vectors-0001.f32').stat().st_size == 43 * 32
        assert gallery.search(people(3, seed=2).embedding[1:2], top_k=1)[0][0].id == ids[1]


def test_an_enrolment_that_fails_leaves_nothing(filled):
    features = people(5, seed=1)
    features.pid = features.pid.astype(object)
    # SQLite has no such number.
    features.pid[3] = 2**70
    with pytest.raises(OverflowError):
        filled.enroll(features)
    assert len(filled) == 40
    filled.enroll(people(5, seed=1))
    assert len(filled) == 45 and len(filled.search(np.ones((1, 8)), 99)[0]) == 45


def test_others_see_what_is_written(filled):
    queries = people(40).embedding[:2]
    with Gallery.open(filled.uri) as reader:
        assert reader.search(queries) == filled.search(queries)
        ids = filled.enroll(people(3, seed=1))
        assert reader.ids().tolist() == filled.ids().tolist()
        assert reader.search(people(3, seed=1).embedding[:1], 1)[0][0].id == ids[0]
        reader.delete(ids=ids[0])
        assert len(filled) == 42 and ids[0] not in {match.id for match in filled.search(queries, 99)[0]}
        filled.compact()
        assert reader.search(queries) == filled.search(queries)
        assert reader.enroll(people(1, seed=2))[0] == ids[-1] + 1
        filled.set_threshold(0.25, dict(why='test'))
        assert len(reader) == 43 and (reader.threshold, reader.facts) == (0.25, dict(why='test'))
        assert len(list(reader.folder.glob('vectors-*'))) == 1


def test_the_model_that_another_process_has_set_counts(tmp_path):
    with Gallery.create(tmp_path / 'gallery', 8) as one, Gallery.open(tmp_path / 'gallery') as other:
        one.enroll(people(2))
        with pytest.raises(DataError, match=r'\bother\b.*\babc\b'):
            other.enroll(people(2, model='other'))


def test_writers_wait_for_each_other(filled):
    filled._file_lock.timeout = 0.05
    with FileLock(filled.folder / 'gallery.lock'):
        for change in (lambda: filled.enroll(people(1)), lambda: filled.delete(pid=1), filled.compact):
            with pytest.raises(DataError, match='another process has been writing'):
                change()
        assert len(filled.search(np.ones((1, 8)), 99)[0]) == 40


def test_several_threads(filled):
    expected = filled.search(people(40).embedding, 5)
    wrong = []

    def work(number):
        for _ in range(3):
            if filled.search(people(40).embedding, 5, not_camids=7) != expected:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_vectors_are_mapped_and_not_read(filled):
    filled.search(np.ones((1, 8)))
    assert isinstance(filled._view().vectors, np.memmap) and not filled._view().vectors.flags.writeable
    # Plain rows of length 1.
    raw = np.fromfile(filled.folder / 'vectors-0001.f32', '<f4').reshape(40, 8)
    np.testing.assert_allclose(np.linalg.norm(raw, axis=1), 1, atol=1e-6)


def test_what_was_deleted_is_erased_by_compacting(filled):
    path = filled.records([4])[0].path.encode()
    vector = filled.features([4]).embedding.tobytes()
    files = (filled.folder / 'gallery.sqlite', filled.folder / 'vectors-0001.f32')
    assert path in files[0].read_bytes() and vector in files[1].read_bytes()
    filled.delete(ids=4)
    assert path not in files[0].read_bytes() and vector in files[1].read_bytes()
    filled.compact()
    everything = b''.join(file.read_bytes() for file in filled.folder.iterdir())
    assert path not in everything and vector not in everything and not files[1].exists()


def test_names_that_are_no_text_keep_their_bytes(filled):
    features = people(1, seed=9)
    features.path = [os.fsdecode(b'caf\xe9.jpg')]
    (id,) = filled.enroll(features)
    assert os.fsencode(filled.records([id])[0].path) == b'caf\xe9.jpg'
    assert filled.known(features.path).tolist() == [True]


def test_places_that_are_no_gallery(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no gallery .*none'):
        Gallery.open(tmp_path / 'none')
    (tmp_path / 'file').write_text('')
    with pytest.raises(FileExistsError):
        Gallery.create(tmp_path / 'file')
    for wrong in (dict(index='tree'), dict(distance='manhattan'), dict(dimension=0), dict(model=None)):
        with pytest.raises(DataError, match=next(iter(wrong))):
            Gallery.create(tmp_path / 'new', **wrong)
    assert not (tmp_path / 'new').exists()


def _set_settings(gallery, change):
    with sqlite3.connect(gallery.folder / 'gallery.sqlite') as connection:
        (text,) = connection.execute('SELECT settings FROM gallery').fetchone()
        connection.execute('UPDATE gallery SET settings = ?', (change(text),))
    connection.close()


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (lambda g: (g.folder / 'gallery.sqlite').write_bytes(os.urandom(4096)), 'gallery.sqlite: damaged'),
        (lambda g: (g.folder / 'gallery.sqlite').write_bytes(b''), r'gallery.sqlite: .*no such table'),
        (lambda g: os.truncate(g.folder / 'gallery.sqlite', 4096), 'gallery.sqlite'),
        (lambda g: os.truncate(g.folder / 'vectors-0001.f32', 40 * 32 - 1), r'vectors-0001.f32: 1279 bytes, but .* 40'),
        (lambda g: (g.folder / 'vectors-0001.f32').unlink(), r'vectors-0001.f32: 0 bytes'),
        (lambda g: _set_settings(g, lambda text: text[:20]), 'gallery.sqlite: damaged'),
        (lambda g: _set_settings(g, lambda text: '[]'), 'not the settings of a gallery'),
        (lambda g: _set_settings(g, lambda text: text.replace('"version": 2', '"version": 9')), 'upgrade'),
        (lambda g: _set_settings(g, lambda text: text.replace('cosine', 'cosin')), "distance='cosin'"),
    ],
)
def test_damaged_files_are_named(filled, damage, message):
    filled.close()
    damage(filled)
    with pytest.raises(DataError, match=message):
        Gallery.open(filled.uri).search(np.ones((1, 8)))


def flipped(data, places):
    """Return the data with one bit flipped, for each of the places."""
    for number, place in enumerate(places):
        damaged = bytearray(data)
        damaged[place] ^= 1 << number % 8
        yield place, bytes(damaged)


def test_a_flipped_bit_of_an_embedding_is_named(filled):
    filled.delete(ids=7)
    filled.close()
    path = filled.folder / 'vectors-0001.f32'
    data = path.read_bytes()
    for place, damaged in flipped(data, range(0, len(data), 13)):
        path.write_bytes(damaged)
        id = place // 32
        with Gallery.open(filled.uri) as gallery:
            if id == 7:
                # Of a deleted image, which nothing returns.
                assert gallery.check().is_sound
                continue
            assert [(image.id, image.part) for image in gallery.check().damaged] == [(id, 'embedding')]
            for read in (gallery.features, gallery.compact, lambda g=gallery: g.search(np.ones((1, 8)), 99)):
                with pytest.raises(DataError, match=rf'embedding of image {id} .*--id {id}`'):
                    read()
            assert len(list(gallery.folder.glob('vectors-*'))) == 1
    # The remedy.
    with Gallery.open(filled.uri) as gallery:
        gallery.delete(ids=id)
        assert gallery.check().is_sound and len(gallery.search(np.ones((1, 8)), 99)[0]) == 38
        gallery.compact()
        assert gallery.check().is_sound


def test_no_flipped_bit_of_the_records_gives_others(filled):
    filled.delete(ids=[7, 30])
    filled.set_threshold(0.25, dict(why='test'))
    filled.close()
    path = filled.folder / 'gallery.sqlite'
    data = path.read_bytes()
    # Every 11th byte that is in use: the rest are zeros.
    used = [place for place, byte in enumerate(data) if byte or any(data[place - 8 : place + 8])][::11]
    with Gallery.open(filled.uri) as gallery:
        expected = everything(gallery)
    refused = 0
    for place, damaged in flipped(data, used):
        path.write_bytes(damaged)
        try:
            with Gallery.open(filled.uri) as gallery:
                found = everything(gallery)
        except (DataError, OSError):
            refused += 1
        else:
            assert found == expected, place
    assert refused > len(used) / 2


@pytest.mark.parametrize('column', ['path', 'pid', 'camid', 'time', 'vector_checksum', 'checksum'])
def test_a_record_that_was_changed_is_named(filled, column):
    with sqlite3.connect(filled.folder / 'gallery.sqlite') as connection:
        connection.execute(f'UPDATE records SET {column} = 3 WHERE id = 12')
    connection.close()
    for read in (
        filled.features,
        filled.pids,
        filled.compact,
        lambda: filled.records([12]),
        lambda: filled.delete(pid=4),
    ):
        with pytest.raises(DataError, match=r'record of image 12 .*--id 12`'):
            read()
    assert [(image.id, image.part) for image in filled.check().damaged] == [(12, 'record')]
    assert '1 records are damaged' in filled.info()['checksums']
    assert filled.records([11])[0].id == 11
    assert filled.delete(ids=12) == 1 and filled.check().is_sound and len(filled.pids()) > 1


@pytest.mark.parametrize('row', [-1, 11, 5, 39, 2**40, 'text'])
def test_a_row_that_was_changed_is_named(filled, row):
    filled.close()
    with sqlite3.connect(filled.folder / 'gallery.sqlite') as connection:
        connection.execute('UPDATE records SET row = ? WHERE id = 12', (row,))
    connection.close()
    with Gallery.open(filled.uri) as gallery:
        for read in (gallery.features, gallery.compact, lambda: gallery.search(np.ones((1, 8)), 99)):
            with pytest.raises(DataError, match=r'row of image 12 .*--id 12`'):
                read()
        assert [image.id for image in gallery.check().damaged] == [12]
        assert gallery.delete(ids=12) == 1 and len(gallery.search(np.ones((1, 8)), 99)[0]) == 39
        assert gallery.check().is_sound


def test_records_that_are_gone_are_noticed(filled):
    filled.ids()
    with sqlite3.connect(filled.folder / 'gallery.sqlite') as connection:
        connection.execute('DELETE FROM records WHERE id = 12')
    connection.close()
    with pytest.raises(DataError, match=r'a record .* is not found by its id'):
        filled.search(np.ones((1, 8)), 99)
    with Gallery.open(filled.uri) as gallery, pytest.raises(DataError, match=r'39 records, of which 40 were written'):
        gallery.search(np.ones((1, 8)))


OLD = """
CREATE TABLE gallery (settings TEXT NOT NULL, state TEXT NOT NULL);
CREATE TABLE records (
    id INTEGER PRIMARY KEY, row INTEGER NOT NULL, path TEXT NOT NULL, pid INTEGER NOT NULL, camid INTEGER NOT NULL,
    time REAL
);
"""


def make_old(gallery):
    """Make a gallery's file one of version 1, which had neither names nor sources nor checksums."""
    gallery.close()
    path = gallery.folder / 'gallery.sqlite'
    with closing(sqlite3.connect(path)) as file:
        settings, state = (json.loads(text) for text in file.execute('SELECT settings, state FROM gallery').fetchone())
        records = file.execute('SELECT id, row, path, pid, camid, time FROM records').fetchall()
    path.unlink()
    new = ('records', 'index_checksum', 'names_checksum')
    state = {name: value for name, value in state.items() if name not in new}
    with closing(sqlite3.connect(path)) as file, file:
        file.executescript(OLD)
        file.execute('INSERT INTO gallery VALUES (?, ?)', (json.dumps(settings | dict(version=1)), json.dumps(state)))
        file.executemany('INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)', records)


@pytest.mark.parametrize('change', ['compact', 'delete'])
def test_galleries_of_version_1_get_checksums_by_the_first_change(filled, change):
    before = everything(filled)
    make_old(filled)
    with Gallery.open(filled.uri) as reader:
        assert everything(reader)[:-1] == before[:-1]
        check = reader.check()
        assert check.is_sound and 'records, embeddings' in check.unchecked
        assert reader.info()['checksums'].startswith('none yet')
        with Gallery.open(filled.uri) as writer:
            writer.compact() if change == 'compact' else writer.delete(ids=999)
            assert everything(writer)[:-1] == before[:-1] and not writer.check().unchecked
            writer.enroll(people(3, seed=1))
        assert len(reader) == 43 and not reader.check().unchecked
    path = next(filled.folder.glob('vectors-*'))
    path.write_bytes(next(flipped(path.read_bytes(), [100]))[1])
    with Gallery.open(filled.uri) as gallery, pytest.raises(DataError, match='embedding of image 3 '):
        gallery.features()


def test_an_image_deleted_by_another_while_embeddings_are_read_is_named(filled, monkeypatch):
    ids = filled.ids()
    records = filled._records

    def delete_then(wanted):
        found = records(wanted)
        with Gallery.open(filled.uri) as other:
            other.delete(ids=int(ids[2]))
        return found

    monkeypatch.setattr(filled, '_records', delete_then)
    with pytest.raises(DataError, match=rf'no image with id {ids[2]} '):
        filled.features()


def test_a_full_disc_is_named_and_leaves_the_gallery(filled, monkeypatch):
    def full(number):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('mmosnet.gallery.vectors.os.fsync', full)
    with pytest.raises(OSError, match=r'vectors-0001.f32') as error:
        filled.enroll(people(3))
    assert error.value.errno == 28
    assert len(filled) == 40 and (filled.folder / 'vectors-0001.f32').stat().st_size == 40 * 32


def test_nothing_is_pickled(filled):
    filled.set_threshold(0.3, dict(a=[1, 2]))
    stored = {file.name for file in filled.folder.iterdir()}
    assert stored <= {'gallery.sqlite', 'gallery.lock', 'vectors-0001.f32'}
    with sqlite3.connect(filled.folder / 'gallery.sqlite') as connection:
        settings, state = connection.execute('SELECT settings, state FROM gallery').fetchone()
    connection.close()
    assert json.loads(settings)['threshold'] == 0.3 and json.loads(state)['rows'] == 40


def test_a_missing_package_is_named(filled, monkeypatch):
    monkeypatch.setitem(sys.modules, 'faiss', None)
    with pytest.raises(DataError, match=r'faiss-cpu'):
        Gallery.open(filled.uri)


def test_the_address_tells_the_back_end(monkeypatch):
    monkeypatch.setattr(base, '_BACK_ENDS', list(base._BACK_ENDS))
    for uri in ('people.db', 'people.db#boys', 'http://localhost:19530', 'https://cloud/people#boys'):
        assert base.back_end_of(uri) is MilvusGallery
    for uri in ('people', 'db', '/data/people.d', 'http'):
        assert base.back_end_of(uri) is FaissGallery

    @base.register_back_end
    class Other(FaissGallery):
        @staticmethod
        def keeps(uri):
            return uri.startswith('other://')

    assert base.back_end_of('other://people') is Other and base.back_end_of('people.db') is MilvusGallery


def test_galleries_of_version_1_get_names_by_the_first_change(filled):
    features = people(40)
    expected = filled.search(features.embedding[:3], 5)
    make_old(filled)
    content = (filled.folder / 'gallery.sqlite').read_bytes()
    with Gallery.open(filled.uri) as gallery, Gallery.open(filled.uri) as other:
        assert gallery.search(features.embedding[:3], 5) == expected and gallery.names == dict(pid={}, camid={})
        assert gallery.known(features.path[:1], ['']).all() and gallery.features().names['pid'] == {}
        assert (filled.folder / 'gallery.sqlite').read_bytes() == content
        gallery.enroll(named(['anna', 3], source='edge'))
        # 0 to 4 are people without a name.
        assert gallery.names['pid'] == other.names['pid'] == {5: 'anna'}
        assert other.records(other.ids()[-2:])[0].source == 'edge' and not other.check().unchecked
        assert other.delete(pid='anna') == 1 and gallery.names['pid'] == {}
        assert other.delete(ids=other.ids()[-1]) == 1 and gallery.search(features.embedding[:3], 5) == expected
    with closing(sqlite3.connect(filled.folder / 'gallery.sqlite')) as file:
        assert json.loads(file.execute('SELECT settings FROM gallery').fetchone()[0])['version'] == 2


def make_version_2(gallery):
    """Take the columns of tracks and attributes from a gallery's file: version 2 had none."""
    gallery.close()
    with closing(sqlite3.connect(gallery.folder / 'gallery.sqlite')) as file, file:
        for name in ('track', 'frames', 'attributes'):
            file.execute(f'ALTER TABLE records DROP COLUMN {name}')


def test_galleries_of_version_2_get_tracks_by_the_first_change(filled):
    features, new = people(40), tracks(5)
    make_version_2(filled)
    content = (filled.folder / 'gallery.sqlite').read_bytes()
    with Gallery.open(filled.uri) as gallery, Gallery.open(filled.uri) as other:
        expected = gallery.search(features.embedding[:3], 5)
        assert gallery.info()['pooled'] == 0 and {match.frames for match in expected[0]} == {1}
        assert gallery.known(features.path[:1], [''], ['']).all() and not gallery.known(features.path[:1], [''], ['7'])
        assert gallery.delete(track='7') == 0
        with pytest.raises(DataError, match='attributes=hat'):
            gallery.search(features.embedding[:1], attributes='hat')
        assert gallery.check().is_sound and (filled.folder / 'gallery.sqlite').read_bytes() == content
        ids = other.enroll(new)
        # The other connection sees columns and attributes that came after it was opened.
        assert [record.track for record in gallery.records(ids)] == new.track
        assert gallery.features(ids).attributes == new.attributes and gallery.check().is_sound
        hats = {match.id for match in gallery.search(features.embedding[:1], 50, attributes='hat')[0]}
        assert hats == {id for id, names in zip(ids, new.attributes, strict=True) if 'hat' in names}
        gallery.delete(ids=ids)
        gallery.compact()
        assert gallery.search(features.embedding[:3], 5) == expected and gallery.check().is_sound
        # An older version must not write to it: it would lose the names of the attributes.
        assert gallery.settings.version == 3


def test_a_damaged_track_is_seen(filled):
    ids = filled.enroll(tracks(5))
    filled.close()
    with closing(sqlite3.connect(filled.folder / 'gallery.sqlite')) as file, file:
        file.execute('UPDATE records SET frames = 77 WHERE id = ?', (int(ids[0]),))
    with Gallery.open(filled.uri) as gallery, pytest.raises(DataError, match=f'record of image {ids[0]} '):
        gallery.records(ids)


def test_names_of_people_who_were_deleted_are_erased(filled):
    filled.enroll(named(['anna kowalska', 'bob'], ['hinterhof', -1]))
    file = filled.folder / 'gallery.sqlite'
    assert b'anna kowalska' in file.read_bytes() and b'hinterhof' in file.read_bytes()
    filled.delete(pid='anna kowalska')
    assert b'anna kowalska' not in file.read_bytes() and b'hinterhof' not in file.read_bytes()
    assert b'bob' in file.read_bytes() and filled.names['pid'] == {6: 'bob'}


def test_damaged_names_are_seen(filled):
    filled.enroll(named(['anna', 'bob']))
    for change in ("name = 'anne'", 'number = 7', "key = 'pie'"):
        with closing(sqlite3.connect(filled.folder / 'gallery.sqlite')) as file, file:
            file.execute(f"UPDATE names SET {change} WHERE name = 'anna'")
        for ask in (lambda: filled.names, lambda: filled.search(np.ones((1, 8))), lambda: filled.delete(pid=1)):
            with pytest.raises(DataError, match=r'gallery.sqlite: names are damaged'):
                ask()
        assert 'names are damaged' in str(filled.check().files)
        with closing(sqlite3.connect(filled.folder / 'gallery.sqlite')) as file, file:
            file.execute("UPDATE names SET name = 'anna', number = 5, key = 'pid' WHERE name != 'bob'")
        assert filled.names['pid'] == {5: 'anna', 6: 'bob'}


def test_others_see_names_that_are_written(filled):
    with Gallery.open(filled.uri) as reader:
        assert reader.names['pid'] == {}
        filled.enroll(named(['anna'], seed=9))
        (match,) = reader.search(named(['anna'], seed=9).embedding, 1)[0]
        assert match.name == 'anna' and reader.delete(pid='anna') == 1 and filled.names['pid'] == {}


@given(st.lists(st.lists(st.sampled_from(['anna', 'bob', '1', '02', 1, 2, 3, -1]), min_size=1, max_size=4), max_size=5))
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_whoever_comes_in_any_order_is_called_by_name(tmp_path_factory, parts):
    with Gallery.create(tmp_path_factory.mktemp('any') / 'gallery', dimension=8) as gallery:
        ids = [gallery.enroll(named(part, seed=number)) for number, part in enumerate(parts)]
        records = gallery.records(np.concatenate([np.empty(0, int), *ids]))
        expected = [str(value) for part in parts for value in part]
        assert [record.name or str(record.pid) for record in records] == expected
        assert len(gallery.pids()) == len(set(expected))
