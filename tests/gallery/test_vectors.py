from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.gallery import Gallery
from mmosnet.gallery import faiss as faiss_gallery
from mmosnet.gallery.faiss import FaissGallery
from mmosnet.gallery.vectors import VectorIndex, file_checksum
from tests.gallery.random_people import nearest, people


@pytest.fixture(autouse=True)
def early(monkeypatch):
    """Let galleries have an index from 300 images on instead of 10,000, and always use it."""
    monkeypatch.setattr(FaissGallery, 'index_from', 300)
    monkeypatch.setattr(FaissGallery, 'exact_up_to', 0)


def make(tmp_path, kind, number=600, dimension=16, **settings):
    gallery = Gallery.create(tmp_path / kind, dimension, kind, **settings)
    gallery.enroll(people(number, dimension))
    return gallery


def recall(gallery, features, conditions, wanted):
    """Return the share of the 10 nearest images in the results; check that distances are exact."""
    queries = people(20, 16, seed=1).embedding
    hits = 0
    for query, matches in zip(queries, gallery.search(queries, 10, **conditions), strict=True):
        rows, _ = nearest(features, query, 10, gallery.distance, wanted)
        assert len(matches) == len(rows)
        found = [match.id for match in matches]
        exact = nearest(features[found], query, 10, gallery.distance)[1]
        np.testing.assert_allclose([match.distance for match in matches], exact, atol=1e-5)
        assert np.isin(found, np.flatnonzero(wanted)).all()
        hits += len(set(found) & set(rows.tolist()))
    return hits / 200


@pytest.mark.parametrize(('kind', 'distance'), [('ivfpq', 'cosine'), ('hnsw', 'euclidean')])
def test_recall_with_deletions_filters_and_rows_beyond_the_index(tmp_path, kind, distance):
    gallery = make(tmp_path, kind, distance=distance)
    features = people(600, 16)
    wanted = np.ones(600, bool)
    assert gallery.info()['indexed'] == 600
    assert recall(gallery, features, {}, wanted) > 0.9
    wanted &= features.pid != 3
    gallery.delete(pid=3)
    assert recall(gallery, features, {}, wanted) > 0.9
    later = people(200, 16, seed=2)
    # Not enough to write the index anew: compared one by one.
    gallery.enroll(later)
    assert gallery.info()['indexed'] == 600
    both = type(features).concat([features, later])
    wanted = np.concatenate([wanted, np.ones(200, bool)])
    assert recall(gallery, both, {}, wanted) > 0.9
    for conditions, mask in (
        (dict(camids=[1, 2]), np.isin(both.camid, [1, 2])),
        (dict(after=10, before=13), (both.time >= 10) & (both.time < 13)),
        (dict(camids=99), np.zeros(800, bool)),
    ):
        assert mask.sum() == 0 or recall(gallery, both, conditions, wanted & mask) > 0.9
    # The filters leave fewer than are asked for: all of them are found.
    few = wanted & (both.camid == 0) & (both.time == 7)
    assert 0 < few.sum() < 100
    (found,) = gallery.search(later.embedding[:1], 100, camids=0, after=7, before=7.5)
    assert sorted(match.id for match in found) == np.flatnonzero(few).tolist()
    before = {match.path for match in gallery.search(later.embedding[:1], 5)[0]}
    gallery.compact()
    info = gallery.info()
    assert info['indexed'] == info['images'] == wanted.sum() and info['deleted'] == 0
    assert {match.path for match in gallery.search(later.embedding[:1], 5)[0]} == before
    assert len(list(gallery.folder.glob('index-*'))) == len(list(gallery.folder.glob('vectors-*'))) == 1


def test_the_index_comes_grows_and_is_trained_anew(tmp_path, monkeypatch):
    trained = []
    train = VectorIndex.train.__func__

    def counted(cls, kind, vectors):
        trained.append(len(vectors))
        return train(cls, kind, vectors)

    monkeypatch.setattr(VectorIndex, 'train', classmethod(counted))
    gallery = make(tmp_path, 'ivfpq', 299)
    assert gallery.info()['indexed'] == 0 and trained == []
    for seed, (number, indexed) in enumerate([(1, 300), (200, 300), (150, 650), (600, 1250)], 5):
        gallery.enroll(people(number, 16, seed))
        assert gallery.info()['indexed'] == indexed
        assert gallery.search(people(number, 16, seed).embedding[-1:], 1)[0][0].id == len(gallery) - 1
    # At four times as many.
    assert trained == [300, 1250]


@pytest.mark.parametrize('kind', ['ivfpq', 'hnsw'])
@pytest.mark.parametrize('damage', ['cut', 'noise', 'gone', 'other'])
def test_a_damaged_index_is_named_and_made_anew(tmp_path, kind, damage):
    gallery = make(tmp_path, kind, 300)
    gallery.close()
    (path,) = gallery.folder.glob('index-*')
    data = path.read_bytes()
    if damage == 'gone':
        path.unlink()
    elif damage == 'other':
        other = make(tmp_path / 'other', kind, 310)
        path.write_bytes(next(other.folder.glob('index-*')).read_bytes()[: len(data)])
    else:
        path.write_bytes(data[:-100] if damage == 'cut' else os.urandom(len(data)))
    with Gallery.open(gallery.uri) as gallery:
        with pytest.warns(RuntimeWarning, match=r'index-0001-300.faiss: damaged: '):
            (found,) = gallery.search(np.ones((1, 16)))
        # By comparing with every image.
        assert [match.id for match in found] == nearest(people(300, 16), np.ones(16), 10)[0].tolist()
        assert list(gallery.check().files) == ['gallery.sqlite', 'vectors-0001.f32', path.name]
        assert gallery.check().files[path.name] and not gallery.check().is_sound
        # Enrolling goes on; what cannot be extended is said.
        with pytest.warns(RuntimeWarning, match='the index was not brought up to date'):
            gallery.enroll(people(300, 16, seed=1))
        assert len(gallery) == 600
        gallery.compact()
        assert gallery.check().is_sound
        assert len(gallery.search(np.ones((1, 16)), 600)[0]) == 600


