import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmosnet.errors import DataError
from mmosnet.evaluation import distances
from mmosnet.evaluation.distances import Embeddings, pairwise_distance
from mmosnet.evaluation.ranking import match_ranks
from mmosnet.evaluation.re_ranking import MODES, ReRankedDistances, ReRanking, expanded_neighbors, reciprocal_neighbors


def naive_re_ranking(query, gallery, k1, k2, lambda_value, power=1):
    """The paper's equations with sets and loops, float64; neighbors by a stable sort of the undivided distances."""
    features = torch.cat([query, gallery]).double()
    distmat = torch.cdist(features, features, compute_mode='donot_use_mm_for_euclid_dist').square().round(decimals=9)
    nearest = distmat.sort(dim=1, stable=True).indices.tolist()
    divided = (distmat / distmat.amax(1, keepdim=True).clamp(min=1e-30)) ** power
    count = len(features)

    def reciprocal(i, k):
        return {j for j in nearest[i][: k + 1] if i in nearest[j][: k + 1]}

    weights = torch.zeros(count, count, dtype=torch.float64)
    for i in range(count):
        members = own = reciprocal(i, k1)
        for j in own:
            theirs = reciprocal(j, round(k1 / 2))
            if len(theirs & own) > 2 / 3 * len(theirs):
                members = members | theirs
        members = sorted(members)
        if members:
            weights[i, members] = torch.softmax(-divided[i, members], 0)
    if k2 > 1:
        weights = torch.stack([weights[nearest[i][:k2]].mean(0) for i in range(count)])
    result = torch.empty(len(query), len(gallery), dtype=torch.float64)
    for i in range(len(query)):
        for j in range(len(gallery)):
            other = len(query) + j
            minima = torch.minimum(weights[i], weights[other]).sum()
            jaccard = 1 - minima / (2 - minima)
            result[i, j] = (1 - lambda_value) * jaccard + lambda_value * divided[i, other]
    return result


def people(count, num_people=8, dimensions=6):
    """Images scattered around their person's center."""
    return torch.randn(num_people, dimensions)[torch.arange(count) % num_people] + 0.6 * torch.randn(count, dimensions)


