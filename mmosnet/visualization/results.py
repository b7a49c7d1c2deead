"""Pictures of results, from a config and a checkpoint.

The config and the checkpoints that a user names for a picture.

Curves in files: JSON, which this reads again for another figure, and CSV for other programs.

The test data of a config, sent through a trained model: what the pictures of results show.

From a config and checkpoints, or curves saved before, to the figures of CMC and ROC: pictures and numbers.

From a config and a checkpoint to ranked lists of chosen queries: a picture, numbers and a table.

From a config and a checkpoint to people with their attributes: of the test set with wrong ones marked, or any.

From a config and a checkpoint to the confusion matrix of the test set: a picture, numbers and a table.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.utils import progress
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmosnet.apis.inferencer import PersonInferencer
from mmosnet.datasets.check import image_files, spread
from mmosnet.datasets.transforms import read_image
from mmosnet.drawing.figures import (
    CmcCurve,
    RocCurve,
    cmc_table,
    draw_cmc,
    draw_roc,
    most_confused_pairs,
    roc_table,
    save_confusion_matrix,
    save_figure,
    thinned,
)
from mmosnet.drawing.people import per_attribute_table, save_attribute_sheet, save_ranked_lists
from mmosnet.drawing.tables import text_table
from mmosnet.engine.hooks import compare_names
from mmosnet.engine.launch import load_config
from mmosnet.engine.report import target_configs
from mmosnet.errors import DataError
from mmosnet.evaluation.attributes import THRESHOLD
from mmosnet.evaluation.distances import Distances, Embeddings
from mmosnet.evaluation.metrics import AttributeMetric, CategoryMetric, ReIDMetric, ShownAttributes
from mmosnet.evaluation.ranking import (
    QueryGallery,
    ShownQuery,
    average_precisions,
    cmc_curve,
    drawn_cmc,
    drawn_ranks,
    match_ranks,
    ranked_lists,
    retrieval_scores,
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
from mmosnet.io.files import read_json, whole_file
from mmosnet.io.regions import split_region
from mmosnet.models.build import find_trained, load_model
from mmosnet.models.deploy import switch_to_deploy
from mmosnet.progress import tracked
from mmosnet.registry import EVALUATORS


def trained_config(
    model: str, checkpoints: Sequence[str], options: dict | None = None, data_root: str | None = None
) -> tuple[Config, list[str]]:
    """Read a config for this machine, and find its checkpoints.

    Args:
        model: A config file, or a name in ``model-index.yml``.
        checkpoints: Files, addresses, or ``'released'`` for the weights of a name.
        options: Overrides from ``--cfg-options``.
        data_root: Folder of the data set; the config's by default.

    Raises:
        FileNotFoundError: No such config.
        DataError: No such name, or no released weights.
    """
    found = [find_trained(model, checkpoint)[1] for checkpoint in checkpoints]
    return load_config(model, options, None, 'none', data_root), found


def write_curves(path: Path, kind: str, curves: Sequence[dict]) -> Path:
    """Write curves as JSON.

    Args:
        path: The file; its folder is made.
        kind: Kind of the figure: ``'cmc'`` or ``'roc'``.
        curves: Numbers and lists of numbers by name.
    """
    with whole_file(path) as draft:
        draft.write_text(json.dumps(dict(kind=kind, curves=list(curves)), indent=1) + '\n')
    return path


def read_curves(path: str | Path, kind: str, keys: Iterable[str]) -> list[dict]:
    """Read the curves that :func:`write_curves` wrote.

    Args:
        path: The file.
        kind: Kind of the figure.
        keys: Keys that every curve must have.

    Raises:
        FileNotFoundError: No such file.
        DataError: Another kind of file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no file {path}: `mmosnet visualize {kind}` writes {kind}.json')
    content = read_json(path, f'give a {kind}.json of `mmosnet visualize {kind}`')
    found = content.get('kind') if isinstance(content, dict) else None
    if found != kind or not isinstance(content.get('curves'), list):
        what = f'curves of the kind {found}' if found else 'no curves'
        raise DataError(f'{path} holds {what}: give a {kind}.json of `mmosnet visualize {kind}`')
    for curve in content['curves']:
        missing = [key for key in keys if not isinstance(curve, dict) or key not in curve]
        if missing:
            raise DataError(f'{path}: a curve without {", ".join(missing)}; write the file anew')
    return content['curves']


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> Path:
    """Write rows as CSV, floating point numbers unrounded."""
    with whole_file(path) as draft, draft.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


