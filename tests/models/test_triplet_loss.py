import math

import pytest
import torch

from mmosnet.models import TripletLoss
from mmosnet.models.triplet_loss import batch_hard_triplet_loss


def naive(embedding, labels, margin):
    losses = []
    for i in range(len(labels)):
        positives, negatives = [], []
        for j in range(len(labels)):
            if i != j:
                distance = math.dist(embedding[i].tolist(), embedding[j].tolist())
                (positives if labels[i] == labels[j] else negatives).append(distance)
        if positives and negatives:
            difference = max(positives) - min(negatives)
            losses.append(math.log1p(math.exp(difference)) if margin is None else max(0.0, margin + difference))
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize('margin', [0.3, 1.5, None])
@pytest.mark.parametrize('labels', [[0, 0, 1, 1, 2, 2], [3, 3, 3, 1, 2, 1], [0, 0, 1, 2, 3, 4]])
def test_equals_a_naive_loop(labels, margin):
    torch.manual_seed(0)
    embedding = torch.randn(6, 8, requires_grad=True)
    loss = batch_hard_triplet_loss(embedding, torch.tensor(labels), margin)
    assert loss.item() == pytest.approx(naive(embedding, labels, margin), rel=1e-5)
    loss.backward()
    assert embedding.grad.isfinite().all()


@pytest.mark.parametrize('labels', [[0, 1, 2, 3], [5, 5, 5, 5]])
def test_batch_without_triplets_gives_zero_and_a_gradient(labels):
    embedding = torch.randn(4, 3, requires_grad=True)
    loss = batch_hard_triplet_loss(embedding, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert embedding.grad.abs().max() == 0


def test_identical_images_have_finite_gradients():
    embedding = torch.zeros(4, 3, requires_grad=True)
    batch_hard_triplet_loss(embedding, torch.tensor([0, 0, 1, 1])).backward()
    assert embedding.grad.isfinite().all()


def test_hand_drawn_triplet():
    # On a line: a at 0, its positive at 1, the negative at 3: margin 0.3 is kept (1 - 2 + 0.3 < 0) by the positive,
    # whose negative is 2 away; the negative has no positive.
    embedding = torch.tensor([[0.0], [1.0], [3.0]])
    labels = torch.tensor([0, 0, 1])
    assert batch_hard_triplet_loss(embedding, labels, 0.3).item() == 0
    # Margin 1.5: a: 1 - 3 + 1.5 < 0; its positive: 1 - 2 + 1.5 = 0.5; mean 0.25.
    assert TripletLoss(margin=1.5, loss_weight=2)(embedding, labels).item() == pytest.approx(0.5)


def test_half_precision_is_computed_in_float32():
    torch.manual_seed(0)
    embedding = torch.randn(8, 512).bfloat16()
    labels = torch.arange(8) // 2
    expected = batch_hard_triplet_loss(embedding.float(), labels)
    with torch.autocast('cpu', torch.bfloat16):
        loss = batch_hard_triplet_loss(embedding, labels)
    assert loss.dtype == torch.float32
    # The product of the distances must not run in bfloat16.
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
