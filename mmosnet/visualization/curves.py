"""Curves of re-identification, CMC and ROC: from config and checkpoints or from saved curves to figures and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
from mmengine.config import Config

from mmosnet.drawing.figures import CmcCurve, RocCurve, cmc_table, draw_cmc, draw_roc, roc_table, save_figure, thinned
from mmosnet.engine.report import target_configs
from mmosnet.errors import DataError
from mmosnet.evaluation.metrics import ReIDMetric
from mmosnet.evaluation.ranking import (
    QueryGallery,
    cmc_curve,
    match_ranks,
    retrieval_scores,
    sampled_cmc,
    sampled_ranks,
)
from mmosnet.evaluation.re_ranking import ReRankedDistances
from mmosnet.evaluation.verification import (
    FALSE_POSITIVE_RATES,
    area_under_curve,
    compare_pairs,
    equal_error_rate,
    operating_point,
    roc_curve,
)
from mmosnet.io.files import read_json
from mmosnet.visualization.results import evaluate, target_config, write_json, write_table

Curve = TypeVar('Curve', CmcCurve, RocCurve)


def read_curves(path: str | Path, kind: str, keys: Iterable[str]) -> list[dict]:
    """Read saved curves.

    Args:
        path: A file that ``mmosnet visualize cmc`` or ``roc`` has written.
        kind: Kind of the curves: ``'cmc'`` or ``'roc'``.
        keys: Keys that every curve must have.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: The file holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no file {path}: `mmosnet visualize {kind}` writes {kind}.json')
    content = read_json(path, f'give a {kind}.json of `mmosnet visualize {kind}`')
    saved_kind = content.get('kind') if isinstance(content, dict) else None
    if saved_kind != kind or not isinstance(content.get('curves'), list):
        what = f'curves of the kind {saved_kind}' if saved_kind else 'no curves'
        raise DataError(f'{path} holds {what}: give a {kind}.json of `mmosnet visualize {kind}`')
    for curve in content['curves']:
        missing = [key for key in keys if not isinstance(curve, dict) or key not in curve]
        if missing:
            raise DataError(f'{path}: a curve without {", ".join(missing)}; write the file anew')
    return content['curves']


@dataclass(frozen=True)
class CurveSource:
    """Source of a figure's curves.

    Attributes:
        cfg: Config of a re-identification test; None without checkpoints.
        checkpoints: Checkpoints of its model. Each gives one curve per target of the config.
        saved: Files of curves, drawn after those of the checkpoints.
        names: Names of all curves in order; by default those of the files.
        target: Name of the only target to test on, for a config with several.
    """

    cfg: Config | None
    checkpoints: Sequence[str] = ()
    saved: Sequence[str] = ()
    names: Sequence[str] = ()
    target: str | None = None

    def tests(self) -> list[tuple[str, str, Config]]:
        """Return name, checkpoint and config of each test."""
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

    def renamed(self, curves: list[Curve]) -> list[Curve]:
        """Return the curves with the user's names.

        Raises:
            DataError: There are more or fewer names than curves.
        """
        if not self.names:
            return curves
        if len(self.names) != len(curves):
            present = ', '.join(curve.name for curve in curves)
            raise DataError(f'--names gives {len(self.names)} names to {len(curves)} curves: {present}')
        return [replace(curve, name=name) for curve, name in zip(curves, self.names, strict=True)]

    def saved_curves(self, kind: str, curve: type[Curve], out_dir: Path) -> list[Curve]:
        """Read the curves in the files.

        Args:
            kind: Kind of the curves: ``'cmc'`` or ``'roc'``.
            curve: Class of the curves.
            out_dir: Folder of the new file.

        Raises:
            DataError: The new file would overwrite one of them, or as in :func:`read_curves`.
        """
        new = (out_dir / f'{kind}.json').resolve()
        if new in [Path(path).resolve() for path in self.saved]:
            raise DataError(f'{new} is one of the saved files and would be overwritten: give another --out-dir')
        keys = [field.name for field in fields(curve)]
        entries = [entry for path in self.saved for entry in read_curves(path, kind, keys)]
        return [curve(**{key: entry[key] for key in keys}) for entry in entries]


def checkpoint_names(checkpoints: Sequence[str]) -> list[str]:
    """Return the names of checkpoint files without folder and suffix; with the folder where names would be equal."""
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
        out_dir: Folder for the files.
        max_rank: Length of the curves.
        rerank: Draw a second curve per checkpoint, after k-reciprocal re-ranking.

    Returns:
        Lines with the results and the paths of the files.

    Raises:
        FileNotFoundError: A checkpoint, data set or file is missing.
        DataError: The config belongs to another task or network, or a file holds no such curves.
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
    return [*cmc_table(curves).splitlines(), '', *_files('cmc', curves, figure, table)]


def cmc_of(
    metric: ReIDMetric, sets: QueryGallery, name: str, data: str, max_rank: int, rerank: bool = False
) -> CmcCurve:
    """Return the curve of an evaluation, under the metric's protocol.

    Args:
        metric: The metric. Its settings say how to compare.
        sets: Result of its ``query_gallery``.
        name: Name of the curve.
        data: Name of the test data.
        max_rank: Length of the curve; limited to the number of gallery images.
        rerank: Rank by k-reciprocal re-ranking.
    """
    query, gallery = sets.query_set, sets.gallery_set
    distance = metric.distance
    if rerank:
        distance = ReRankedDistances(query.features, gallery.features, distance, metric.rerank)
    counts, ranks = match_ranks(query, gallery, distance, metric.same_camera)
    scores = retrieval_scores(counts, ranks, topk=(), average_precision=metric.average_precision)
    max_rank = min(max_rank, len(gallery))
    if metric.protocol == 'single_gallery_shot':
        shares = sampled_cmc(sampled_ranks(query, gallery, distance, metric.same_camera), tuple(range(1, max_rank + 1)))
        cmc = list(shares.values())
    else:
        cmc = cmc_curve(counts, ranks, max_rank).tolist()
    return CmcCurve(name, data, scores['mAP'], scores['mINP'], cmc)


def visualize_roc(source: CurveSource, out_dir: Path, det: bool = False) -> list[str]:
    """Draw ``roc.png``, or ``det.png``, and write ``roc.csv`` and ``roc.json``.

    Args:
        source: Source of the curves.
        out_dir: Folder for the files.
        det: Draw missed pairs on a logarithmic axis.

    Returns:
        Lines with the results and the paths of the files.

    Raises:
        FileNotFoundError: A checkpoint, data set or file is missing.
        DataError: The config belongs to another task or network, or a file holds no such curves.
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
    return [*roc_table(curves).splitlines(), '', *_files('roc', curves, figure, table)]


def roc_of(metric: ReIDMetric, sets: QueryGallery, name: str, data: str) -> RocCurve:
    """Return the curve of an evaluation. Its pairs are those of the ranking.

    Args:
        metric: The metric. Its settings say how to compare.
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


def _files(kind: str, curves: Sequence[CmcCurve | RocCurve], figure: Path, table: Path) -> list[str]:
    """Write curves as JSON, and return the lines that name all files."""
    content = dict(kind=kind, curves=[asdict(curve) for curve in curves])
    numbers = write_json(table.with_suffix('.json'), content)
    return [f'picture  {figure}', f'numbers  {table}', f'         {numbers} (for --saved)']