Metric = TypeVar('Metric', bound=BaseMetric)

#: Sub-commands of ``mmosnet visualize`` that draw results, by the metric that they need.
COMMANDS = {
    ReIDMetric: 'ranked, cmc, roc',
    AttributeMetric: 'attributes',
    CategoryMetric: 'confusion',
}


#: What a data set says of itself that has labels for a metric.
FACTS = {ReIDMetric: 'num_cross_camera_queries', AttributeMetric: 'attributes', CategoryMetric: 'classes'}


@dataclass(frozen=True)
class Evaluated:
    """A metric that has seen all test data.

    Attributes:
        metric: Metric that has collected its ``results`` but not computed its scores.
        data_name: Name of the data sets that have its labels.
    """

    metric: BaseMetric
    data_name: str


def target_config(cfg: Config, target: str | None) -> Config:
    """Return the config of one of several data sets that a config is tested on.

    Args:
        cfg: Config that may have ``test_targets``.
        target: One of them; None where there is nothing to choose.

    Raises:
        DataError: No such target, or one must be chosen.
    """
    configs = target_configs(cfg)
    if target is None and len(configs) == 1:
        return next(iter(configs.values()))
    if target not in configs:
        known = ', '.join(cfg.test_targets) if cfg.get('test_targets') else 'its own data set alone'
        raise DataError(f'{cfg.filename} is tested on {known}: choose one with --target NAME, not {target}')
    return configs[target]


def build_metric(cfg: Config, kind: type[Metric]) -> tuple[Evaluator, Metric]:
    """Build the evaluator of a config's test, and return it with the wanted metric.

    Raises:
        DataError: The config's test has no such metric; says which sub-command fits.
    """
    if cfg.get('test_evaluator') is None or cfg.get('test_dataloader') is None:
        raise DataError(f'{cfg.filename} has no test: no test_evaluator or no test_dataloader')
    settings = cfg.test_evaluator
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        if isinstance(settings, Mapping) and 'metrics' in settings:
            evaluator = EVALUATORS.build(dict(settings, type=settings.get('type', 'Evaluator')))
        else:
            evaluator = Evaluator(settings)
    found = [metric for metric in evaluator.metrics if isinstance(metric, kind)]
    if not found:
        fitting = [text for other, text in COMMANDS.items() if any(isinstance(m, other) for m in evaluator.metrics)]
        names = ', '.join(type(metric).__name__ for metric in evaluator.metrics)
        raise DataError(
            f'{cfg.filename} is tested by {names}, and this picture needs {kind.__name__}. Sub-commands of '
            f'`mmosnet visualize` that fit this config: {", ".join([*fitting, "activation, gates"])}'
        )
    return evaluator, found[0]


