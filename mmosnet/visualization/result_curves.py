"""From a config and checkpoints, or curves saved before, to the figures of CMC and ROC: pictures and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath

import numpy as np
from mmengine.config import Config

from mmosnet.drawing.figures import CmcCurve, RocCurve, cmc_table, draw_cmc, draw_roc, roc_table, save_figure, thinned
from mmosnet.engine.report import target_configs
from mmosnet.errors import DataError
from mmosnet.evaluation.metrics import ReIDMetric
from mmosnet.evaluation.ranking import QueryGallery, cmc_curve, drawn_cmc, drawn_ranks, match_ranks, retrieval_scores
from mmosnet.evaluation.re_ranking import ReRankedDistances
from mmosnet.evaluation.verification import (
    FALSE_POSITIVE_RATES,
    area_under_curve,
    compare_pairs,
    equal_error_rate,
    operating_point,
    roc_curve,
)
from mmosnet.visualization.curve_file import read_curves, write_curves, write_table
from mmosnet.visualization.evaluated_data import evaluate, target_config


@dataclass(frozen=True)
class CurveSource:
    """Where a figure's curves come from.

    Attributes:
        cfg: Config of a re-identification test; None without checkpoints.
        checkpoints: Checkpoints of its model: one curve per checkpoint and target.
        saved: Files of curves, drawn behind.
        names: Names of all curves in order; those of the files by default.
        target: The one data set to test on, of a config with several.
    """

    cfg: Config | None
    checkpoints: Sequence[str] = ()
    saved: Sequence[str] = ()
    names: Sequence[str] = ()
    target: str | None = None

    def tests(self) -> list[tuple[str, str, Config]]:
        """Iterate over the tests: name, checkpoint and config of each."""
        if self.cfg is None:
            return []
        if self.target is not None or not self.cfg.get('test_targets'):
            targets = {'': target_config(self.cfg, self.target)}
        else:
            targets = target_configs(self.cfg)
        return [
            (f'{name}, {target}' if target else name, checkpoint, cfg)
            for name, checkpoint in zip(checkpoint_names(self.checkpoints), self.checkpoints, strict=True)
            for target, cfg in targets.items()
        ]

    def renamed(self, curves: list) -> list:
        """Return the curves with the user's names.

        Raises:
            DataError: Another number of names.
        """
        if not self.names:
            return curves
        if len(self.names) != len(curves):
            found = ', '.join(curve.name for curve in curves)
            raise DataError(f'--names gives {len(self.names)} names to {len(curves)} curves: {found}')
        return [replace(curve, name=name) for curve, name in zip(curves, self.names, strict=True)]

    def saved_curves(self, kind: str, curve: type, out_dir: Path) -> list:
        """Read the curves in the files.

        Args:
            kind: Same as in :func:`~mmosnet.visualization.curve_file.read_curves`.
            curve: The class of one.
            out_dir: Folder of the new file.

        Raises:
            DataError: In place of one of them, or as of that function.
        """
        new = (out_dir / f'{kind}.json').resolve()
        if new in [Path(path).resolve() for path in self.saved]:
            raise DataError(f'{new} is one of the saved files and would be overwritten: give another --out-dir')
        keys = [field.name for field in fields(curve)]
        found = [entry for path in self.saved for entry in read_curves(path, kind, keys)]
        return [curve(**{key: entry[key] for key in keys}) for entry in found]


def checkpoint_names(checkpoints: Sequence[str]) -> list[str]:
    """Return short names: without folder and suffix; with the folder where several would be equal."""
    paths = [PurePosixPath(checkpoint.replace('\\', '/')) for checkpoint in checkpoints]
    stems = [path.name.removesuffix('.pth') for path in paths]
    return [
        stem if stems.count(stem) == 1 else f'{path.parent.name}/{stem}'
        for stem, path in zip(stems, paths, strict=True)
    ]


def visualize_cmc(source: CurveSource, out_dir: Path, max_rank: int = 20, rerank: bool = False) -> list[str]:
    """Draw ``cmc.png``, and write ``cmc.csv`` and ``cmc.json``.

    Args:
        source: Source of the curves.
        out_dir: Gets the files.
        max_rank: Length of the curves.
        rerank: Draw each checkpoint's a second time, after k-reciprocal re-ranking.

    Returns:
        Lines that tell what was found and where it is.

    Raises:
        FileNotFoundError: A missing checkpoint, data set or file.
        DataError: The config is one of another task or network, or a file has no such curves.
    """
    if max_rank < 1:
        raise DataError(f'--max-rank {max_rank}: give 1 or more')
    saved = source.saved_curves('cmc', CmcCurve, out_dir)
    curves = []
    for name, checkpoint, cfg in source.tests():
        evaluated = evaluate(cfg, checkpoint, ReIDMetric)
        metric = evaluated.metric
        sets = metric.query_gallery(metric.results)
        data = f'{evaluated.data_name}, {len(sets.queries):,} queries, {len(sets.gallery):,} gallery images'
        curves.append(cmc_of(metric, sets, name, data, max_rank))
        if rerank:
            curves.append(cmc_of(metric, sets, f'{name}, re-ranked', data, max_rank, rerank=True))
    curves = source.renamed(curves + saved)
    figure = save_figure(draw_cmc(curves), out_dir / 'cmc.png')
    ranks = range(1, max(len(curve.cmc) for curve in curves) + 1)
    rows = ([k, *(curve.cmc[k - 1] if k <= len(curve.cmc) else '' for curve in curves)] for k in ranks)
    table = write_table(out_dir / 'cmc.csv', ['rank', *(curve.name for curve in curves)], rows)
    numbers = write_curves(out_dir / 'cmc.json', 'cmc', [asdict(curve) for curve in curves])
    return [*cmc_table(curves).splitlines(), '', *_files(figure, table, numbers)]


def cmc_of(
    metric: ReIDMetric, sets: QueryGallery, name: str, data: str, max_rank: int, rerank: bool = False
) -> CmcCurve:
    """Return the curve of an evaluation, under the metric's protocol.

    Args:
        metric: Says how to compare.
        sets: Result of its ``query_gallery``.
        name: Name of the curve.
        data: Name of the test data.
        max_rank: Length of the curve; no more than there are gallery images.
        rerank: Rank again by k-reciprocal neighbours.
    """
    query, gallery = sets.query_set, sets.gallery_set
    distance = metric.distance
    if rerank:
        distance = ReRankedDistances(query.features, gallery.features, distance, metric.rerank)
    counts, ranks = match_ranks(query, gallery, distance, metric.same_camera)
    scores = retrieval_scores(counts, ranks, topk=())
    max_rank = min(max_rank, len(gallery))
    if metric.protocol == 'single_gallery_shot':
        shares = drawn_cmc(drawn_ranks(query, gallery, distance, metric.same_camera), tuple(range(1, max_rank + 1)))
        cmc = list(shares.values())
    else:
        cmc = cmc_curve(counts, ranks, max_rank).tolist()
    return CmcCurve(name, data, scores['mAP'], scores['mINP'], cmc)


def visualize_roc(source: CurveSource, out_dir: Path, det: bool = False) -> list[str]:
    """Draw ``roc.png``, or ``det.png``, and write ``roc.csv`` and ``roc.json``.

    Args:
        source: Source of the curves.
        out_dir: Gets the files.
        det: Draw missed pairs on a logarithmic axis.

    Returns:
        Lines that tell what was found and where it is.

    Raises:
        FileNotFoundError: A missing checkpoint, data set or file.
        DataError: The config is one of another task or network, or a file has no such curves.
    """
    saved = source.saved_curves('roc', RocCurve, out_dir)
    curves = []
    for name, checkpoint, cfg in source.tests():
        evaluated = evaluate(cfg, checkpoint, ReIDMetric)
        sets = evaluated.metric.query_gallery(evaluated.metric.results)
        curves.append(roc_of(evaluated.metric, sets, name, evaluated.data_name))
    curves = source.renamed(curves + saved)
    figure = save_figure(draw_roc(curves, det), out_dir / ('det.png' if det else 'roc.png'))
    rows = ([curve.name, *pair] for curve in curves for pair in zip(curve.fpr, curve.tpr, strict=True))
    table = write_table(out_dir / 'roc.csv', ['name', 'false_match_rate', 'true_match_rate'], rows)
    numbers = write_curves(out_dir / 'roc.json', 'roc', [asdict(curve) for curve in curves])
    return [*roc_table(curves).splitlines(), '', *_files(figure, table, numbers)]


def roc_of(metric: ReIDMetric, sets: QueryGallery, name: str, data: str) -> RocCurve:
    """Return the curve of an evaluation; its pairs are those of the ranking.

    Args:
        metric: Says how to compare.
        sets: Result of its ``query_gallery``.
        name: Name of the curve.
        data: Name of the test data.
    """
    pairs = compare_pairs(sets.query_set, sets.gallery_set, metric.distance, metric.same_camera)
    fpr, tpr = roc_curve(pairs)
    points = {}
    for rate in FALSE_POSITIVE_RATES:
        share, threshold = operating_point(pairs, rate)
        threshold = math.sqrt(threshold) if metric.distance == 'euclidean' else threshold
        points[np.format_float_scientific(rate, trim='-', exp_digits=1)] = dict(tpr=share, distance=threshold)
    corners = thinned(fpr.cpu().numpy(), tpr.cpu().numpy())
    return RocCurve(
        name,
        data,
        metric.distance,
        len(pairs.positives),
        pairs.num_negatives,
        area_under_curve(fpr, tpr),
        equal_error_rate(fpr, tpr),
        points,
        *(axis.tolist() for axis in corners),
    )


def _files(figure: Path, table: Path, numbers: Path) -> list[str]:
    return [f'picture  {figure}', f'numbers  {table}', f'         {numbers} (for --saved)']
