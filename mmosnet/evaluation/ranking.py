"""Ranks of the true matches in a gallery by counting, and CMC, mAP and mINP from them.

On a CPU no whole gallery is sorted: the rank of a match is one more than the number of valid images before it.
Queries are taken in chunks, and no more than two chunks of distances ever exist. The matches are a list, found by
identity: there is no mask of all pairs.

The protocol is Market-1501's (Zheng et al., ICCV 2015): gallery images of the query's identity by the query's own
camera are left out, and a query without another match does not count. CUHK03's classic splits (Li et al., CVPR 2014)
use the CMC with one gallery image per identity: every repeat samples such a gallery, and the CMC is the mean over
repeats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
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
AVERAGE_PRECISIONS = ('rectangle', 'trapezoid')
# Up to so many images per match, sorting the images before the farthest match is faster than counting before each
# match: see benchmarks.
SORTED_PER_MATCH = 200


def no_match_message() -> str:
    """Return the reason why an evaluation is impossible, for the ranking and for the check before training."""
    return (
        'no query image has an image of the same person by ANOTHER camera in the gallery. The protocol leaves out '
        'gallery images of the same person by the same camera. If the data come from a single camera, evaluate '
        "with same_camera='keep' (--cfg-options val_evaluator.same_camera=keep test_evaluator.same_camera=keep); "
        'else check the camera numbers that are read from the file names'
    )


def _drop_same_camera(
    distmat: Tensor, query: Embeddings, gallery: Embeddings, by_pid: Tensor, same_camera: str
) -> tuple[Tensor, Tensor]:
    """Set distances that the protocol excludes to infinity, in place; return the true matches' places.

    Args:
        distmat: ``(q, G)``.
        query: q images.
        gallery: G images.
        by_pid: Gallery indices in the order of their identities, ascending within one.
        same_camera: Same as in :func:`match_ranks`.
    """
    pids = gallery.pids[by_pid]
    first = torch.searchsorted(pids, query.pids)
    sizes = torch.searchsorted(pids, query.pids, right=True) - first
    row = torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)
    place = torch.arange(len(row), device=row.device) - (sizes.cumsum(0) - sizes)[row]
    column = by_pid[first[row] + place]
    if same_camera == 'keep':
        return row, column
    dropped = query.camids[row] == gallery.camids[column]
    distmat[row[dropped], column[dropped]] = torch.inf
    return row[~dropped], column[~dropped]


def compared_chunks(
    query: Embeddings, gallery: Embeddings, distance: str | Distances, same_camera: str
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Compare all queries with the gallery, one chunk of queries at a time; see :func:`match_ranks`.

    Yields:
        ``(distmat, row, column)`` for each chunk of queries: their distances ``(q, G)``, infinite where the protocol
        leaves the image out, a new array that the caller may change; and the places of the true matches in it, row by
        row and columns ascending.

    Raises:
        DataError: Empty query or gallery, or a feature that is not finite.
    """
    if same_camera not in SAME_CAMERA_RULES:
        raise ValueError(f'same_camera={same_camera!r}: choose from {", ".join(SAME_CAMERA_RULES)}')
    check_features('query', query.features)
    check_features('gallery', gallery.features)
    if isinstance(distance, str):
        distance = FeatureDistances(query.features, gallery.features, distance)
    by_pid = gallery.pids.argsort(stable=True)
    for start, stop in chunks(len(query), len(gallery)):
        distmat = distance.rows(start, stop)
        yield distmat, *_drop_same_camera(distmat, query[start:stop], gallery, by_pid, same_camera)