def evaluate(cfg: Config, checkpoint: str, kind: type[Metric]) -> Evaluated:
    """Send all test data through a model in the form for prediction, as ``mmosnet test`` does.

    Args:
        cfg: Config with ``model``, ``test_dataloader`` and ``test_evaluator``.
        checkpoint: Checkpoint of the model.
        kind: The metric that is wanted.

    Raises:
        FileNotFoundError: No such checkpoint or data.
        DataError: The checkpoint belongs to another network, or the config to another task.
    """
    # What fails fast comes first.
    evaluator, metric = build_metric(cfg, kind)
    model = load_model(cfg, checkpoint, testing=True)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        loader = Runner.build_dataloader(cfg.test_dataloader)
    metainfo = getattr(loader.dataset, 'metainfo', {})
    compare_names(model.head, model._dataset_meta or {}, f'The training set of {checkpoint}', metainfo)
    evaluator.dataset_meta = metainfo
    model = switch_to_deploy(model).to(get_device())
    with torch.no_grad():
        for batch in _tracked(loader):
            evaluator.process(data_batch=batch, data_samples=model.test_step(batch))
    return Evaluated(metric, data_name(loader.dataset, FACTS[kind]))


def _tracked(loader: DataLoader) -> Iterator[dict]:
    """Return the batches, with a bar on stderr unless mmpretrain's are turned off."""
    return tracked(loader, 'batches of test data', disable=progress.disable_progress_bar)


def data_name(dataset: Dataset, fact: str = '') -> str:
    """Return the name of a data set, or of its parts that have a fact: the class, and a telling folder."""
    parts = getattr(dataset, 'datasets', None) or [dataset]
    parts = [part for part in parts if getattr(part, 'metainfo', {}).get(fact)] or parts
    return ' and '.join(dict.fromkeys(map(_name, parts)))


def _name(part: Dataset) -> str:
    name, folder = type(part).__name__, Path(getattr(part, 'data_root', None) or '').name
    same = ''.join(filter(str.isalnum, folder)).lower() == name.lower()
    return f'{name} ({folder})' if folder and not same else name


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
            kind: Same as in :func:`~mmosnet.visualization.results.read_curves`.
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
    """Lay out one line per query."""
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


# A row of the sheet holds four, of some 200 to 500 rows of pixels; a JPEG file has at most 65,535.
MOST_PEOPLE = 400
ATTRIBUTE_PEOPLE_STEM = 'attributes'


def visualize_attributes(
    cfg: Config, checkpoint: str, images: Sequence[str], number: int, out_dir: Path, worst: bool = False
) -> list[str]:
    """Draw people with their attributes.

    Args:
        cfg: Config of a model that predicts attributes.
        checkpoint: Checkpoint of the model.
        images: Files and folders; people of the test set if empty.
        number: Number of people of the test set, or per folder.
        out_dir: Gets ``attributes.jpg`` and ``attributes.json``; the names say if the images are the user's, or worst.
        worst: Show the people of the test set with the most wrong and missed attributes.

    Returns:
        Lines that tell what was found and where it is.

    Raises:
        FileNotFoundError: No such checkpoint, data, image or folder.
        DataError: A model without attributes, of another network, or an image that cannot be read.
    """
    if images and worst:
        raise DataError('--worst is for the test set: nobody knows the attributes of your own images')
    files = image_files(images, number)
    if not 1 <= max(number, len(files)) <= MOST_PEOPLE:
        raise DataError(f'{max(number, len(files))} people on a sheet: choose 1 to {MOST_PEOPLE} with --num-images')
    if files:
        people, lines = _predicted(cfg, checkpoint, files)
        stem, title = f'{STEM}_predicted', [f'{len(people)} images, attributes predicted by {checkpoint}']
    else:
        people, title, lines = _tested(cfg, checkpoint, number, worst)
        stem = f'{STEM}_worst' if worst else ATTRIBUTE_PEOPLE_STEM
    picture = save_attribute_sheet(people, out_dir / f'{stem}.jpg', title=title)
    numbers = out_dir / f'{stem}.json'
    report = dict(checkpoint=checkpoint, people=list(map(asdict, people)))
    with whole_file(numbers) as draft:
        draft.write_text(json.dumps(report, indent=1) + '\n')
    return [*title, '', *lines, '', f'picture  {picture}', f'numbers  {numbers}']


def num_wrong(person: ShownAttributes) -> int:
    """Count the attributes of a person that are predicted wrongly or missed."""
    return int(((np.array(person.scores) >= THRESHOLD) != np.array(person.gt)).sum())