def images(kind, count):
    return dict(
        people=lambda: people(count),
        rounded=lambda: torch.randint(0, 3, (count, 3)).float(),
        constant=lambda: torch.ones(count, 2),
        pairs=lambda: torch.randint(-9, 9, ((count + 1) // 2, 4)).float().repeat(2, 1)[:count],
    )[kind]()


# On a line, k1 = 2, so that everybody names the two others nearest to him:
#   image      0    1    2         3    4
#   position   0    1    3         8    9
#   nearest  0 1 2 | 1 0 2 | 2 1 0 | 3 4 2 | 4 3 2
# 2 names neither 3 nor 4, which name 2: {0, 1, 2} and {3, 4} are reciprocal. With k = 1: {0, 1}, {2}, {3, 4}, since 2
# names 1, which names 0. Nothing joins: the small sets lie within the large ones.
def test_reciprocal_neighbors_on_a_line():
    line = torch.tensor([[0.0], [1.0], [3.0], [8.0], [9.0]])
    nearest = pairwise_distance(line, line).argsort(1).numpy().astype(np.int32)
    sets = [row.nonzero()[0].tolist() for row in reciprocal_neighbors(nearest, 2).toarray()]
    assert sets == [[0, 1, 2], [0, 1, 2], [0, 1, 2], [3, 4], [3, 4]]
    sets = [row.nonzero()[0].tolist() for row in reciprocal_neighbors(nearest, 1).toarray()]
    assert sets == [[0, 1], [0, 1], [2], [3, 4], [3, 4]]
    assert (expanded_neighbors(nearest, 2).toarray() > 0).sum(1).tolist() == [3, 3, 3, 2, 2]


@pytest.mark.parametrize('kind', ['people', 'rounded', 'constant', 'pairs'])
@pytest.mark.parametrize('k1, k2, lambda_value', [(20, 6, 0.3), (5, 1, 0.0), (6, 9, 0.5), (1, 2, 1.0), (200, 3, 0.1)])
@pytest.mark.parametrize('mode', MODES)
def test_equals_a_naive_loop(kind, k1, k2, lambda_value, mode):
    torch.manual_seed(0)
    query, gallery = images(kind, 17), images(kind, 60)
    settings = ReRanking(k1, k2, lambda_value, mode)
    rows = ReRankedDistances(query, gallery, settings=settings).rows(0, 17)
    expected = naive_re_ranking(query, gallery, k1, k2, lambda_value, power=2 if mode == 'released' else 1)
    assert rows.shape == (17, 60) and rows.dtype == torch.float32
    assert (rows - expected).abs().max() < 2e-6


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_small_gallery_equals_a_naive_loop(data):
    # Whole numbers: all distances are exact, and many of them tied.
    def positions(count):
        return torch.tensor(data.draw(st.lists(st.integers(0, 12), min_size=count, max_size=count))).float()[:, None]

    query, gallery = positions(data.draw(st.integers(1, 3))), positions(data.draw(st.integers(1, 12)))
    k1, k2 = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
    rows = ReRankedDistances(query, gallery, settings=ReRanking(k1, k2)).rows(0, len(query))
    assert (rows - naive_re_ranking(query, gallery, k1, k2, 0.3)).abs().max() < 2e-6
    assert (rows >= -1e-6).all() and (rows <= 1 + 1e-6).all()


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')
@pytest.mark.parametrize('distance', ['euclidean', 'cosine'])
@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('k1, k2, lambda_value', [(20, 6, 0.3), (7, 1, 0.6)])
def test_equals_the_released_code(distance, mode, k1, k2, lambda_value):
    released = pytest.importorskip('torchreid.reid.utils.rerank', reason="needs the extra 'peer'").re_ranking
    torch.manual_seed(0)
    query, gallery = people(60, 40, 16), people(340, 40, 16)

    def theirs(a, b):
        # It squares: the released engine hands it squared Euclidean and plain cosine distances.
        distmat = pairwise_distance(a, b, distance)
        return (distmat if mode == 'released' else distmat.clamp(min=0).sqrt()).numpy()

    pairs = (theirs(query, gallery), theirs(query, query), theirs(gallery, gallery))
    expected = released(*pairs, k1=k1, k2=k2, lambda_value=lambda_value)
    rows = ReRankedDistances(query, gallery, distance, ReRanking(k1, k2, lambda_value, mode)).rows(0, 60)
    assert np.abs(rows.numpy() - expected).max() < 1e-5


def test_modes_differ():
    torch.manual_seed(0)
    query, gallery = people(10), people(40)
    paper, released = (ReRankedDistances(query, gallery, settings=ReRanking(mode=m)).rows(0, 10) for m in MODES)
    assert (paper - released).abs().max() > 1e-2


@pytest.mark.parametrize('chunk', [1, 500])
def test_chunks_change_nothing(monkeypatch, chunk):
    torch.manual_seed(0)
    # Whole numbers, since the last bit of a matrix product depends on its shape.
    query, gallery = images('rounded', 13), images('rounded', 50)
    expected = ReRankedDistances(query, gallery).rows(0, 13)
    monkeypatch.setattr(distances, 'CHUNK_ELEMENTS', chunk)
    ranked = ReRankedDistances(query, gallery)
    assert torch.equal(torch.cat([ranked.rows(start, min(start + 4, 13)) for start in range(0, 13, 4)]), expected)


def test_memory_grows_with_the_neighborhoods():
    torch.manual_seed(0)
    sizes = []
    for count in (400, 800):
        ranked = ReRankedDistances(people(40, count // 10), people(count, count // 10))
        sizes.append((ranked.query_sets.nnz + ranked.gallery_sets.nnz) / (40 + count))
    # Dense matrices would have doubled it.
    assert sizes[1] < 1.3 * sizes[0]


def test_improves_the_ranking_of_people():
    torch.manual_seed(0)
    query = Embeddings(people(40), torch.arange(40) % 8, torch.zeros(40).long())
    torch.manual_seed(0)
    gallery = Embeddings(people(200), torch.arange(200) % 8, torch.ones(200).long())
    plain = match_ranks(query, gallery)[1]
    reranked = match_ranks(query, gallery, ReRankedDistances(query.features, gallery.features))[1]
    assert reranked.double().mean() < plain.double().mean()


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(k1=0), 'k1=0: must be 1 or more'),
        (dict(k2=-1), 'k2=-1: must be 1 or more'),
        (dict(lambda_value=1.5), 'lambda_value=1.5: must lie within'),
        (dict(mode='squared'), "mode='squared': choose from paper, released"),
    ],
)
def test_settings_out_of_range(options, message):
    with pytest.raises(DataError, match=message):
        ReRanking(**options)


def test_empty_and_undefined_features():
    good, nan = torch.ones(2, 3), torch.full((1, 3), torch.nan)
    with pytest.raises(DataError, match='the query set is empty'):
        ReRankedDistances(good[:0], good)
    with pytest.raises(DataError, match='1 of 1 gallery embeddings'):
        ReRankedDistances(good, nan)
