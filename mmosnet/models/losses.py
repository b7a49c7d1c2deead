"""Batch-hard triplet loss, and binary cross-entropy with weights against the imbalance of attributes.

The triplet loss follows Hermans et al., "In Defense of the Triplet Loss", arXiv 1703.07737, eq. 5. Most attributes are
rare: without weights it pays for a network never to predict them. Mode ``'exponential'`` follows Li et al.,
"Multi-attribute learning for pedestrian attribute recognition in surveillance scenarios", ACPR 2015, eq. 3;
``'released'`` is the loss of the paper's attribute code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmosnet.errors import DataError
from mmosnet.registry import MODELS

# Modes of WeightedBCELoss.
MODES = ('exponential', 'released', 'plain')


def batch_hard_distances(embedding: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return each usable anchor's distance to its farthest positive and to its nearest negative.

    An anchor is usable if the batch holds another image of its identity and an image of another one.

    Args:
        embedding: ``(N, D)``.
        labels: Identities, ``(N,)``.

    Returns:
        Euclidean distances to the hardest positive and the hardest negative, both ``(M,)`` with M <= N.
    """
    # Half precision is too coarse for sums of 512 squares that order distances, and autocast would use it.
    with torch.autocast(embedding.device.type, enabled=False):
        embedding = embedding.float()
        squares = embedding.square().sum(1)
        distmat = squares[:, None] + squares[None] - 2 * embedding @ embedding.T
        # The slope of the root is infinite at 0: the minimum keeps gradients of identical images finite.
        distmat = distmat.clamp(min=1e-12).sqrt()

    same = labels[:, None] == labels[None]
    other_image = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    positive = same & other_image
    usable = positive.any(1) & (~same).any(1)
    hardest_positive = distmat.masked_fill(~positive, -torch.inf).amax(1)
    hardest_negative = distmat.masked_fill(same, torch.inf).amin(1)
    return hardest_positive[usable], hardest_negative[usable]


def batch_hard_triplet_loss(embedding: Tensor, labels: Tensor, margin: float | None = 0.3) -> Tensor:
    """Average ``max(0, margin + d_positive - d_negative)``, or the soft margin, over usable anchors.

    Args:
        embedding: ``(N, D)``.
        labels: Identities, ``(N,)``.
        margin: Hard margin in units of distance; None for the soft margin ``log(1 + exp(d_pos - d_neg))``.

    Returns:
        A scalar; 0 with zero gradients when no anchor is usable.
    """
    positive, negative = batch_hard_distances(embedding, labels)
    if len(positive) == 0:
        return embedding.float().sum() * 0
    difference = positive - negative
    return (F.softplus(difference) if margin is None else F.relu(difference + margin)).mean()