@pytest.mark.parametrize('kind', ['ivfpq', 'hnsw'])
def test_a_flipped_bit_of_an_index_is_noticed(tmp_path, kind):
    gallery = make(tmp_path, kind, 300)
    gallery.close()
    (path,) = gallery.folder.glob('index-*')
    data = bytearray(path.read_bytes())
    for place in range(0, len(data), len(data) // 20):
        data[place] ^= 16
        path.write_bytes(data)
        with Gallery.open(gallery.uri) as opened, pytest.warns(RuntimeWarning, match='damaged'):
            opened.search(np.ones((1, 16)))
        data[place] ^= 16


@pytest.mark.parametrize('kind', ['ivfpq', 'hnsw'])
def test_an_index_that_claims_terabytes_is_refused(tmp_path, kind):
    """A hostile index comes with a valid checksum."""
    gallery = make(tmp_path, kind, 300)
    gallery.close()
    (path,) = gallery.folder.glob('index-*')
    data = bytearray(path.read_bytes())
    # Sizes of FAISS's arrays are 64-bit numbers.
    sizes = [at for at in range(len(data) - 8) if 0 < int.from_bytes(data[at : at + 8], 'little') < len(data)]
    opened = Gallery.open(gallery.uri)
    for at in sizes[:40]:
        path.write_bytes(data[:at] + (2**43).to_bytes(8, 'little') + data[at + 8 :])
        state = replace(opened._view().state, index_checksum=file_checksum(path))
        opened._table.save_state(state)
        try:
            opened._load_index(state, mapped=False)
        except DataError as e:
            assert path.name in str(e)
    opened.close()


def test_a_disc_that_is_full_while_the_index_is_written(tmp_path, monkeypatch):
    def full(index, path):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(VectorIndex, 'save', full)
    with pytest.warns(RuntimeWarning, match=r'No space left on device'):
        gallery = make(tmp_path, 'hnsw')
    assert len(gallery) == 600 and gallery.info()['indexed'] == 0
    assert len(gallery.search(np.ones((1, 16)), 600)[0]) == 600
    monkeypatch.undo()
    monkeypatch.setattr(FaissGallery, 'index_from', 300)
    gallery.enroll(people(1, 16, seed=1))
    assert gallery.info()['indexed'] == 601


def test_a_reader_keeps_up_with_a_new_index(tmp_path):
    gallery = make(tmp_path, 'hnsw', 310)
    with Gallery.open(gallery.uri) as reader:
        query = people(1, 16, seed=3).embedding
        assert reader.search(query) == gallery.search(query)
        gallery.enroll(people(400, 16, seed=1))
        gallery.compact()
        assert reader.search(query) == gallery.search(query)
        assert reader.info()['indexed'] == 710


@pytest.mark.parametrize('dimension', [1, 7, 24])
def test_any_dimension_can_be_indexed(tmp_path, dimension):
    gallery = make(tmp_path, 'ivfpq', 300, dimension, distance='euclidean')
    query = people(2, dimension, seed=4).embedding
    assert [len(matches) for matches in gallery.search(query, 10)] == [10, 10]


@pytest.mark.parametrize('kind', ['exact', 'ivfpq', 'hnsw'])
@pytest.mark.parametrize('more', ['', 'compact', 'enroll'])
def test_what_another_process_deletes_amid_a_search_makes_room_for_others(tmp_path, monkeypatch, kind, more):
    gallery = make(tmp_path, kind, 400)
    features = people(400, 16)
    queries = people(3, 16, seed=1).embedding
    asked = []

    def delete_then(ids, read=gallery._records):
        # Between candidates and records, for as long as others may write.
        if len(asked) < faiss_gallery.ATTEMPTS - 1:
            with Gallery.open(gallery.uri) as other:
                other.delete(ids=ids[:2])
                if more == 'enroll':
                    other.enroll(people(1, 16, seed=len(asked) + 7))
                elif more:
                    other.compact()
        asked.append(ids)
        return read(ids)

    monkeypatch.setattr(gallery, '_records', delete_then)
    found = gallery.search(queries, 10)
    assert len(asked) == faiss_gallery.ATTEMPTS
    left = set(gallery.ids().tolist())
    assert [len({match.id for match in matches}) for matches in found] == [10, 10, 10]
    if kind == 'exact' and not more:
        rest = np.isin(np.arange(400), list(left))
        assert [m.id for m in gallery.search(queries, 10)[0]] == nearest(features, queries[0], 10, wanted=rest)[
            0
        ].tolist()
    assert len(gallery.search(queries, 1000)[0]) == len(left)
