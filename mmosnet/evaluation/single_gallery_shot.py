"""CMC with one gallery image per person, the protocol of CUHK03's classic splits (Li et al., CVPR 2014).

Every repeat samples a gallery of one image per identity. Among the sampled images a query has one match, and the CMC is
averaged over repeats.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmosnet.errors import DataError
from mmosnet.evaluation.distances import Distances, Embeddings
from mmosnet.evaluation.ranking import compared_chunks, no_match_message


def drawn_ranks(
    query: Embeddings,
    gallery: Embeddings,
    distance: str | Distances = 'euclidean',
    same_camera: str = 'drop',
    num_repeats: int = 10,
    seed: int = 0,
) -> Tensor:
    """Rank each query's match in random galleries with one image per identity.

    Per repeat all gallery images are shuffled, and each identity is represented by its first image; the query's own
    by its first that the protocol keeps. Ties go to the lower gallery index. All distractors share an identity, and
    so one place.

    Args:
        query: Q images.
        gallery: G images, on the query's device.
        distance: Same as in :func:`~mmosnet.evaluation.ranking.match_ranks`.
        same_camera: Same as in :func:`~mmosnet.evaluation.ranking.match_ranks`.
        num_repeats: Galleries to draw.
        seed: Seed of the random galleries.

    Returns:
        1-based ranks ``(num valid queries, num_repeats)``; queries without a match are missing.

    Raises:
        DataError: Same as in :func:`~mmosnet.evaluation.ranking.match_ranks`.
    """
    orders = shuffles(len(gallery), num_repeats, seed).to(gallery.pids.device)
    places = orders.argsort(1)
    pids, identity = gallery.pids.unique(return_inverse=True)
    # (num_repeats, number of identities): the image that represents each to queries of other identities. To those of
    # its own it is the match itself, or left out.
    drawn = orders.gather(1, _first_places(places, identity, len(pids)))

    ranks = []
    for distmat, row, column in compared_chunks(query, gallery, distance, same_camera):
        valid, row = row.unique(return_inverse=True)
        distmat = distmat[valid]
        own = orders.gather(1, _first_places(places[:, column], row, len(distmat)))
        ranks.append(torch.stack([_rank(distmat, *images) for images in zip(drawn, own, strict=True)], 1))
    ranks = torch.cat(ranks)
    if len(ranks) == 0:
        raise DataError(no_match_message())
    return ranks


def shuffles(num_images: int, num_repeats: int, seed: int) -> Tensor:
    """Return random orders of all gallery images, ``(num_repeats, num_images)``, equal on every device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(num_images, generator=generator) for _ in range(num_repeats)])


def _first_places(places: Tensor, group: Tensor, num_groups: int) -> Tensor:
    """Return the smallest of the places ``(num_repeats, n)`` in each group ``(n,)``, ``(num_repeats, num_groups)``."""
    first = places.new_full((len(places), num_groups), torch.iinfo(places.dtype).max)
    return first.scatter_reduce_(1, group.expand_as(places), places, 'amin')


def _rank(distmat: Tensor, drawn: Tensor, own: Tensor) -> Tensor:
    """Return the ranks ``(q,)`` of the queries' own sampled images in one repeat.

    Args:
        distmat: ``(q, G)``, infinite where an image is left out.
        drawn: Gallery index of each identity's image ``(number of identities,)``.
        own: Gallery index of each query's match ``(q,)``.
    """
    own = own[:, None]
    threshold, distances = distmat.gather(1, own), distmat[:, drawn]
    before = (distances < threshold) | ((distances == threshold) & (drawn < own))
    return 1 + before.sum(1)


def drawn_cmc(ranks: Tensor, topk: tuple[int, ...] = (1, 5, 10, 20)) -> dict[str, float]:
    """Compute the CMC at some ranks, averaged over queries and repeats.

    Args:
        ranks: Result of :func:`drawn_ranks`.
        topk: Ranks k to report.

    Returns:
        ``Rank-k``, unrounded, within [0, 1].
    """
    return {f'Rank-{k}': (ranks <= k).double().mean().item() for k in topk}
