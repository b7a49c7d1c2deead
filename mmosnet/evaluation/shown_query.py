"""Query and gallery images of an evaluation, and ranked lists of some queries, for a picture or a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmosnet.evaluation.distances import Distances, Embeddings
from mmosnet.evaluation.ranking import RankedList, average_precisions, ranked_lists


@dataclass(frozen=True)
class ShownQuery:
    """One query and the gallery images it ranks first.

    Args:
        img_path: The query image.
        pid: Identity of the query.
        gallery: ``(img_path, pid, distance, is_match)``, nearest first; ``is_match`` is None where nobody knows.
        ap: Average precision of the query, within [0, 1].
        num_matches: Gallery images of its identity that count.
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
    ) -> list[ShownQuery]:
        """Return the ranked lists of some queries.

        Args:
            chosen: Indices of queries with a match.
            counts: Matches of each query ``(Q,)``.
            ranks: Result of :func:`~mmosnet.evaluation.ranking.match_ranks`.
            distance: Argument of that function, for all queries.
            same_camera: Argument of that function.
            k: Gallery images per query.
        """
        if not isinstance(distance, str):
            distance = ChosenRows(distance, chosen)
        lists = ranked_lists(self.query_set[list(chosen)], self.gallery_set, k, distance, same_camera)
        aps = dict(zip(counts.nonzero().flatten().tolist(), average_precisions(counts, ranks).tolist(), strict=True))
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
        found = zip(ranked.indices, ranked.distances, ranked.matches, strict=True)
        return [(self.gallery[i]['img_path'], self.gallery[i]['pid'], *rest) for i, *rest in found]

    def cameras(self, ranked: RankedList) -> list[int]:
        """Return the cameras of a ranked list's images."""
        return [int(self.gallery_set.camids[i]) for i in ranked.indices]


class ChosenRows:
    """Distances of some queries, out of those of all.

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