@MODELS.register_module()
class TripletLoss(nn.Module):
    """:func:`batch_hard_triplet_loss` as a module, for :class:`~mmosnet.models.ReIDHead`.

    mmpretrain has no triplet loss; mmdet's has no soft margin and fails on a batch without a negative.

    Args:
        margin: Hard margin; None for the soft margin.
        loss_weight: Factor of the loss.
    """

    def __init__(self, margin: float | None = 0.3, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.margin = margin
        self.loss_weight = loss_weight

    def forward(self, embedding: Tensor, labels: Tensor) -> Tensor:
        """Compute the weighted loss of embeddings ``(N, D)`` with identities ``(N,)``."""
        return self.loss_weight * batch_hard_triplet_loss(embedding, labels, self.margin)


def weighted_bce(
    logits: Tensor, target: Tensor, pos_weight: Tensor, neg_weight: Tensor, avg_factor: float | None = None
) -> Tensor:
    """Compute the weighted binary cross-entropy, in float32 at least.

    Args:
        logits: ``(N, A)``.
        target: ``(N, A)``, from 0 (absent) to 1 (present).
        pos_weight: Weight of present attributes, ``(A,)``.
        neg_weight: Weight of absent attributes, ``(A,)``.
        avg_factor: Divisor of the sum; N x A by default.

    Returns:
        A scalar; 0 with zero gradients for an empty batch.
    """
    dtype = torch.promote_types(logits.dtype, torch.float32)
    logits, target = logits.to(dtype), target.to(dtype)
    present = pos_weight * target * F.logsigmoid(logits)
    absent = neg_weight * (1 - target) * F.logsigmoid(-logits)
    return -(present + absent).sum() / max(logits.numel() if avg_factor is None else avg_factor, 1)


@MODELS.register_module()
class WeightedBCELoss(nn.Module):
    """:func:`weighted_bce` with weights from the share of people who have an attribute.

    mmpretrain's ``CrossEntropyLoss(use_sigmoid=True)`` weighs positives and attributes by fixed numbers and computes in
    half precision under autocast; none of its losses takes weights from the training set.

    Args:
        mode: ``'exponential'`` weighs positives by exp(1 - r) and negatives by exp(r), ``'released'`` both by exp(-r),
            ``'plain'`` by 1; r is the share of positives among the training images.
        pos_ratio: r of each attribute; by default :class:`~mmosnet.engine.PosRatioHook` takes it from the training set.
        num_classes: A, number of attributes; :class:`~mmosnet.models.AttributeHead` passes it. Checkpoints hold the A
            shares, so that their buffer is created here.
        loss_weight: Factor of the loss.

    Raises:
        DataError: Unknown mode, no number of attributes, or shares that are not between 0 and 1.
    """

    def __init__(
        self,
        mode: str = 'exponential',
        pos_ratio: Sequence[float] | None = None,
        num_classes: int | None = None,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise DataError(f'WeightedBCELoss: mode={mode!r}: choose from {", ".join(MODES)}')
        if num_classes is None and pos_ratio is None:
            raise DataError('WeightedBCELoss: give num_classes, the number of attributes (mmosnet.AttributeHead does)')
        self.mode = mode
        self.loss_weight = loss_weight
        #: Shares in the config, which take precedence over those of training set and checkpoint.
        self.given_pos_ratio = pos_ratio
        size = len(pos_ratio) if num_classes is None else num_classes
        self.register_buffer('pos_ratio', torch.full((size,), torch.nan))
        # Reading the buffer makes a GPU wait: done only until it is filled.
        self._filled = False
        if pos_ratio is not None:
            self.set_pos_ratio(pos_ratio)

    def set_pos_ratio(self, pos_ratio: Sequence[float]) -> None:
        """Set the share of positives of each attribute.

        Raises:
            DataError: Another number of attributes, or a value outside of [0, 1].
        """
        ratio = torch.as_tensor(pos_ratio, dtype=self.pos_ratio.dtype)
        if ratio.shape != self.pos_ratio.shape:
            raise DataError(
                f'WeightedBCELoss: shares of {len(ratio)} attributes for {len(self.pos_ratio)} of the model; set '
                f'num_classes={len(ratio)} in the attribute head'
            )
        bad = ~((ratio >= 0) & (ratio <= 1))
        if bad.any():
            raise DataError(
                f'WeightedBCELoss: pos_ratio[{int(bad.nonzero()[0])}]={ratio[bad][0]:g}: shares are from 0 to 1'
            )
        self.pos_ratio.copy_(ratio)

    def forward(self, logits: Tensor, target: Tensor, avg_factor: float | None = None) -> Tensor:
        """Compute the weighted loss; the arguments are those of :func:`weighted_bce`.

        Raises:
            DataError: Labels of another number of attributes, or weights that need shares which are not set.
        """
        if logits.shape != target.shape:
            raise DataError(
                f'The model predicts {tuple(logits.shape)} and the labels are {tuple(target.shape)} (images, '
                f'attributes); set num_classes={target.shape[-1]} in the attribute head'
            )
        return self.loss_weight * weighted_bce(logits, target, *self._weights(), avg_factor)

    def _weights(self) -> tuple[Tensor, Tensor]:
        """Return the weights of present and of absent attributes."""
        if self.mode == 'plain':
            ones = torch.ones_like(self.pos_ratio)
            return ones, ones
        self._filled = self._filled or not self.pos_ratio.isnan().any()
        if not self._filled:
            raise DataError(
                f'WeightedBCELoss: mode={self.mode!r} needs the share of positives of each attribute. Add '
                "dict(type='mmosnet.PosRatioHook') to custom_hooks: it takes them from the training set. Or give "
                "pos_ratio=[...], or mode='plain'"
            )
        if self.mode == 'released':
            return (-self.pos_ratio).exp(), (-self.pos_ratio).exp()
        return (1 - self.pos_ratio).exp(), self.pos_ratio.exp()

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f'mode={self.mode!r}, num_classes={len(self.pos_ratio)}, loss_weight={self.loss_weight}'
