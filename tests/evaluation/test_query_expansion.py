import pytest
import torch
import torch.nn.functional as F

from mmosnet.errors import DataError
from mmosnet.evaluation import distances
from mmosnet.evaluation.distances import pairwise_distance
from mmosnet.evaluation.query_expansion import QueryExpansion, expand_queries


# Query (0, 2); gallery (2, 2) at distance 2, (0, 5) at 3, (9, 0) far away.
#   Mean with the nearest two: ((0 + 2 + 0) / 3, (2 + 2 + 5) / 3).
#   Cosines 1 / sqrt(2) and 1, squared 0.5 and 1: weights 1, 0.5, 1 give (1 / 2.5, 8 / 2.5).
def test_a_drawn_expansion():
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
