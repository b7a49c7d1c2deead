"""Ranks of the true matches in a gallery, and CMC, mAP and mINP from them.

Nothing is sorted by distance: the rank of a match is one more than the number of valid gallery images before it.
Queries are taken in chunks, and no more than a chunk of distances ever exists.

The protocol is Market-1501's (Zheng et al., ICCV 2015): of the gallery images of the query's identity those by the
query's own camera are left out, and a query without a remaining match does not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mmosnet.errors import DataError
from mmosnet.evaluation.distances import (
    Distances,
    Embeddings,
    FeatureDistances,
    check_features,
    chunks,
    pairwise_distance,
)

SAME_CAMERA_RULES = ('drop', 'keep')


def match_ranks(
    query: Embeddings, gallery: Embeddings, distance: str | Distances = 'euclidean', same_camera: str = 'drop'
) -> tuple[Tensor, Tensor]:
    """Rank every true match of every query.

    Ties go to the lower gallery index, as in a stable sort.

    Args:
        query: Q images.
        gallery: G images, on the query's device.
        distance: ``'euclidean'``, ``'cosine'``, or distances by other means, as those of a re-ranking.
        same_camera: ``'drop'`` leaves out gallery images of the query's identity by its own camera; ``'keep'``
            keeps them, for data of a single camera.

    Returns:
        ``(counts, ranks)``: the number of matches of each query ``(Q,)``, and the 1-based ranks of all of them,
        query after query, ascending ``(counts.sum(),)``.

    Raises:
        DataError: Empty query or gallery, a feature that is not finite, or no query with a match.
    """
    counts, ranks = [], []
    for distmat, matches in compared_chunks(query, gallery, distance, same_camera):
        counts.append(matches.sum(1))
        ranks.append(_ranks_by_counting(distmat, matches))
    counts = torch.cat(counts)
    if not counts.any():
        raise DataError(no_match_message())
    return counts, torch.cat(ranks)


def compared_chunks(
    query: Embeddings, gallery: Embeddings, distance: str | Distances, same_camera: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Compare all queries with the whole gallery, a chunk of queries at a time; arguments of :func:`match_ranks`.

    Yields:
        ``(distmat, matches)`` of a chunk of queries: their distances (infinite where the protocol leaves the image
        out) and true matches (false there), both ``(q, G)`` and free to be written to.

    Raises:
        DataError: Empty query or gallery, or a feature that is not finite.
    """
    if same_camera not in SAME_CAMERA_RULES:
        raise ValueError(f'same_camera={same_camera!r}: choose from {", ".join(SAME_CAMERA_RULES)}')
    check_features('query', query.features)
    check_features('gallery', gallery.features)
    if isinstance(distance, str):
        distance = FeatureDistances(query.features, gallery.features, distance)
    for start, stop in chunks(len(query), len(gallery)):
        yield _compare(query[start:stop], gallery, distance.rows(start, stop), same_camera)


def no_match_message() -> str:
    """Why an evaluation is impossible, for the ranking and for the check before training."""
    return (
        'no query image has an image of the same person by ANOTHER camera in the gallery. The protocol leaves out '
        'gallery images of the same person by the same camera. If the data come from a single camera, evaluate '
        "with same_camera='keep' (--cfg-options val_evaluator.same_camera=keep test_evaluator.same_camera=keep); "
        'else check the camera numbers that are read from the file names'
    )


@dataclass(frozen=True)
class RankedList:
    """The first gallery images of one query.

    Args:
        indices: Gallery indices, nearest first.
        distances: Their distances; Euclidean ones not squared.
        matches: Whether each shows the query's identity.
    """

    indices: list[int]
    distances: list[float]
    matches: list[bool]


def ranked_lists(
    query: Embeddings,
    gallery: Embeddings,
    k: int = 10,
    distance: str = 'euclidean',
    same_camera: str = 'drop',
) -> list[RankedList]:
    """The k nearest valid gallery images of each of a few queries, in the order of :func:`match_ranks`."""
    distmat = pairwise_distance(query.features, gallery.features, distance)
    distmat, matches = _compare(query, gallery, distmat, same_camera)
    distances, indices = distmat.sort(dim=1, stable=True)
    if distance == 'euclidean':
        distances = distances.sqrt()
    lists = []
    for row in range(len(query)):
        # Images that are left out lie at the end, infinitely far.
        count = min(k, int(distances[row].isfinite().sum()))
        first = indices[row, :count]
        lists.append(RankedList(first.tolist(), distances[row, :count].tolist(), matches[row, first].tolist()))
    return lists