def _ranks_of_query(distances: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return the ranks of one query's matches, ascending.

    numpy compares, counts and sorts several times as fast as torch on a CPU.

    Args:
        distances: ``(G,)``.
        own: Gallery indices of the matches, one or more.
    """
    thresholds = distances[own]
    near = distances[distances <= thresholds.max()]
    if len(near) <= SORTED_PER_MATCH * len(own):
        near.sort()
        ranks = near.searchsorted(thresholds) + 1
        unsettled = np.flatnonzero(near.searchsorted(thresholds, side='right') > ranks)
    else:
        ranks = np.empty(len(own), np.int64)
        unsettled = np.arange(len(own))
    for match in unsettled:
        # Images at the same distance count up to the match itself.
        end, threshold = own[match] + 1, thresholds[match]
        ranks[match] = np.count_nonzero(distances[:end] <= threshold) + np.count_nonzero(distances[end:] < threshold)
    ranks.sort()
    return ranks


def _ranks_by_counting(distmat: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return the ranks of the matches of a chunk of queries, ascending within each query.

    Args:
        distmat: ``(q, G)``, on the CPU, infinite where an image is left out.
        row: Rows of the matches, ascending.
        column: Columns of the matches.
    """
    ends = row.bincount(minlength=len(distmat)).cumsum(0)[:-1].numpy()
    ranks = [
        _ranks_of_query(distances, own)
        for distances, own in zip(distmat.numpy(), np.split(column.numpy(), ends), strict=True)
        if len(own)
    ]
    return torch.from_numpy(np.concatenate([np.empty(0, np.int64), *ranks]))


def _ranks_by_sorting(distmat: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return the ranks as :func:`_ranks_by_counting` does, on any device."""
    matches = torch.zeros_like(distmat, dtype=torch.bool)
    matches[row, column] = True
    ranks = []
    # Sorting needs some 20 bytes per number: a few rows at a time.
    for start, stop in chunks(len(distmat), 8 * distmat.shape[1]):
        order = distmat[start:stop].argsort(dim=1, stable=True)
        ranks.append(matches[start:stop].gather(1, order).nonzero(as_tuple=True)[1] + 1)
    return torch.cat(ranks)


def match_ranks(
    query: Embeddings, gallery: Embeddings, distance: str | Distances = 'euclidean', same_camera: str = 'drop'
) -> tuple[Tensor, Tensor]:
    """Rank every true match of every query.

    Ties go to the lower gallery index, as in a stable sort.

    Args:
        query: Q images.
        gallery: G images, on the query's device.
        distance: ``'euclidean'``, ``'cosine'``, or other distances, such as those of a re-ranking.
        same_camera: ``'drop'`` leaves out gallery images of the query's identity by its own camera; ``'keep'``
            keeps them, for data of a single camera.

    Returns:
        ``(counts, ranks)``: the number of matches of each query ``(Q,)``, and the 1-based ranks of all of them,
        query after query, ascending ``(counts.sum(),)``.

    Raises:
        DataError: Empty query or gallery, a feature that is not finite, or no query with a match.
    """
    counts, ranks = [], []
    for distmat, row, column in compared_chunks(query, gallery, distance, same_camera):
        counts.append(row.bincount(minlength=len(distmat)))
        ranks_of_chunk = _ranks_by_counting if distmat.device.type == 'cpu' else _ranks_by_sorting
        ranks.append(ranks_of_chunk(distmat, row, column))
    counts = torch.cat(counts)
    if not counts.any():
        raise DataError(no_match_message())
    return counts, torch.cat(ranks)


def average_precisions(counts: Tensor, ranks: Tensor, rule: str = 'rectangle') -> Tensor:
    """Compute each query's average precision, the area under its curve of precision over recall.

    The k-th match, at rank r, has the precision k / r. ``'rectangle'`` is the mean of these over the matches.
    ``'trapezoid'``, the rule of the official MATLAB code of Market-1501 and MARS, is the mean of
    ((k - 1) / (r - 1) + k / r) / 2, where (k - 1) / (r - 1) is the precision just before the match; it is 1 for r = 1.

    Args:
        counts: Matches of each query ``(Q,)``.
        ranks: Result of :func:`match_ranks`.
        rule: ``'rectangle'`` or ``'trapezoid'``.

    Returns:
        ``(number of queries with a match,)`` float64, in their order.
    """
    if rule not in AVERAGE_PRECISIONS:
        raise ValueError(f'rule={rule!r}: choose from {", ".join(AVERAGE_PRECISIONS)}')
    counts = counts[counts > 0]
    starts = counts.cumsum(0) - counts
    query = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    so_far = torch.arange(len(ranks), device=ranks.device) - starts[query] + 1
    precision = so_far.double() / ranks
    if rule == 'trapezoid':
        before = torch.where(ranks > 1, (so_far - 1).double() / (ranks - 1).clamp(min=1), 1)
        precision = (before + precision) / 2
    return torch.zeros(len(counts), dtype=torch.float64, device=ranks.device).index_add_(0, query, precision) / counts


def retrieval_scores(
    counts: Tensor, ranks: Tensor, topk: tuple[int, ...] = (1, 5, 10, 20), average_precision: str = 'rectangle'
) -> dict[str, float]:
    """Compute mAP, mINP and the CMC at some ranks.

    mAP is the mean of :func:`average_precisions`; the inverse negative penalty is (matches / rank of the last one), Ye
    et al., TPAMI 2021. All scores are means over queries with a match.

    Args:
        counts: Matches of each query ``(Q,)``.
        ranks: Result of :func:`match_ranks`.
        topk: Ranks k to report.
        average_precision: Rule of :func:`average_precisions`.

    Returns:
        ``mAP``, ``mINP`` and ``Rank-k``, unrounded, within [0, 1].
    """
    ap = average_precisions(counts, ranks, average_precision)
    counts = counts[counts > 0]
    ends = counts.cumsum(0)
    inp = counts.double() / ranks[ends - 1]
    first = ranks[ends - counts]
    scores = {'mAP': ap.mean().item()}
    scores.update({f'Rank-{k}': (first <= k).double().mean().item() for k in topk})
    scores['mINP'] = inp.mean().item()
    return scores


def cmc_curve(counts: Tensor, ranks: Tensor, max_rank: int = 50) -> Tensor:
    """Compute the CMC: the share of valid queries with a match at rank k or better, k = 1 .. ``max_rank``.

    Args:
        counts: Matches of each query ``(Q,)``.
        ranks: Result of :func:`match_ranks`.
        max_rank: Length of the curve; it may exceed the size of the gallery.

    Returns:
        ``(max_rank,)`` float64.
    """
    counts = counts[counts > 0]
    first = ranks[counts.cumsum(0) - counts]
    k = torch.arange(1, max_rank + 1, device=ranks.device)
    return (first[:, None] <= k).double().mean(0)


def shuffles(num_images: int, num_repeats: int, seed: int) -> Tensor:
    """Return random orders of all gallery images, ``(num_repeats, num_images)``, equal on every device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(num_images, generator=generator) for _ in range(num_repeats)])