def _tested(
    cfg: Config, checkpoint: str, number: int, worst: bool
) -> tuple[list[ShownAttributes], list[str], list[str]]:
    """Return people of the test set, a title for them, and the scores of all attributes."""
    evaluated = evaluate(cfg, checkpoint, AttributeMetric)
    metric = evaluated.metric
    total = len(metric.results)
    # Of all people the worst are sought.
    metric.num_shown = total if worst else number
    scores = metric.evaluate(total)
    scores = {name.rpartition('/')[2]: value for name, value in scores.items()}
    people = metric.shown
    if worst:
        people = sorted(people, key=num_wrong, reverse=True)[:number]
    which = 'with the most wrong and missed attributes' if worst else 'spread over the set'
    told = ', '.join(f'{key} {scores[key]:.3f}' for key in ('mA', 'F1', 'mAP'))
    title = [f'{evaluated.data_name}: {total:,} images; {told}', f'{len(people)} images {which}']
    return people, title, [per_attribute_table(metric.per_attribute)]


def _predicted(cfg: Config, checkpoint: str, files: Sequence[str]) -> tuple[list[ShownAttributes], list[str]]:
    """Return the user's images with their predictions, and one line for each."""
    inferencer = PersonInferencer(cfg, checkpoint)
    if 'attributes' not in inferencer.tasks.heads:
        raise DataError(f'{cfg.filename}: its model predicts {", ".join(inferencer.tasks.heads)}, and no attributes')
    people, lines = [], []
    for result in inferencer(list(files)):
        names, scores = zip(*result['attributes'].items(), strict=True)
        people.append(ShownAttributes(result['img_path'], list(names), None, list(scores)))
        told = ', '.join(name for name, score in zip(names, scores, strict=True) if score >= THRESHOLD) or 'none'
        lines.append(f'{result["img_path"]}: {told}')
    return people, lines


# Pairs of categories in the printed table.
TOLD_PAIRS = 10


def visualize_confusion(cfg: Config, checkpoint: str, out_dir: Path) -> list[str]:
    """Draw ``confusion_matrix.png`` and write all counts to ``confusion_matrix.csv``.

    Args:
        cfg: Config with a category test.
        checkpoint: Checkpoint of the model.
        out_dir: Gets the files.

    Returns:
        Lines that tell what was found and where it is.

    Raises:
        FileNotFoundError: No such checkpoint or data.
        DataError: The config is one of another task or network.
    """
    evaluated = evaluate(cfg, checkpoint, CategoryMetric)
    metric = evaluated.metric
    scores = metric.evaluate(len(metric.results))
    confusion, classes = metric.confusion, metric.classes
    path = out_dir / 'confusion_matrix.png'
    figure = save_confusion_matrix(confusion, classes, path, data=evaluated.data_name)
    rows = ([name, *row] for name, row in zip(classes, confusion.tolist(), strict=True))
    table = write_table(out_dir / 'confusion_matrix.csv', ['true / predicted', *classes], rows)
    told = ', '.join(f'{name.rpartition("/")[2]} {value:.2f} %' for name, value in scores.items())
    lines = [
        f'{evaluated.data_name}: {int(confusion.sum()):,} images; {told}',
        '',
        'most often taken for each other',
    ]
    pairs = most_confused_pairs(confusion)[:TOLD_PAIRS]
    for first, second in pairs:
        if confusion[first, second] < confusion[second, first]:
            first, second = second, first
        here, there = confusion[first, second], confusion[second, first]
        reverse = f', {classes[second]} for {classes[first]} {there:,}' if there else ''
        lines.append(f'{here + there:>7,}  {classes[first]} for {classes[second]} {here:,}{reverse}')
    if not len(pairs):
        lines.append('  none')
    return [*lines, '', f'picture  {figure}', f'numbers  {table}']
