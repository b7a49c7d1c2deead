from __future__ import annotations

import fcntl
import math
import re
import sys
import threading
import time

import grpc
import numpy as np
import pytest
from milvus_lite.adapter.grpc.server import start_server_in_thread
from pymilvus.exceptions import MilvusException

from mmosnet.errors import DataError
from mmosnet.features import Features
from mmosnet.gallery import Gallery, milvus_connection
from mmosnet.gallery import milvus as milvus_gallery
from mmosnet.gallery.milvus import MOST_IDS, milvus_expressions
from mmosnet.gallery.milvus_connection import MilvusAddress
from mmosnet.gallery.settings import GallerySettings, RecordFilter
from tests.gallery import random_people
from tests.gallery.gallery_contract import GalleryContract

DIMENSION = 16


def people(count=60, seed=0, model='abc'):
    features = random_people.people(count, DIMENSION, seed, model, 'bühne')
    # Fractions, and times before 1970.
    features.time = (features.time - 25) * 1.9
    return features


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    """Return the address of a server that speaks the protocol of Milvus."""
    started, database, port = start_server_in_thread(str(tmp_path_factory.mktemp('served') / 'data'))
    yield f'http://127.0.0.1:{port}'
    started.stop(grace=0).wait()
    database.close()


class TestServed(GalleryContract):
    """Through a connection; a server compares all vectors until it builds an index, later than a test lasts."""

    kinds = ('exact', 'ivfpq', 'hnsw')
    examples = 10

    @pytest.fixture
    def place(self, server, request):
        return lambda number: server + '#' + re.sub(r'\W', '_', f'{request.node.name}_{number}')


@pytest.fixture
def served(server, request):
    """Return the address of a collection for one test."""
    return f'{server}#{request.node.originalname}'


@pytest.mark.parametrize('distance', ['cosine', 'euclidean'])
def test_embedded_it_finds_what_a_loop_finds_and_keeps_it(tmp_path, distance, capfd):
    features, queries = people(), people(7, seed=1).embedding
    uri = tmp_path / 'new' / 'people.db'
    with Gallery.create(uri, DIMENSION, distance=distance) as gallery:
        ids = gallery.enroll(features)
        assert len(gallery) == 60 and (np.diff(ids) > 0).all()
        # Twice, and equally near: first the one enrolled first.
        again = gallery.enroll(features[[5]])[0]
        gallery.set_threshold(0.25, dict(set='Bühne', fmr=1e-3))
        found = gallery.search(queries, top_k=61)
    with Gallery.open(uri) as gallery:
        assert (gallery.threshold, gallery.facts, gallery.model) == (0.25, dict(set='Bühne', fmr=1e-3), 'abc')
        assert gallery.ids().tolist() == [*ids, again]
        assert sum(gallery.pids().values()) == 61
        kept = gallery.features(ids)
    for query, matches in zip(queries, found, strict=True):
        rows, distances = random_people.nearest(features, query, 60, distance)
        by_id = {match.id: match.distance for match in matches}
        assert [by_id[id] for id in ids[rows]] == pytest.approx(distances, abs=1e-6)
        assert by_id[again] == by_id[ids[5]]
        assert matches == sorted(matches, key=lambda match: (match.distance, match.id))
    assert (kept.path, kept.pid.tolist(), kept.camid.tolist()) == (
        features.path,
        features.pid.tolist(),
        features.camid.tolist(),
    )
    np.testing.assert_array_equal(kept.time, features.time)
    assert capfd.readouterr() == ('', '')


def test_conditions_mean_what_they_mean_elsewhere(served):
    features = people(200)
    where = [
        dict(),
        dict(camids=2),
        dict(camids=[]),
        dict(camids=[-1, 3]),
        dict(not_camids=[0, 1]),
        dict(not_camids=[]),
        dict(not_camids=[2**63]),
        dict(after=3.5),
        dict(before=-1e-7),
        dict(after=-20, before=1e30),
        dict(after=-math.inf),
        dict(before=-math.inf),
        dict(after=math.inf),
        dict(before=math.inf, camids=[0]),
        dict(camids=[1, 2], not_camids=[2], after=-30.0, before=30.0),
    ]
    with Gallery.create(served, DIMENSION) as gallery:
        ids = gallery.enroll(features)
        for conditions in where:
            mask = RecordFilter.of(**conditions).mask(ids, features.pid, features.camid, features.time)
            (found,) = gallery.search(features.embedding[:1], top_k=200, **conditions)
            assert {match.id for match in found} == set(ids[mask].tolist()), conditions
        assert gallery.pids() == {pid: int((features.pid == pid).sum()) for pid in range(-1, 5)}
        assert gallery.ids().tolist() == ids.tolist()
        assert gallery.known([features.path[3], 'x" or "" == "', 'b']).tolist() == [True, False, False]


