"""Batch-hard triplet loss (Hermans et al., "In Defense of the Triplet Loss", arXiv 1703.07737, eq. 5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmosnet.registry import MODELS


def batch_hard_distances(embedding: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return each usable anchor's distance to its farthest positive and to its nearest negative.

    An anchor is usable if the batch holds another image of its identity and an image of another one.

    Args:
        embedding: ``(N, D)``.
        labels: Identities, ``(N,)``.

    Returns:
        Euclidean distances to the hardest positive and the hardest negative, both ``(M,)`` with M <= N.
    """
    # Half precision sums 512 squares too coarsely to order distances, and autocast would choose it for the product.
    with torch.autocast(embedding.device.type, enabled=False):
        embedding = embedding.float()
        squares = embedding.square().sum(1)
        distmat = squares[:, None] + squares[None] - 2 * embedding @ embedding.T
        # The root's slope is infinite at 0: the floor keeps gradients of identical images finite.
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
