"""From a config and a checkpoint to ranked lists of chosen queries: a picture, numbers and a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from mmengine.config import Config
from torch import Tensor

from mmosnet.apis.inferencer import PersonInferencer
from mmosnet.datasets.check import spread
from mmosnet.datasets.transforms import read_image
from mmosnet.drawing.people import save_ranked_lists
from mmosnet.drawing.tables import text_table
from mmosnet.errors import DataError
from mmosnet.evaluation.distances import Distances, Embeddings
from mmosnet.evaluation.metrics import ReIDMetric
from mmosnet.evaluation.ranking import QueryGallery, ShownQuery, average_precisions, ranked_lists
from mmosnet.evaluation.re_ranking import ReRankedDistances
from mmosnet.io.files import whole_file
from mmosnet.io.regions import split_region
from mmosnet.visualization.evaluated_data import evaluate

# A JPEG file has at most 65,535 rows, a row of the sheet 217.
MOST_QUERIES = 300
STEM = 'ranked_lists'
# The pid of an image that is not in the data set.
UNKNOWN = -1


@dataclass(frozen=True)
class Choice:
    """Which queries to show.

    Attributes:
        number: Queries, spread over the test set; of people, over theirs.
        worst: Take those with the lowest average precision.
        pids: Show queries of these people only.
        paths: These images instead: queries of the test set, or any others.
        top_k: Gallery images per query.
        rerank: Rank again by k-reciprocal neighbours.

    Raises:
        DataError: A number out of range, or options that exclude each other.
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
        out_dir: Gets ``ranked_lists.jpg`` and ``.json``; the name says what was chosen.

    Returns:
        Lines that tell what was found and where it is.

    Raises:
        FileNotFoundError: No such checkpoint, data or query.
        DataError: The config is one of another task or network, or there is nobody to show.
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
    options = dict(distance=distance, same_camera=metric.same_camera, k=choice.top_k)
    if choice.paths:
        indices = _query_indices(sets, choice.paths)
        known = [index for index in indices if index is not None and counts[index] > 0]
        by_index = dict(zip(known, sets.show(known, counts, ranks, **options), strict=True))
        others = [path for path, index in zip(choice.paths, indices, strict=True) if index not in by_index]
        found = iter(_search(cfg, checkpoint, others, metric, sets, choice) if others else [])
        shown = [by_index[index] if index in by_index else next(found) for index in indices]
    else:
        shown = sets.show(chosen_queries(sets, counts, ranks, choice), counts, ranks, **options)
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


def chosen_queries(sets: QueryGallery, counts: Tensor, ranks: Tensor, choice: Choice) -> list[int]:
    """Return the indices of the queries to show.

    Args:
        sets: Query and gallery of the test.
        counts: Matches of each query.
        ranks: Result of :func:`~mmosnet.evaluation.ranking.match_ranks`.
        choice: Without paths.

    Raises:
        DataError: An identity that no query with a match has.
    """
    valid = counts.nonzero().flatten().tolist()
    aps = dict(zip(valid, average_precisions(counts, ranks).tolist(), strict=True))
    if choice.pids:
        found = {sets.queries[index]['pid'] for index in valid}
        for pid in choice.pids:
            if pid not in found:
                raise DataError(
                    f'no query with a match shows identity {pid}; there are {len(found)} identities, from {min(found)} '
                    f'to {max(found)}'
                )
        valid = [index for index in valid if sets.queries[index]['pid'] in choice.pids]
    if choice.worst:
        return sorted(valid, key=aps.get)[: choice.number]
    return spread(valid, choice.number)


def _query_indices(sets: QueryGallery, paths: Sequence[str]) -> list[int | None]:
    """Return which test queries the paths name; None for other images."""
    known = {str(Path(query['img_path']).resolve()): index for index, query in enumerate(sets.queries)}
    return [known.get(str(Path(path).resolve())) for path in paths]


def _search(
    cfg: Config, checkpoint: str, paths: Sequence[str], metric: ReIDMetric, sets: QueryGallery, choice: Choice
) -> list[ShownQuery]:
    """Return ranked lists of images of unknown identity: no gallery image is excluded, right or wrong."""
    inferencer = PersonInferencer(cfg, checkpoint)
    found = inferencer(list(paths))
    samples = [dict(embedding=torch.from_numpy(entry['embedding']), pid=UNKNOWN, camid=UNKNOWN) for entry in found]
    query = metric.embeddings(samples)
    # Junk has the same number.
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
    stem = STEM + '_chosen' * bool(choice.paths) + '_worst' * choice.worst + '_reranked' * choice.rerank
    picture = save_ranked_lists(shown, out_dir / f'{stem}.jpg', choice.top_k, title)
    numbers = out_dir / f'{stem}.json'
    report = dict(checkpoint=checkpoint, scores=scores, queries=[asdict(query) for query in shown])
    with whole_file(numbers) as draft:
        draft.write_text(json.dumps(report, indent=2) + '\n')
    return ['', *_table(shown, choice.top_k).splitlines(), '', f'picture  {picture}', f'numbers  {numbers}']


def _table(shown: Sequence[ShownQuery], top_k: int) -> str:
    """A line a query."""
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