def test_many_ids_take_several_expressions():
    expressions = milvus_expressions(RecordFilter.of(ids=range(2 * MOST_IDS + 1), pids=[-1], before=2.5))
    assert [expression.count(',') for expression in expressions] == [MOST_IDS - 1, MOST_IDS - 1, 0]
    assert expressions[-1] == f'id in [{2 * MOST_IDS}] and pid in [-1] and time < 2.5'
    assert milvus_expressions(RecordFilter.of(ids=[], pids=[1])) == []


def test_all_or_nothing(served, monkeypatch):
    monkeypatch.setattr(milvus_gallery, 'MESSAGE', 1000)
    with Gallery.create(served, DIMENSION) as gallery:
        assert len(set(gallery.enroll(people(40)).tolist())) == len(gallery) == 40
        insert, sizes = gallery._client.insert, []

        def failing(name, data, **more):
            sizes.append(len(data))
            if len(sizes) == 3:
                raise KeyboardInterrupt
            return insert(name, data=data, **more)

        monkeypatch.setattr(gallery._client, 'insert', failing)
        with pytest.raises(KeyboardInterrupt):
            gallery.enroll(people(40, seed=1))
        assert len(gallery) == 40 and len(sizes) == 3 and max(sizes) < 40


def test_threads_and_several_galleries_share_a_file(tmp_path):
    uri = str(tmp_path / 'people.db')
    with Gallery.create(uri, DIMENSION) as first, Gallery.create(f'{uri}#other', DIMENSION, 'hnsw') as other:
        second = Gallery.open(uri)
        threads = [
            threading.Thread(target=g.enroll, args=(people(30, seed),)) for seed, g in enumerate((first, second))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        second.close()
        second.close()
        assert (len(first), len(other)) == (60, 0)
        other.enroll(people(30, 7, model='def'))
        assert other.search(people(30, 7).embedding[:1], top_k=1)[0][0].distance == pytest.approx(0, abs=1e-6)
        assert (other.info()['collection'], other.info()['kind']) == ('other', 'Milvus')
    with pytest.raises(DataError, match='closed'):
        len(first)
    # With the last user gone, it is free for other processes.
    with (tmp_path / 'people.db' / 'LOCK').open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(DataError, match=r'people\.db: open in another process'):
            Gallery.open(uri)


def test_product_quantization_needs_a_server(server, tmp_path, monkeypatch):
    with pytest.raises(DataError, match='no product quantization'):
        Gallery.create(tmp_path / 'a.db', DIMENSION, 'ivfpq')
    assert milvus_gallery._index(GallerySettings(512, index='ivfpq'))['params']['m'] == 128
    assert milvus_gallery._index(GallerySettings(70, index='ivfpq'))['params']['m'] == 14
    assert milvus_gallery._index(GallerySettings(2, index='ivfpq'))['params']['m'] == 1
    features = people()
    with Gallery.create(f'{server}#quantized', DIMENSION, 'ivfpq') as gallery:
        gallery.enroll(features)
        search, asked = gallery._client.search, []

        def worse(name, limit, **more):
            asked.append((limit, more['search_params']))
            # As of rounded embeddings: in any order.
            return [hits[::-1] for hits in search(name, limit=limit, **more)]

        monkeypatch.setattr(gallery._client, 'search', worse)
        (found,) = gallery.search(features.embedding[:1], top_k=3)
        assert asked == [(3 * milvus_gallery.CANDIDATES + milvus_gallery.SPARE, dict(params=dict(nprobe=64)))]
        _, distances = random_people.nearest(features, features.embedding[0], 3)
        assert [match.distance for match in found] == pytest.approx(distances, abs=1e-6)


def test_what_milvus_cannot_hold(served):
    features = people(3)
    with Gallery.create(served, DIMENSION) as gallery:
        features.path[1] = 'ü' * 40_000
        with pytest.raises(DataError, match=r'row 1: .*80000.*65535'):
            gallery.enroll(features)
        features.path[1] = 'ü' * 32_000
        features.time[2] = math.inf
        with pytest.raises(DataError, match='row 2: time is infinite'):
            gallery.enroll(features)
        features.time[2] = 0
        assert len(gallery) == 0
        gallery.enroll(features)
        with pytest.raises(DataError, match=r'top_k=20000: .*16384'):
            gallery.search(features.embedding, top_k=20_000)
        with pytest.raises(DataError, match=r'\(2, 16\)|shape'):
            gallery.search(features.embedding[:, :3])
        with pytest.raises(DataError, match='of the model xyz'):
            gallery.enroll(people(3, model='xyz'))


def test_what_is_no_gallery(server, tmp_path, capfd):
    with pytest.raises(FileNotFoundError, match=r'no gallery .*none\.db'):
        Gallery.open(tmp_path / 'none.db')
    (tmp_path / 'old.db').write_bytes(b'SQLite')
    with pytest.raises(DataError, match=r'old\.db: Milvus Lite cannot open it'):
        Gallery.open(tmp_path / 'old.db')
    Gallery.create(f'{server}#taken', DIMENSION).close()
    with pytest.raises(FileExistsError, match='collection taken'):
        Gallery.create(f'{server}#taken', DIMENSION)
    with pytest.raises(FileNotFoundError, match=r'collection missing .*taken'):
        Gallery.open(f'{server}#missing')
    client = milvus_connection.connect(MilvusAddress.of(server))
    client.create_collection('foreign', dimension=4)
    with pytest.raises(DataError, match='none that mmosnet made'):
        Gallery.open(f'{server}#foreign')
    for text, message in (('{', 'damaged'), ('{"dimension": 4, "version": 99}', 'upgrade')):
        client.alter_collection_properties('foreign', {'mmosnet': text})
        with pytest.raises(DataError, match=message):
            Gallery.open(f'{server}#foreign')
    client.close()
    # Milvus and its client log tracebacks of all that.
    assert 'Traceback' not in ''.join(capfd.readouterr())


def test_addresses(monkeypatch):
    assert MilvusAddress.of('a.db') == MilvusAddress('a.db', 'mmosnet')
    assert MilvusAddress.of('http://h:1/base#x_1') == MilvusAddress('http://h:1/base', 'x_1')
    for wrong in ('a.db#', 'a.db#x y', 'a.db#1', 'a.db#a" or "', 'http://h:1#a#b'):
        with pytest.raises(DataError, match='letters, digits and underscores'):
            MilvusAddress.of(wrong)
    with pytest.raises(DataError, match='MMOSNET_MILVUS_TOKEN') as error:
        Gallery.open('http://root:secret@h:19530')
    assert 'secret' not in str(error.value)
    with pytest.raises(DataError, match=r'http://127\.0\.0\.1:1: '):
        Gallery.open('http://127.0.0.1:1')
    given = []
    monkeypatch.setattr('pymilvus.MilvusClient', lambda *args, **more: given.append((args, more)))
    monkeypatch.setenv('MMOSNET_MILVUS_TOKEN', 'root:secret')
    milvus_connection.connect(MilvusAddress.of('https://h:19530#x'))
    assert given[0][0] == ('https://h:19530',) and given[0][1]['token'] == 'root:secret'
    monkeypatch.setitem(sys.modules, 'pymilvus', None)
    with pytest.raises(DataError, match='pymilvus'):
        Gallery.create('a.db')


NOT_LOADED = MilvusException(101, 'collection not loaded[collection=7]')
UNREACHED = MilvusException(grpc.StatusCode.UNAVAILABLE, 'x, failed to connect to all addresses, debug=UNKNOWN:{...}')
BROKEN_OFF = MilvusException(grpc.StatusCode.UNAVAILABLE, 'x, Socket closed, channel_state=IDLE')
CALLS = dict(
    query=len,
    search=lambda gallery: gallery.search(people(3).embedding, 5),
    insert=lambda gallery: gallery.enroll(people(5, seed=9)),
    delete=lambda gallery: gallery.delete(pid=2),
    alter_collection_properties=lambda gallery: gallery.set_threshold(0.5),
    query_iterator=lambda gallery: gallery.ids(),
    describe_collection=lambda gallery: gallery.enroll(people(5, seed=9)),
    flush=lambda gallery: gallery.compact(),
    get_server_version=lambda gallery: gallery.info(),
)


class Failing:
    """A method of the client that fails a number of times, before or after it takes effect."""

    def __init__(self, client, name, error, times, after=False):
        self.method, self.error, self.times, self.after = getattr(client, name), error, times, after
        self.calls = self.done = 0

    def __call__(self, *arguments, **named):
        self.calls += 1
        if self.calls > self.times or self.after:
            answer = self.method(*arguments, **named)
            self.done += 1
        if self.calls <= self.times:
            raise self.error
        return answer


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(milvus_connection, 'PAUSE', 0.01)
    monkeypatch.setattr(milvus_connection, 'RESTART_TIMEOUT', 0.2)


@pytest.mark.parametrize('error', [NOT_LOADED, UNREACHED], ids=['not loaded', 'not reached'])
@pytest.mark.parametrize('name', CALLS)
def test_a_server_that_starts_is_waited_for(server, monkeypatch, impatient, name, error):
    with Gallery.create(f'{server}#starts_{name}_{error.message[0]}', DIMENSION) as gallery:
        gallery.enroll(people(20))
        pids = people(20).pid
        failing = Failing(gallery._client, name, error, 3)
        loaded = Failing(gallery._client, 'load_collection', error, 1)
        monkeypatch.setattr(gallery._client, name, failing)
        monkeypatch.setattr(gallery._client, 'load_collection', loaded)
        CALLS[name](gallery)
        assert failing.calls >= 4 and loaded.calls == 3
        # Once and wholly.
        enrolled = 5 if name in ('insert', 'describe_collection') else 0
        assert len(gallery) == 20 + enrolled - ((pids == 2).sum() if name == 'delete' else 0)
        assert gallery.threshold == (0.5 if name == 'alter_collection_properties' else None)


@pytest.mark.parametrize('name', CALLS)
def test_a_server_that_never_starts_ends_in_one_error(server, monkeypatch, impatient, name):
    with Gallery.create(f'{server}#never_{name}', DIMENSION) as gallery:
        gallery.enroll(people(20))
        monkeypatch.setattr(gallery._client, name, Failing(gallery._client, name, NOT_LOADED, 10**9))
        start = time.monotonic()
        with pytest.raises(DataError, match=r'Milvus: collection not loaded\[collection=7\]$'):
            CALLS[name](gallery)
        assert 0.1 < time.monotonic() - start < 5
        monkeypatch.undo()
        assert len(gallery) == 20


def test_images_are_never_sent_twice(served, monkeypatch, impatient):
    with Gallery.create(served, DIMENSION) as gallery:
        gallery.enroll(people(20))
        # Whether they arrived is not known.
        failing = Failing(gallery._client, 'insert', BROKEN_OFF, 1, after=True)
        monkeypatch.setattr(gallery._client, 'insert', failing)
        with pytest.raises(DataError, match=r'5 images') as error:
            gallery.enroll(people(5, seed=9))
        assert failing.done == 1 and 'channel_state' not in str(error.value)
        # A mistake is no reason to wait.
        mistake = Failing(gallery._client, 'query', MilvusException(1100, 'no such field'), 10**9)
        monkeypatch.setattr(gallery._client, 'query', mistake)
        with pytest.raises(DataError, match='no such field'):
            len(gallery)
        assert mistake.calls == 1


def test_first_features_that_fail_leave_no_model(served, monkeypatch):
    with Gallery.create(served, DIMENSION) as gallery:
        for name in ('insert', 'alter_collection_properties'):
            failing = Failing(gallery._client, name, MilvusException(1100, 'no'), 10**9)
            with monkeypatch.context() as patched:
                patched.setattr(gallery._client, name, failing)
                with pytest.raises(DataError):
                    gallery.enroll(people(5))
            assert len(gallery) == 0 and gallery.model == ''
        gallery.enroll(people(5, model='other'))
        assert gallery.model == 'other'


@pytest.mark.parametrize('kind', ['ivfpq', 'hnsw'])
def test_a_search_that_finds_too_few_looks_everywhere(server, monkeypatch, kind):
    with Gallery.create(f'{server}#few_{kind}', DIMENSION, kind) as gallery:
        gallery.enroll(people(60))
        search, asked = gallery._client.search, []

        def short(name, **more):
            asked.append(more['search_params']['params'])
            found = search(name, **more)
            return [hits[:2] for hits in found] if len(asked) == 1 else found

        monkeypatch.setattr(gallery._client, 'search', short)
        assert [len(found) for found in gallery.search(people(3).embedding, 10)] == [10, 10, 10]
        assert asked[1:] == [milvus_gallery.WIDEST[kind]]
        # There are no more.
        asked.clear()
        where = dict(camids=3, before=0.0)
        there = RecordFilter.of(**where)
        features = people(60)
        few = there.mask(np.arange(60), features.pid, features.camid, features.time).sum()
        assert len(gallery.search(features.embedding[:1], 40, **where)[0]) == few


def test_collections_without_names_take_none(tmp_path, monkeypatch):
    uri = str(tmp_path / 'people.db')
    with monkeypatch.context() as patch:
        patch.setattr(milvus_gallery, 'TEXTS', ())
        patch.setattr(milvus_gallery, 'TRACK_FIELDS', ())
        Gallery.create(uri, DIMENSION).close()
    features = people(4)
    with Gallery.open(uri) as gallery:
        ids = gallery.enroll(features)
        assert gallery.search(features.embedding[:1], 1)[0][0].id == ids[0] and gallery.known(features.path).all()
        for change in (dict(pid=['a', 'b', 'c', 'd']), dict(source='edge')):
            named = Features(**vars(features) | dict(names={}) | change)
            with pytest.raises(DataError, match='export'):
                gallery.enroll(named)
        assert len(gallery) == 4


def test_collections_of_version_2_take_no_tracks(tmp_path, monkeypatch):
    uri = str(tmp_path / 'people.db')
    with monkeypatch.context() as patch:
        patch.setattr(milvus_gallery, 'TRACK_FIELDS', ())
        Gallery.create(uri, DIMENSION).close()
    features, pooled = people(4), random_people.tracks(4, DIMENSION)
    with Gallery.open(uri) as gallery:
        ids = gallery.enroll(features)
        assert gallery.records(ids)[0].frames == 1 and gallery.info()['pooled'] == 0
        assert gallery.enroll(features, skip_known=True).size == 0 and gallery.delete(track='7') == 0
        with pytest.raises(DataError, match='export'):
            gallery.enroll(pooled)
        with pytest.raises(DataError, match='attributes=hat'):
            gallery.search(features.embedding[:1], attributes='hat')
        assert len(gallery) == 4


def test_texts_beyond_the_limits_of_milvus(tmp_path):
    with Gallery.create(str(tmp_path / 'people.db'), DIMENSION) as gallery:
        for change in (
            dict(track='t' * 70_000),
            dict(attributes=[['a' * 1025]]),
            dict(attributes=[[f'a{number}' for number in range(1025)]]),
        ):
            with pytest.raises(DataError, match=r'65535|1024'):
                gallery.enroll(Features(**vars(people(1)) | change))
        assert len(gallery) == 0


def test_two_names_with_one_number_are_seen(tmp_path, monkeypatch):
    """Two machines that enroll at the same time may give one number to two names."""
    with Gallery.create(str(tmp_path / 'people.db'), DIMENSION) as gallery:
        first = gallery.enroll(Features(**vars(people(1)) | dict(pid=['anna'], names={})))
        monkeypatch.setattr(type(gallery), '_used', lambda gallery, key: [])
        monkeypatch.setattr(type(gallery), '_names', lambda gallery, key: {})
        gallery.enroll(Features(**vars(people(1, seed=1)) | dict(pid=['bob'], names={})))
        monkeypatch.undo()
        for ask in (lambda: gallery.names, lambda: gallery.delete(pid=1)):
            with pytest.raises(DataError, match=r"'anna' and 'bob'|'bob' and 'anna'"):
                ask()
        assert gallery.delete(ids=first) == 1 and gallery.names['pid'] == {1: 'bob'}
