"""Ranked lists of chosen queries, from a config and a checkpoint: a picture, numbers and a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from mmengine.config import Config
from torch import Tensor

from mmosnet.apis.inferencer import PersonInferencer
from mmosnet.datasets.transforms import read_image
from mmosnet.drawing.people import save_ranked_lists
from mmosnet.errors import DataError
from mmosnet.evaluation.distances import Distances, Embeddings
from mmosnet.evaluation.metrics import ReIDMetric
from mmosnet.evaluation.ranking import QueryGallery, ShownQuery, average_precisions, ranked_lists
from mmosnet.evaluation.re_ranking import ReRankedDistances
from mmosnet.io.media import spread
from mmosnet.io.regions import split_region
from mmosnet.io.text_tables import text_table
from mmosnet.visualization.results import evaluate, write_json

# A JPEG file has at most 65,535 rows, a row of the sheet 217.
MOST_QUERIES = 300
# The pid of an image that is not in the data set.
UNKNOWN = -1


@dataclass(frozen=True)
class Choice:
    """Choice of the queries to show.

    Attributes:
        number: Number of queries, spread over those of the test set.
        worst: Take the queries with the lowest average precision.
        pids: Take queries of these people only.
        paths: Take these images instead: queries of the test set, or any others.
        top_k: Gallery images per query.
        rerank: Rank by k-reciprocal re-ranking.

    Raises:
        DataError: A number is out of range, or options exclude each other.
    """

    number: int = 10
    worst: bool = False
    pids: Sequence[int] = ()
    paths: Sequence[str] = ()
    top_k: int = 10
    rerank: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.number <= MOST_QUERIES or self.top_k < 1:
            raise DataError(
                f'{self.number} queries, {self.top_k} gallery images each: choose 1 to {MOST_QUERIES}, and 1 or more'
            )
        if self.paths and (self.worst or self.pids):
            raise DataError('--query names the images to search for: leave out --worst and --pids')

    @property
    def text(self) -> str:
        """Description of the choice, for the title."""
        which = ['lowest average precision first' if self.worst else 'spread over the set']
        if self.pids:
            which.insert(0, f'of identity {", ".join(map(str, self.pids))}')
        words = ['chosen queries'] if self.paths else ['queries', *which]
        return ', '.join([*words, *['re-ranked'] * self.rerank])


def visualize_ranked_lists(cfg: Config, checkpoint: str, choice: Choice, out_dir: Path) -> list[str]:
    """Draw ranked lists of the test set.

    Args:
        cfg: Config of a re-identification test.
        checkpoint: Checkpoint of the model.
        choice: Choice of the queries.
        out_dir: Folder for ``ranked_lists.jpg`` and ``ranked_lists.json``; the stem also says what was chosen.

    Returns:
        Lines with the results and the paths of the files.

    Raises:
        FileNotFoundError: There is no such checkpoint, data or query.
        DataError: The config belongs to another task or network, or there are no queries to show.
    """
    # What fails fast comes first.
    for path in choice.paths:
        if not Path(split_region(path)[0]).is_file():
            raise FileNotFoundError(f'no image {path}')
        read_image(path)
    evaluated = evaluate(cfg, checkpoint, ReIDMetric)
    metric = evaluated.metric
    sets = metric.query_gallery(metric.results)
    distance = _distance(metric, sets.query_set, sets.gallery_set, choice.rerank)
    scores, counts, ranks = metric.retrieval(sets.query_set, sets.gallery_set, distance)
    options = dict(
        distance=distance,
        same_camera=metric.same_camera,
        k=choice.top_k,
        average_precision=metric.average_precision,
    )
    if choice.paths:
        indices = _query_indices(sets, choice.paths)
        known = [index for index in indices if index is not None and counts[index] > 0]
        by_index = dict(zip(known, sets.show(known, counts, ranks, **options), strict=True))
        others = [path for path, index in zip(choice.paths, indices, strict=True) if index not in by_index]
        searched = iter(_search(cfg, checkpoint, others, metric, sets, choice) if others else [])
        shown = [by_index[index] if index in by_index else next(searched) for index in indices]
    else:
        shown = sets.show(
            chosen_queries(sets, counts, ranks, choice, metric.average_precision), counts, ranks, **options
        )
    first = f'Rank-{metric.topk[0]}'
    title = [
        f'{evaluated.data_name}: {len(sets.queries):,} queries, {len(sets.gallery):,} gallery images; '
        f'mAP {scores["mAP"]:.3f}, {first} {scores[first]:.3f}',
        f'{len(shown)} {choice.text}',
    ]
    return [*title, *_save(shown, choice, title, dict(scores), checkpoint, out_dir)]


def _distance(metric: ReIDMetric, query: Embeddings, gallery: Embeddings, rerank: bool) -> str | Distances:
    if not rerank:
        return metric.distance
    return ReRankedDistances(query.features, gallery.features, metric.distance, metric.rerank)


def chosen_queries(
    sets: QueryGallery, counts: Tensor, ranks: Tensor, choice: Choice, average_precision: str = 'rectangle'
) -> list[int]:
    """Return the indices of the queries to show.

    Args:
        sets: Query and gallery of the test.
        counts: Matches of each query.
        ranks: Result of :func:`~mmosnet.evaluation.ranking.match_ranks`.
        choice: Choice without paths.
        average_precision: Rule of :func:`~mmosnet.evaluation.ranking.average_precisions`.

    Raises:
        DataError: No query with a match shows one of the people.
    """
    valid = counts.nonzero().flatten().tolist()
    aps = dict(zip(valid, average_precisions(counts, ranks, average_precision).tolist(), strict=True))
    if choice.pids:
        pids = {sets.queries[index]['pid'] for index in valid}
        for pid in choice.pids:
            if pid not in pids:
                raise DataError(
                    f'no query with a match shows identity {pid}; there are {len(pids)} identities, from {min(pids)} '
                    f'to {max(pids)}'
                )
        valid = [index for index in valid if sets.queries[index]['pid'] in choice.pids]
    if choice.worst:
        return sorted(valid, key=aps.get)[: choice.number]
    return spread(valid, choice.number)


def _query_indices(sets: QueryGallery, paths: Sequence[str]) -> list[int | None]:
    """Return the indices of the test queries that the paths name; None for other images."""
    known = {str(Path(query['img_path']).resolve()): index for index, query in enumerate(sets.queries)}
    return [known.get(str(Path(path).resolve())) for path in paths]


def _search(
    cfg: Config, checkpoint: str, paths: Sequence[str], metric: ReIDMetric, sets: QueryGallery, choice: Choice
) -> list[ShownQuery]:
    """Return ranked lists of images of unknown identity: no gallery image is left out, or is right or wrong."""
    results = PersonInferencer(cfg, checkpoint)(list(paths))
    samples = [dict(embedding=torch.from_numpy(entry['embedding']), pid=UNKNOWN, camid=UNKNOWN) for entry in results]
    query = metric.embeddings(samples)
    # Junk images have the same pid.
    gallery = replace(sets.gallery_set, pids=sets.gallery_set.pids.clamp(min=0))
    distance = _distance(metric, query, gallery, choice.rerank)
    lists = ranked_lists(query, gallery, choice.top_k, distance, metric.same_camera)
    return [
        ShownQuery(path, UNKNOWN, [(*row[:3], None) for row in sets.rows(ranked)], camids=sets.cameras(ranked))
        for path, ranked in zip(paths, lists, strict=True)
    ]


def _save(
    shown: Sequence[ShownQuery], choice: Choice, title: list[str], scores: dict, checkpoint: str, out_dir: Path
) -> list[str]:
    stem = 'ranked_lists' + '_chosen' * bool(choice.paths) + '_worst' * choice.worst + '_reranked' * choice.rerank
    picture = save_ranked_lists(shown, out_dir / f'{stem}.jpg', choice.top_k, title)
    report = dict(checkpoint=checkpoint, scores=scores, queries=[asdict(query) for query in shown])
    numbers = write_json(out_dir / f'{stem}.json', report)
    return ['', *_table(shown, choice.top_k).splitlines(), '', f'picture  {picture}', f'numbers  {numbers}']


def _table(shown: Sequence[ShownQuery], top_k: int) -> str:
    """Lay out one row per query."""
    rows = []
    for query in shown:
        if query.ap is None:
            _, pid, distance, _ = query.gallery[0]
            rows.append([query.img_path, '', '', '', '', f'id {pid} at {distance:.3g}'])
            continue
        matches = f'{sum(match for *_, match in query.gallery)} of {query.num_matches}'
        nearest = f'id {query.gallery[0][1]} at {query.gallery[0][2]:.3g}'
        rows.append([query.img_path, str(query.pid), f'{query.ap:.3f}', f'rank {query.first_rank}', matches, nearest])
    return text_table(['query', 'id', 'AP', 'first match', f'matches in {top_k}', 'nearest'], rows)
