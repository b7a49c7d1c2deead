from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmosnet.errors import DataError
from mmosnet.evaluation import distances
from mmosnet.evaluation.distances import (
    QueryExpansion,
    check_features,
    chunks,
    expand_queries,
    nearest_images,
    normalize,
    pairwise_distance,
)


def test_pairwise_distance_of_a_triangle():
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


def by_definition(query, gallery, distance='euclidean'):
    """Distances in double precision, without products of the two."""
    query, gallery = query.double(), gallery.double()
    if distance == 'cosine':
        query, gallery = (x / x.norm(dim=1, keepdim=True) for x in (query, gallery))
    squares = torch.stack([(gallery - x).square().sum(1) for x in query])
    return squares / 2 if distance == 'cosine' else squares


# A vector is rounded to 26 bits of its length, large numbers to 24 bits of their own, so each end of a difference moves
# by less than 2 ** -24 of its length times the root of D / 4. Relative to the distance, times 2 for its square, and as
# much again for rounding to float32.
def tolerance(size, length_by_distance=1.0):
    return 4 * 2.0**-24 * (1 + length_by_distance * size**0.5 / 2)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize('distance', ['euclidean', 'cosine'])
def test_distances_against_their_definition(dtype, distance):
    torch.manual_seed(0)
    query, gallery = torch.randn(5, 70).to(dtype), torch.randn(9, 70).to(dtype)
    found = pairwise_distance(query, gallery, distance)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    expected = by_definition(query, gallery, distance)
    torch.testing.assert_close(found.double(), expected, rtol=tolerance(70), atol=0)


@pytest.mark.parametrize('exponent', [-140, -70, -50, 12, 60, 100, 120])
@pytest.mark.parametrize('distance', ['euclidean', 'cosine'])
def test_features_of_any_size_are_compared(exponent, distance):
    torch.manual_seed(0)
    query, gallery = torch.randn(5, 32), torch.randn(400, 32)
    # float32 has fewer digits below 2 ** -126.
    factor, digits = 2.0 ** max(exponent, -100), 2.0 ** min(0, exponent + 100)
    query, gallery = (x * factor * digits for x in (query, gallery))
    expected = by_definition(query, gallery, distance)
    found = pairwise_distance(query, gallery, distance)
    torch.testing.assert_close(found.double(), expected, rtol=tolerance(32), atol=0)
    indices, _ = nearest_images(query, gallery, 400, distance)
    assert torch.equal(indices, expected.argsort(1))


def test_half_precision_with_long_vectors():
    """Squares of lengths from 256 on are infinite in half precision."""
    torch.manual_seed(0)
    features = (100 * torch.randn(20, 64)).half()
    for distance in ('euclidean', 'cosine'):
        expected = by_definition(features, features, distance)
        found = pairwise_distance(features, features, distance).double()
        torch.testing.assert_close(found, expected, rtol=tolerance(64), atol=0)


def test_one_image_far_away_costs_the_others_no_digits():
    torch.manual_seed(0)
    query, gallery = torch.randn(4, 16), torch.randn(50, 16)
    gallery[7] *= 1e15
    expected = by_definition(query, gallery)
    torch.testing.assert_close(pairwise_distance(query, gallery).double(), expected, rtol=tolerance(16), atol=0)


@pytest.mark.parametrize(('size', 'outlier'), [(1e-12, 1e30), (1e-10, 1e36), (1e-30, 1e38)])
def test_distances_are_never_negative(size, outlier):
    features = torch.cat([torch.randn(200, 64) * size, torch.full((1, 64), outlier)])
    found = pairwise_distance(features, features)
    assert (found >= 0).all() and (found.diagonal() == 0).all() and found[:-1, -1].isfinite().all()


def test_cosine_distances_end_at_2():
    features = torch.randn(300, 7)
    assert pairwise_distance(features, -features, 'cosine').max() == 2


@pytest.mark.parametrize('offset', [0, 3000, -1e6])
def test_what_all_embeddings_share_costs_no_digits(offset):
    torch.manual_seed(0)
    query, gallery = torch.randn(20, 64) + offset, torch.randn(300, 64) + offset
    expected = by_definition(query, gallery)
    torch.testing.assert_close(pairwise_distance(query, gallery).double(), expected, rtol=tolerance(64), atol=0)


@pytest.mark.parametrize('offset', [0, 3000.0, 2.0**20])
@pytest.mark.parametrize('spread', [1, 5, 1000])
def test_whole_numbers_have_exact_distances(offset, spread):
    torch.manual_seed(0)
    query, gallery = (torch.randint(-spread, spread + 1, (n, 48)) + offset for n in (20, 300))
    exact = (query.long()[:, None] - gallery.long()).square().sum(2)
    assert torch.equal(pairwise_distance(query, gallery), exact.float())


