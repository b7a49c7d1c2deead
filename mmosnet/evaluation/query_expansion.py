"""Average query expansion: search again with the mean of the query and what it found first.

Chum et al., ICCV 2007; weighted by similarity: Radenovic et al., TPAMI 2019, section 3.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmosnet.errors import DataError
from mmosnet.evaluation.distances import check_features, chunks, nearest_images, normalize


@dataclass(frozen=True)
class QueryExpansion:
    """Settings of a query expansion.

    Args:
        num_images: Nearest gallery images averaged with the query.
        alpha: An image weighs (cosine similarity to the query) ** alpha, the query itself 1. 0 is the plain average;
            the paper of the weighted one takes 3.

    Raises:
        DataError: A setting out of range.
    """

    num_images: int = 5
    alpha: float = 0.0

    def __post_init__(self) -> None:
        if self.num_images < 1:
            raise DataError(f'query expansion with num_images={self.num_images}: must be 1 or more')
        if self.alpha < 0:
            raise DataError(f'query expansion with alpha={self.alpha}: must be 0 or more')


def expand_queries(
    query: Tensor, gallery: Tensor, distance: str = 'euclidean', settings: QueryExpansion | None = None
) -> Tensor:
    """Replace every query by the weighted mean of itself and its nearest gallery images, whoever they show.

    Args:
        query: ``(Q, D)``.
        gallery: ``(G, D)``.
        distance: ``'euclidean'``, or ``'cosine'``, which averages directions.
        settings: Settings of the query expansion.

    Returns:
        ``(Q, D)``.

    Raises:
        DataError: Empty query or gallery, or a feature that is not finite.
    """
    check_features('query', query)
    check_features('gallery', gallery)
    settings = settings or QueryExpansion()
    # Half precision has too few digits for a mean.
    dtype = torch.promote_types(query.dtype, torch.float32)
    query, gallery = query.to(dtype), gallery.to(dtype)
    if distance == 'cosine':
        query, gallery = normalize(query), normalize(gallery)
    nearest, _ = nearest_images(query, gallery, settings.num_images, distance)
    expanded = torch.empty_like(query)
    for start, stop in chunks(len(query), 16 * nearest.shape[1] * query.shape[1]):
        own, found = query[start:stop], gallery[nearest[start:stop]]  # (q, D), (q, k, D)
        directions = normalize(found.flatten(0, 1)).view_as(found)
        weights = torch.einsum('qd,qkd->qk', normalize(own), directions).clamp_(0, 1) ** settings.alpha
        # Shares of 1, so that no sum is larger than what it is of.
        total = 1 + weights.sum(1, keepdim=True)
        expanded[start:stop] = own / total + torch.einsum('qk,qkd->qd', weights / total, found)
    return expanded
