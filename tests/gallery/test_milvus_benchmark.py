import numpy as np

from mmosnet.gallery import Gallery, milvus_benchmark
from mmosnet.gallery.drawn_vectors import drawn_features
from mmosnet.gallery.milvus_benchmark import MilvusBenchmark


def test_it_goes_on_and_measures(tmp_path, monkeypatch):
    monkeypatch.setattr(milvus_benchmark, 'STEP', 100)
    place = tmp_path / 'people.db'
    told = []
    assert not MilvusBenchmark(f'{place}#mine', 'exact', 250, 16).build(0, told.append)
    measured = MilvusBenchmark(str(place), 'exact', 250, 16)
    assert measured.build(60, told.append) and told == [100, 200, 250]
    result = measured.search(12)
    assert (result.recall, result.camera_recall) == (1, 1)
    assert min(result.build_seconds, result.file_bytes, result.single, result.batch, result.camera_single) > 0
    # The truth is that of the definition.
    queries = drawn_features(0, 3, 16, queries=True).embedding
    drawn = drawn_features(0, 250, 16)
    cosine = queries @ drawn.embedding.T / np.linalg.norm(drawn.embedding, axis=1)
    nearest = np.argsort(-cosine, axis=1)[:, :10]
    assert measured._nearest(queries, range(8)) == [[drawn.path[row] for row in rows] for rows in nearest]
    with Gallery.open(measured.uri) as gallery:
        gallery.delete(ids=gallery.ids()[::2])
    assert 0.2 < measured.search(12).recall < 0.8


def test_an_index_that_may_miss_some(tmp_path):
    measured = MilvusBenchmark(str(tmp_path / 'people.db'), 'hnsw', 300, 16)
    assert measured.build(60, lambda rows: None) and measured.search(5).recall > 0.9
