from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from mmosnet.errors import DataError
from mmosnet.models import TripletLoss, WeightedBCELoss
from mmosnet.models.losses import batch_hard_triplet_loss, weighted_bce


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


RATIO = [0.1, 0.5, 0.93]


def batch(rows=6):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(rows, 3, generator=generator)
    return logits, torch.randint(0, 2, (rows, 3), generator=generator).float()


@pytest.mark.parametrize(
    ('mode', 'positive', 'negative'),
    [
        ('exponential', lambda r: math.exp(1 - r), lambda r: math.exp(r)),
        ('released', lambda r: math.exp(-r), lambda r: math.exp(-r)),
        ('plain', lambda r: 1, lambda r: 1),
    ],
)
def test_equals_weighted_cross_entropy_of_torch(mode, positive, negative):
    logits, target = batch()
    weight = torch.tensor(
        [[positive(r) if present else negative(r) for r, present in zip(RATIO, row, strict=True)] for row in target]
    )
    expected = F.binary_cross_entropy_with_logits(logits, target, weight=weight)
    loss = WeightedBCELoss(mode, pos_ratio=RATIO)(logits, target)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    # mmpretrain's heads tell losses by how much to divide.
    assert WeightedBCELoss(mode, RATIO)(logits, target, avg_factor=6).item() == pytest.approx(3 * loss.item())
    assert WeightedBCELoss(mode, RATIO, loss_weight=0.5)(logits, target).item() == pytest.approx(loss.item() / 2)


def test_by_hand():
    # Logit 0 costs ln 2 whatever the label, 1.0986 = ln 3 costs ln(4/3) when present and ln 4 when absent.
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)]])
    target = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    pos_weight, neg_weight = torch.tensor([2.0, 3.0]), torch.tensor([1.0, 0.5])
    expected = (2 * math.log(2) + 1 * math.log(2) + 3 * math.log(4 / 3) + 0.5 * math.log(4)) / 4
    assert weighted_bce(logits, target, pos_weight, neg_weight).item() == pytest.approx(expected, rel=1e-6)
    # r = 0.2: a positive weighs exp(0.8), a negative exp(0.2); as released both exp(-0.2).
    for mode, weights in (('exponential', (math.exp(0.8), math.exp(0.2))), ('released', (math.exp(-0.2),) * 2)):
        loss = WeightedBCELoss(mode, pos_ratio=[0.2])
        for label, weight in zip((1.0, 0.0), weights, strict=True):
            assert loss(torch.zeros(1, 1), torch.tensor([[label]])).item() == pytest.approx(weight * math.log(2))


def test_mixed_labels_are_mixed_losses():
    logits, target = batch()
    loss = WeightedBCELoss(pos_ratio=RATIO)
    mixed = loss(logits, 0.3 * target + 0.7 * target.flip(0))
    assert mixed.item() == pytest.approx(0.3 * loss(logits, target).item() + 0.7 * loss(logits, target.flip(0)).item())


def test_gradients_are_those_of_finite_differences():
    logits, target = (tensor.double() for tensor in batch())
    weights = torch.rand(3).double(), torch.rand(3).double()
    assert torch.autograd.gradcheck(lambda x: weighted_bce(x, target, *weights), logits.requires_grad_())


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_extreme_logits(dtype):
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 88.0]], dtype=dtype, requires_grad=True)
    target = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    with torch.autocast('cpu', torch.bfloat16):
        loss = WeightedBCELoss(pos_ratio=RATIO)(logits, target)
    assert loss.dtype == torch.float32 and loss.isfinite()
    loss.backward()
    assert logits.grad.isfinite().all()
    # Where the label is right beyond doubt nothing is learnt, where it is wrong the slope is the weight.
    assert logits.grad[0, 0] == 0
    assert logits.grad[1, 0].float().item() == pytest.approx(-math.exp(0.9) / 6, rel=0.01)
    exact = WeightedBCELoss(pos_ratio=RATIO)(logits.detach().double(), target)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-6)


@pytest.mark.parametrize('rows', [0, 1])
def test_small_batches(rows):
    logits = torch.randn(rows, 3, requires_grad=True)
    loss = WeightedBCELoss(pos_ratio=RATIO)(logits, torch.zeros(rows, 3))
    loss.backward()
    assert loss.isfinite() and logits.grad.shape == (rows, 3) and logits.grad.isfinite().all()
    assert (loss == 0) == (rows == 0)


def test_ratio_is_part_of_a_checkpoint():
    first, second = WeightedBCELoss(num_classes=3), WeightedBCELoss(num_classes=3)
    logits, target = batch()
    for loss in (first, second):
        with pytest.raises(DataError, match=r"mode='exponential'.*PosRatioHook"):
            loss(logits, target)
    # Also before it is known: a strict load of an unfinished model.
    second.load_state_dict(first.state_dict())
    first.set_pos_ratio(RATIO)
    second.load_state_dict(first.state_dict())
    assert second(logits, target) == first(logits, target)
    assert WeightedBCELoss('plain', num_classes=3)(logits, target).isfinite()


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: WeightedBCELoss('exp', num_classes=3), "mode='exp': choose from exponential, released, plain"),
        (lambda: WeightedBCELoss(), 'give num_classes'),
        (lambda: WeightedBCELoss(pos_ratio=[0.5, 1.5]), r'pos_ratio\[1\]=1.5'),
        (lambda: WeightedBCELoss(pos_ratio=[float('nan')]), r'pos_ratio\[0\]=nan'),
        (lambda: WeightedBCELoss(num_classes=2).set_pos_ratio(RATIO), 'num_classes=3 in the attribute head'),
        (lambda: WeightedBCELoss(pos_ratio=RATIO)(torch.zeros(4, 3), torch.zeros(4, 1)), 'num_classes=1'),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(DataError, match=message):
        make()
