import numpy as np
import pytest
import torch

from benchmarks.measure import Unequal, as_near, same_directions, same_numbers, same_scores


def test_numbers_relative_to_the_peers_scale():
    assert same_numbers(torch.tensor([100.0, 0.0]), np.array([100.0005, 0.0]), 1e-5) == 'relative difference 5.0e-06'
    with pytest.raises(Unequal, match=r'relative difference 1.0e-02, allowed 1e-05'):
        same_numbers(torch.tensor([101.0, 0.0]), torch.tensor([100.0, 0.0]))


@pytest.mark.parametrize('bad', [[[1.0, 2.0]], [float('nan'), 2.0], [float('inf'), 2.0]])
def test_shapes_and_undefined_numbers_are_unequal(bad):
    for compare in (same_numbers, same_directions):
        with pytest.raises(Unequal):
            compare(torch.tensor(bad).reshape(len(bad), -1), torch.tensor([[1.0], [2.0]]))


def test_zeros_are_equal():
    assert same_numbers(torch.zeros(3), torch.zeros(3)) == 'relative difference 0.0e+00'


def test_directions_forgive_the_length():
    embeddings = torch.randn(3, 8)
    assert same_directions(embeddings, 2 * embeddings) == 'smallest cosine 1.00000'
    turned = embeddings.clone()
    turned[1] = -turned[1]
    with pytest.raises(Unequal, match=r'smallest cosine -1.0000, at least 0.99 wanted'):
        same_directions(turned, embeddings)


def test_rounded_embeddings_may_not_be_worse_than_the_peers():
    exact = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    near, far = torch.tensor([[1.0, 0.1], [0.0, 1.0]]), torch.tensor([[1.0, 0.5], [0.0, 1.0]])
    assert as_near(near, far, exact) == 'smallest cosine with fp32 0.9950, the peer 0.8944'
    with pytest.raises(Unequal, match=r'smallest cosine with fp32 0.8944, the peer has 0.9950'):
        as_near(far, near, exact)


def test_scores_by_name():
    assert same_scores({'mAP': 0.5, 'Rank-1': 0.75}, {'mAP': 0.5, 'Rank-1': 0.75}) == 'scores differ by 0e+00'
    with pytest.raises(Unequal, match=r'Rank-1 is 0.750000, the peer has 0.760000'):
        same_scores({'mAP': 0.5, 'Rank-1': 0.75}, {'mAP': 0.5, 'Rank-1': 0.76})
    with pytest.raises(Unequal, match='no score in common'):
        same_scores({'mAP': 0.5}, {'mINP': 0.5})
    with pytest.raises(Unequal):
        same_scores({'mAP': float('nan')}, {'mAP': 0.5})