@pytest.mark.parametrize('distance', ['euclidean', 'cosine'])
def test_within_a_gallery_a_distance_depends_on_its_two_images_alone(monkeypatch, distance):
    """The same bits for equal images, from either side, in any batch and any block, with any number of threads."""
    torch.manual_seed(0)
    features = torch.randn(90, 96) * torch.logspace(-3, 3, 90)[:, None] + 5
    features = torch.cat([features, features[::3], features[::9]])
    whole = pairwise_distance(features, features, distance)
    assert torch.equal(whole, whole.T)
    assert (whole.diagonal() == 0).all()
    for step, copies in ((3, slice(90, 120)), (9, slice(120, 130))):
        assert torch.equal(whole[:, copies], whole[:, :90:step])
    prepared = distances.FeatureDistances(features, features, distance)
    assert torch.equal(torch.cat([prepared.rows(i, i + 1) for i in range(130)]), whole)
    i, j = torch.randint(0, 130, (2, 1000))
    assert torch.equal(prepared.pairs(i, j), whole[i, j])
    assert torch.equal(prepared.part(slice(5, 50), slice(100, None)).rows(3, 9), whole[8:14, 100:])
    monkeypatch.setattr(distances, 'BLOCK_QUERIES', 17)
    monkeypatch.setattr(distances, 'BLOCK_IMAGES', 23)
    monkeypatch.setattr(distances, 'PART', 3)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(threads, 2))
        assert torch.equal(pairwise_distance(features, features, distance), whole)
    finally:
        torch.set_num_threads(threads)


def test_vectors_of_zeros():
    query, gallery = torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    assert pairwise_distance(query, gallery, 'cosine').tolist() == [[1, 1, 1], [1, 1, 0]]
    assert pairwise_distance(query, gallery).tolist() == [[0, 4, 9], [1, 5, 4]]
    assert pairwise_distance(query[:1], query[:1]).tolist() == [[0]]
    assert pairwise_distance(query[:0], gallery).shape == (0, 3)


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.float64])
def test_normalize_brings_vectors_of_any_length_to_length_1(dtype):
    exponents = {torch.float16: (-20, 0, 13), torch.float32: (-120, -60, 0, 60, 124)}.get(dtype, (-1000, 1000))
    for exponent in exponents:
        normalized = normalize(torch.tensor([[3.0, 4.0]], dtype=torch.float64).mul(2.0**exponent).to(dtype))
        assert normalized.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        torch.testing.assert_close(normalized[0].tolist(), [0.6, 0.8], rtol=1e-6, atol=0)
    assert normalize(torch.zeros(2, 3)).tolist() == [[0] * 3] * 2


def test_numbers_whose_squares_nothing_holds_are_refused():
    with pytest.raises(DataError, match='2 \\*\\* 532'):
        pairwise_distance(torch.full((1, 2), 1e160, dtype=torch.float64), torch.ones(1, 2))


def test_what_cannot_be_compared_is_named():
    with pytest.raises(DataError, match='the gallery set is empty'):
        check_features('gallery', torch.empty(0, 4))
    with pytest.raises(DataError, match=r'2 of 9000 query embeddings hold .* numbers, the first at index 5000'):
        check_features('query', torch.ones(9000, 2).index_fill_(0, torch.tensor([5000, 8999]), -torch.inf))
    with pytest.raises(DataError, match=r'1 of 3 query embeddings hold .* numbers, the first at index 1'):
        check_features('query', torch.tensor([[1.0], [torch.nan], [2.0]]))


# Query (0, 2); gallery (2, 2) at distance 2, (0, 5) at 3, (9, 0) far away.
#   Mean with the nearest two: ((0 + 2 + 0) / 3, (2 + 2 + 5) / 3).
#   Cosines 1 / sqrt(2) and 1, squared 0.5 and 1: weights 1, 0.5, 1 give (1 / 2.5, 8 / 2.5).
def test_expansion_by_hand():
    query, gallery = torch.tensor([[0.0, 2.0]]), torch.tensor([[9.0, 0.0], [2.0, 2.0], [0.0, 5.0]])
    plain = expand_queries(query, gallery, settings=QueryExpansion(num_images=2))
    assert plain.tolist() == [pytest.approx([2 / 3, 3.0])]
    weighted = expand_queries(query, gallery, settings=QueryExpansion(num_images=2, alpha=2))
    assert weighted.tolist() == [pytest.approx([0.4, 3.2])]


@pytest.mark.parametrize('distance', ['euclidean', 'cosine'])
@pytest.mark.parametrize('num_images, alpha', [(1, 0.0), (4, 3.0), (100, 0.5)])
@pytest.mark.parametrize('chunk', [1, 70, 10**6])
def test_equals_a_naive_loop(monkeypatch, distance, num_images, alpha, chunk):
    monkeypatch.setattr(distances, 'CHUNK_ELEMENTS', chunk)
    torch.manual_seed(0)
    query, gallery = torch.randn(9, 5), torch.randn(30, 5)
    expanded = expand_queries(query, gallery, distance, QueryExpansion(num_images, alpha))
    for i, own in enumerate(query):
        unit = (lambda f: F.normalize(f, dim=0)) if distance == 'cosine' else (lambda f: f)
        total, weight = unit(own).clone(), 1.0
        for j in pairwise_distance(query, gallery, distance)[i].argsort()[:num_images]:
            share = max(float(F.cosine_similarity(own, gallery[j], dim=0)), 0.0) ** alpha
            total += share * unit(gallery[j])
            weight += share
        assert torch.allclose(expanded[i], total / weight, atol=1e-5)


def test_features_stay_as_they_were():
    query, gallery = torch.rand(3, 4), torch.rand(5, 4)
    copies = query.clone(), gallery.clone()
    expand_queries(query, gallery, 'cosine')
    assert torch.equal(query, copies[0]) and torch.equal(gallery, copies[1])


@pytest.mark.parametrize(
    'options, message',
    [(dict(num_images=0), 'num_images=0: must be 1 or more'), (dict(alpha=-1), 'alpha=-1: must be 0 or more')],
)
def test_settings_out_of_range(options, message):
    with pytest.raises(DataError, match=message):
        QueryExpansion(**options)