def _first_places(places: Tensor, group: Tensor, num_groups: int) -> Tensor:
    """Return the smallest of the places ``(num_repeats, n)`` in each group ``(n,)``, ``(num_repeats, num_groups)``."""
    first = places.new_full((len(places), num_groups), torch.iinfo(places.dtype).max)
    return first.scatter_reduce_(1, group.expand_as(places), places, 'amin')


def _rank(distmat: Tensor, sampled: Tensor, own: Tensor) -> Tensor:
    """Return the ranks ``(q,)`` of the queries' own sampled images in one repeat.

    Args:
        distmat: ``(q, G)``, infinite where an image is left out.
        sampled: Gallery index of each identity's image ``(number of identities,)``.
        own: Gallery index of each query's match ``(q,)``.
    """
    own = own[:, None]
    threshold, distances = distmat.gather(1, own), distmat[:, sampled]
    before = (distances < threshold) | ((distances == threshold) & (sampled < own))
    return 1 + before.sum(1)


def sampled_ranks(
    query: Embeddings,
    gallery: Embeddings,
    distance: str | Distances = 'euclidean',
    same_camera: str = 'drop',
    num_repeats: int = 10,
    seed: int = 0,
) -> Tensor:
    """Rank each query's match in random galleries with one image per identity.

    Per repeat all gallery images are shuffled, and each identity is represented by its first image; the query's own
    identity by the first image that the protocol keeps. Ties go to the lower gallery index. All distractors share an
    identity, and so one image.

    Args:
        query: Q images.
        gallery: G images, on the query's device.
        distance: Same as in :func:`match_ranks`.
        same_camera: Same as in :func:`match_ranks`.
        num_repeats: Number of galleries to sample.
        seed: Seed of the random galleries.

    Returns:
        1-based ranks ``(num valid queries, num_repeats)``; queries without a match are missing.

    Raises:
        DataError: Same as in :func:`match_ranks`.
    """
    orders = shuffles(len(gallery), num_repeats, seed).to(gallery.pids.device)
    places = orders.argsort(1)
    pids, identity = gallery.pids.unique(return_inverse=True)
    # (num_repeats, number of identities): the image that represents each identity for queries of other identities. For
    # queries of this identity it is the match itself, or left out.
    sampled = orders.gather(1, _first_places(places, identity, len(pids)))

    ranks = []
    for distmat, row, column in compared_chunks(query, gallery, distance, same_camera):
        valid, row = row.unique(return_inverse=True)
        distmat = distmat[valid]
        own = orders.gather(1, _first_places(places[:, column], row, len(distmat)))
        ranks.append(torch.stack([_rank(distmat, *images) for images in zip(sampled, own, strict=True)], 1))
    ranks = torch.cat(ranks)
    if len(ranks) == 0:
        raise DataError(no_match_message())
    return ranks


