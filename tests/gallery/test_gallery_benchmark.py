import json

from mmosnet.gallery.gallery_benchmark import GalleryBenchmark, benchmark_table


def test_it_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr('mmosnet.gallery.gallery_benchmark.STEP', 500)
    monkeypatch.setattr('mmosnet.gallery.faiss_gallery.FaissGallery.index_from', 600)
    monkeypatch.setattr('mmosnet.gallery.faiss_gallery.FaissGallery.exact_up_to', 200)
    told, results = [], []
    for index in ('exact', 'hnsw'):
        folder = tmp_path / index
        assert not GalleryBenchmark(folder, index, 1000, 32).build(0, told.append)
        measured = GalleryBenchmark(folder, index, 1000, 32)
        assert measured.build(60, told.append)
        results.append(measured.search(8))
    assert told == [500, 1000] * 2
    titles, _, *rows = ([cell.strip() for cell in line.split('|')] for line in benchmark_table(results).splitlines())
    exact, hnsw = (dict(zip(titles, row, strict=True)) for row in rows)
    assert exact['index'] == 'exact' and exact['vectors'] == '1,000 x 32' and hnsw['index'] == 'hnsw'
    assert exact['recall@10'] == exact['recall@10, 1 camera of 8'] == '1.0000' and float(hnsw['recall@10']) > 0.9
    stored = json.loads((tmp_path / 'hnsw' / 'benchmark.json').read_text())
    assert stored['vectors'] == 1000 and stored['single'] > 0 and stored['build_seconds'] > 0
