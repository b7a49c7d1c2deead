import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmosnet.errors import DataError
from mmosnet.evaluation import distances
from mmosnet.evaluation.distances import check_features, chunks, nearest_images, pairwise_distance


def test_pairwise_distance_of_a_drawn_triangle():
    query, gallery = torch.tensor([[0.0, 0.0], [3.0, 0.0]]), torch.tensor([[3.0, 4.0]])
    assert pairwise_distance(query, gallery).tolist() == [[25.0], [16.0]]
    assert pairwise_distance(query[1:], gallery, 'cosine').item() == pytest.approx(1 - 3 / 5)
    with pytest.raises(ValueError, match='choose from euclidean, cosine'):
        pairwise_distance(query, gallery, 'l1')


@pytest.mark.parametrize('num_rows, row_length', [(10, 3), (1, 10**9), (7, 1), (0, 5)])
def test_chunks_cover_all_rows_once(monkeypatch, num_rows, row_length):
    monkeypatch.setattr(distances, 'CHUNK_ELEMENTS', 12)
    ranges = list(chunks(num_rows, row_length))
    assert [row for start, stop in ranges for row in range(start, stop)] == list(range(num_rows))
    assert all(stop - start == 1 or (stop - start) * row_length <= 12 for start, stop in ranges)


@pytest.mark.parametrize('sampling', [1, 3, 16])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_nearest_images_are_those_of_a_stable_sort(sampling, data):
    # Few whole numbers: distances are exact, and most of them tied.
    def images(count):
        numbers = st.lists(st.integers(-2, 2), min_size=2, max_size=2)
        return torch.tensor(data.draw(st.lists(numbers, min_size=count, max_size=count))).float()

    query, gallery = images(data.draw(st.integers(1, 4))), images(data.draw(st.integers(1, 15)))
    k = data.draw(st.integers(1, 17))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, 'SAMPLING', sampling)
        indices, farthest = nearest_images(query, gallery, k)
    distmat = pairwise_distance(query, gallery)
    assert torch.equal(indices, distmat.sort(dim=1, stable=True).indices[:, :k])
    assert torch.equal(farthest, distmat.amax(1))


@pytest.mark.parametrize('chunk', [1, 300, 10**6])
def test_nearest_images_of_any_chunk(monkeypatch, chunk):
    monkeypatch.setattr(distances, 'CHUNK_ELEMENTS', chunk)
    torch.manual_seed(0)
    query, gallery = torch.randn(20, 8), torch.randn(100, 8)
    indices, _ = nearest_images(query, gallery, 7, 'cosine')
    assert torch.equal(indices, pairwise_distance(query, gallery, 'cosine').argsort(1)[:, :7])


@pytest.mark.parametrize('kind', ['random', 'rounded', 'constant', 'infinite'])
@pytest.mark.parametrize('k', [1, 3, 12])
def test_both_ways_to_the_smallest_are_a_stable_sort(kind, k):
    torch.manual_seed(0)
    distmat = dict(
        random=torch.rand(9, 200),
        rounded=torch.randint(0, 4, (9, 200)).float(),
        constant=torch.ones(9, 200),
        infinite=torch.rand(9, 200).masked_fill(torch.rand(9, 200) < 0.95, torch.inf),
    )[kind]
    expected = distmat.sort(dim=1, stable=True).indices[:, :k]
    assert torch.equal(distances._smallest_below_bound(distmat, k), expected)
    assert torch.equal(distances._smallest(distmat, k), expected)


def test_products_of_both_libraries():
    torch.manual_seed(0)
    query, gallery = torch.randn(5, 7), torch.randn(9, 7)
    single, double = (pairwise_distance(query.to(t), gallery.to(t)) for t in (torch.float32, torch.float64))
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    assert torch.allclose(single.double(), double, atol=1e-5)
    assert torch.allclose(double, torch.cdist(query.double(), gallery.double()).square())


def test_what_cannot_be_compared_is_named():
    with pytest.raises(DataError, match='the gallery set is empty'):
        check_features('gallery', torch.empty(0, 4))
    with pytest.raises(DataError, match=r'2 of 9000 query embeddings hold .* numbers, the first at index 5000'):
        check_features('query', torch.ones(9000, 2).index_fill_(0, torch.tensor([5000, 8999]), -torch.inf))
    with pytest.raises(DataError, match=r'1 of 3 query embeddings hold .* numbers, the first at index 1'):
        check_features('query', torch.tensor([[1.0], [torch.nan], [2.0]]))