def sampled_cmc(ranks: Tensor, topk: tuple[int, ...] = (1, 5, 10, 20)) -> dict[str, float]:
    """Compute the CMC at some ranks, averaged over queries and repeats.

    Args:
        ranks: Result of :func:`sampled_ranks`.
        topk: Ranks k to report.

    Returns:
        ``Rank-k``, unrounded, within [0, 1].
    """
    return {f'Rank-{k}': (ranks <= k).double().mean().item() for k in topk}


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
    distance: str | Distances = 'euclidean',
    same_camera: str = 'drop',
) -> list[RankedList]:
    """Return the k nearest valid gallery images of some queries, in the order of :func:`match_ranks`."""
    if isinstance(distance, str):
        distmat = pairwise_distance(query.features, gallery.features, distance)
    else:
        distmat = distance.rows(0, len(query))
    row, column = _drop_same_camera(distmat, query, gallery, gallery.pids.argsort(stable=True), same_camera)
    matches = torch.zeros_like(distmat, dtype=torch.bool)
    matches[row, column] = True
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


@dataclass(frozen=True)
class ShownQuery:
    """One query and the gallery images it ranks first.

    Args:
        img_path: The query image.
        pid: Identity of the query.
        gallery: ``(img_path, pid, distance, is_match)``, nearest first; ``is_match`` is None if unknown.
        ap: Average precision of the query, within [0, 1].
        num_matches: Number of gallery images of its identity that count.
        first_rank: Rank of the first of them, 1-based.
        camid: The query's camera, 0-based; -1 if unknown.
        camids: The cameras of ``gallery``, in its order; empty if unknown.
    """

    img_path: str
    pid: int
    gallery: list[tuple[str, int, float, bool | None]]
    ap: float | None = None
    num_matches: int | None = None
    first_rank: int | None = None
    camid: int = -1
    camids: list[int] = field(default_factory=list)


class ChosenRows:
    """Distances of some queries, selected from those of all queries.

    Args:
        distances: Distances of all queries.
        chosen: Indices of the queries.
    """

    def __init__(self, distances: Distances, chosen: Sequence[int]) -> None:
        self.distances = distances
        self.chosen = chosen

    def rows(self, start: int, stop: int) -> Tensor:
        """Return distances as :class:`~mmosnet.evaluation.distances.Distances` does."""
        return torch.cat([self.distances.rows(i, i + 1) for i in self.chosen[start:stop]])


@dataclass(frozen=True)
class QueryGallery:
    """All images of an evaluation, in the order of the data set.

    Args:
        queries: Q records with ``img_path`` and ``pid``.
        gallery: G such records.
        query_set: Embeddings of the queries.
        gallery_set: Embeddings of the gallery.
    """

    queries: list[dict]
    gallery: list[dict]
    query_set: Embeddings
    gallery_set: Embeddings

    def show(
        self,
        chosen: Sequence[int],
        counts: Tensor,
        ranks: Tensor,
        distance: str | Distances = 'euclidean',
        same_camera: str = 'drop',
        k: int = 10,
        average_precision: str = 'rectangle',
    ) -> list[ShownQuery]:
        """Return the ranked lists of some queries.

        Args:
            chosen: Indices of queries with a match.
            counts: Matches of each query ``(Q,)``.
            ranks: Result of :func:`match_ranks`.
            distance: Argument of :func:`match_ranks`, for all queries.
            same_camera: Argument of :func:`match_ranks`.
            k: Gallery images per query.
            average_precision: Rule of :func:`average_precisions`.
        """
        if not isinstance(distance, str):
            distance = ChosenRows(distance, chosen)
        lists = ranked_lists(self.query_set[list(chosen)], self.gallery_set, k, distance, same_camera)
        precisions = average_precisions(counts, ranks, average_precision).tolist()
        aps = dict(zip(counts.nonzero().flatten().tolist(), precisions, strict=True))
        starts = (counts.cumsum(0) - counts).tolist()
        shown = []
        for index, ranked in zip(chosen, lists, strict=True):
            query, first = self.queries[index], int(ranks[starts[index]])
            camid = int(self.query_set.camids[index])
            figures = (aps[index], int(counts[index]), first, camid, self.cameras(ranked))
            shown.append(ShownQuery(query['img_path'], query['pid'], self.rows(ranked), *figures))
        return shown

    def rows(self, ranked: RankedList) -> list[tuple[str, int, float, bool | None]]:
        """Convert a ranked list to the form in :class:`ShownQuery`."""
        ranks = zip(ranked.indices, ranked.distances, ranked.matches, strict=True)
        return [(self.gallery[i]['img_path'], self.gallery[i]['pid'], *rest) for i, *rest in ranks]

    def cameras(self, ranked: RankedList) -> list[int]:
        """Return the cameras of a ranked list's images."""
        return [int(self.gallery_set.camids[i]) for i in ranked.indices]