def _compare(query: Embeddings, gallery: Embeddings, distmat: Tensor, same_camera: str) -> tuple[Tensor, Tensor]:
    """Distances (infinite where the protocol leaves the image out, in place) and true matches, both ``(q, G)``."""
    matches = query.pids[:, None] == gallery.pids
    if same_camera == 'drop':
        dropped = matches & (query.camids[:, None] == gallery.camids)
        distmat.masked_fill_(dropped, torch.inf)
        matches &= ~dropped
    return distmat, matches


def _ranks_by_counting(distmat: Tensor, matches: Tensor) -> Tensor:
    """Ranks of the matches of a chunk of queries, ascending within a query.

    Args:
        distmat: ``(q, G)``, infinite where an image is left out.
        matches: ``(q, G)`` bool, false where an image is left out.
    """
    num_queries = len(distmat)
    row, column = matches.nonzero(as_tuple=True)
    if len(row) == 0:
        return row
    counts = matches.sum(1)
    most = int(counts.max())
    # The matches' distances in ascending order, a row a query, padded with infinity: the thresholds.
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    thresholds = distmat.new_full((num_queries, most), torch.inf)
    thresholds[row, place] = distmat[row, column]
    thresholds = thresholds.sort(1).values

    # Each image falls behind `bucket` thresholds, those equal to it included.
    bucket = torch.searchsorted(thresholds, distmat, right=True, out_int32=True)
    offset = torch.arange(num_queries, device=row.device, dtype=torch.int32)[:, None] * (most + 1)
    histogram = torch.bincount((bucket + offset).view(-1), minlength=num_queries * (most + 1))
    closer = histogram.view(num_queries, most + 1).cumsum(1)
    # closer[i, j]: images of row i behind at most j thresholds; strictly closer than a threshold are those behind
    # at most as many thresholds as are smaller than it.
    smaller = torch.searchsorted(thresholds, thresholds, right=False)
    strictly_closer = closer.gather(1, smaller)

    # Images exactly as far as a threshold, themselves included: in gallery order each takes the next rank.
    last_equal = thresholds.gather(1, (bucket - 1).clamp_(min=0).long())
    tied_row, tied_column = (last_equal == distmat).logical_and_(distmat.isfinite()).nonzero(as_tuple=True)
    group = tied_row * (most + 1) + bucket[tied_row, tied_column]
    group, order = group.sort(stable=True)
    _, sizes = group.unique_consecutive(return_counts=True)
    position = torch.arange(len(group), device=group.device) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    tied_row, tied_column = tied_row[order], tied_column[order]
    threshold = bucket[tied_row, tied_column].long() - 1
    ranks = strictly_closer[tied_row, threshold] + position + 1
    # Sorted by query and distance, hence by rank; what remains is to keep the matches.
    return ranks[matches[tied_row, tied_column]]


def retrieval_scores(counts: Tensor, ranks: Tensor, topk: tuple[int, ...] = (1, 5, 10, 20)) -> dict[str, float]:
    """mAP, mINP and the CMC at some ranks.

    Average precision is the mean over a query's matches of (matches so far / rank); the inverse negative penalty
    is (matches / rank of the last one), Ye et al., TPAMI 2021. All scores are means over queries with a match.

    Args:
        counts: Matches of each query ``(Q,)``.
        ranks: From :func:`match_ranks`.
        topk: Ranks k to report.

    Returns:
        ``mAP``, ``mINP`` and ``Rank-k``, unrounded, within [0, 1].
    """
    counts = counts[counts > 0]
    ends = counts.cumsum(0)
    starts = ends - counts
    query = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    so_far = torch.arange(len(ranks), device=ranks.device) - starts[query] + 1
    precision = so_far.double() / ranks
    ap = torch.zeros(len(counts), dtype=torch.float64, device=ranks.device).index_add_(0, query, precision) / counts
    inp = counts.double() / ranks[ends - 1]
    first = ranks[starts]
    scores = {'mAP': ap.mean().item()}
    scores.update({f'Rank-{k}': (first <= k).double().mean().item() for k in topk})
    scores['mINP'] = inp.mean().item()
    return scores


def cmc_curve(counts: Tensor, ranks: Tensor, max_rank: int = 50) -> Tensor:
    """CMC: the share of valid queries whose first match has rank k or better, for k = 1 .. ``max_rank``.

    Args:
        counts: Matches of each query ``(Q,)``.
        ranks: From :func:`match_ranks`.
        max_rank: Length of the curve; any gallery size will do.

    Returns:
        ``(max_rank,)`` float64.
    """
    counts = counts[counts > 0]
    first = ranks[counts.cumsum(0) - counts]
    k = torch.arange(1, max_rank + 1, device=ranks.device)
    return (first[:, None] <= k).double().mean(0)
