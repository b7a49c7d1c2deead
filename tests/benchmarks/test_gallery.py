import json

import numpy as np
import pytest

from benchmarks import gallery as benchmark
from benchmarks.gallery import RESULT, GalleryBenchmark, measure_galleries, random_features
from mmosnet.gallery import Gallery


@pytest.fixture(params=['galleries', 'people.db#mine'])
def place(request, tmp_path, monkeypatch):
    """A place of each back end."""
    monkeypatch.setattr(benchmark, 'FOLDER_STEP', 100)
    monkeypatch.setattr(benchmark, 'MILVUS_STEP', 100)
    return str(tmp_path / request.param)


def test_it_goes_on_and_measures(place):
    told = []
    assert not GalleryBenchmark(place, 'exact', 250, 16).build(0, told.append)
    measured = GalleryBenchmark(place, 'exact', 250, 16)
    assert measured.build(60, told.append) and told == [100, 200, 250]
    result = measured.search(12)
    assert (result.recall, result.camera_recall) == (1, 1)
    assert min(result.build_seconds, result.file_bytes, result.single, result.batch, result.camera_single) > 0
    with Gallery.open(measured.uri) as gallery:
        gallery.delete(ids=gallery.ids()[::2])
    assert 0.2 < measured.search(12).recall < 0.8


def test_the_nearest_are_those_of_the_definition(place):
    queries = random_features(0, 3, 16, queries=True).embedding
    images = random_features(0, 250, 16)
    cosine = queries @ images.embedding.T / np.linalg.norm(images.embedding, axis=1)
    measured = GalleryBenchmark(place, 'exact', 250, 16)
    for found, camids in zip(measured.nearest(queries, [range(8), [7]]), (range(8), [7]), strict=True):
        rows = np.argsort(-np.where(np.isin(images.camid, camids), cosine, -2), axis=1)[:, :10]
        assert found == [[images.path[row] for row in line] for line in rows]


def test_an_index_that_may_miss_some(place):
    measured = GalleryBenchmark(place, 'hnsw', 300, 16)
    assert measured.build(60, lambda rows: None) and measured.search(5).recall > 0.9


def test_a_table_of_all_kinds_and_what_to_do_when_the_time_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, 'FOLDER_STEP', 500)
    monkeypatch.setattr('mmosnet.gallery.faiss.FaissGallery.index_from', 600)
    monkeypatch.setattr('mmosnet.gallery.faiss.FaissGallery.exact_up_to', 200)
    arguments = (str(tmp_path), ['exact', 'hnsw'], 1000, 32, 8)
    assert 'seconds are over' in measure_galleries(*arguments, seconds=0)
    told = []
    output = measure_galleries(*arguments, say=told.append)
    assert told == [f'{kind}: {rows} enrolled' for kind in ('exact', 'hnsw') for rows in ('500', '1,000')]
    titles, _, exact, hnsw = ([cell.strip() for cell in line.split('|')] for line in output.splitlines())
    assert exact[:2] == ['exact', '1,000 x 32'] and hnsw[0] == 'hnsw'
    found = dict(zip(titles, exact, strict=True))
    assert found['recall@10'] == found['recall@10, 1 camera of 8'] == '1.0000'
    assert float(dict(zip(titles, hnsw, strict=True))['recall@10']) > 0.9
    stored = json.loads((tmp_path / 'hnsw-1000x32' / RESULT).read_text())
    assert stored['vectors'] == 1000 and stored['single'] > 0 and stored['build_seconds'] > 0


def test_random_rows_do_not_depend_on_how_many_are_asked_for():
    whole = random_features(0, 1100, 8)
    part = random_features(1020, 1030, 8)
    np.testing.assert_allclose(whole.embedding[1020:1030], part.embedding, rtol=1e-5)
    assert part.path == whole.path[1020:1030] and part.camid.tolist() == whole.camid[1020:1030].tolist()
