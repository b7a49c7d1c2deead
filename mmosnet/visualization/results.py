"""Send the test data of a config through a trained model, and draw its attributes and its confusion matrix."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.utils import progress
from torch.utils.data import Dataset

from mmosnet.apis.inferencer import PersonInferencer
from mmosnet.datasets.check import image_files
from mmosnet.drawing.figures import most_confused_pairs, save_confusion_matrix
from mmosnet.drawing.people import per_attribute_table, save_attribute_sheet
from mmosnet.engine.checks import compare_names
from mmosnet.engine.launch import load_config
from mmosnet.engine.report import target_configs
from mmosnet.errors import DataError
from mmosnet.evaluation.attributes import THRESHOLD
from mmosnet.evaluation.metrics import AttributeMetric, CategoryMetric, ReIDMetric, ShownAttributes
from mmosnet.io.files import whole_file
from mmosnet.models.build import find_trained, load_model
from mmosnet.models.deploy import switch_to_deploy
from mmosnet.progress import tracked
from mmosnet.registry import EVALUATORS

Metric = TypeVar('Metric', bound=BaseMetric)

#: Sub-commands of ``mmosnet visualize`` that draw results, by the metric that they need.
COMMANDS = {
    ReIDMetric: 'ranked, cmc, roc',
    AttributeMetric: 'attributes',
    CategoryMetric: 'confusion',
}
# Keys of a data set's metainfo that only a data set with labels for the metric has.
LABELS = {ReIDMetric: 'num_cross_camera_queries', AttributeMetric: 'attributes', CategoryMetric: 'classes'}
# A row of the sheet of attributes holds four people and has some 200 to 500 rows of pixels; a JPEG file has at most
# 65,535.
MOST_PEOPLE = 400
# Pairs of categories in the printed table.
LISTED_PAIRS = 10


def trained_config(
    model: str, checkpoints: Sequence[str], options: dict | None = None, data_root: str | None = None
) -> tuple[Config, list[str]]:
    """Read the config for a picture, and find its checkpoints.

    Args:
        model: Config file, name of a config, or name in ``model-index.yml``.
        checkpoints: Files, addresses, or ``'released'`` for the weights of a name.
        options: Overrides of settings of the config, as from ``--cfg-options``.
        data_root: Folder of the data set; by default the config's.

    Raises:
        FileNotFoundError: No such config.
        DataError: No such name, or no released weights.
    """
    found = [find_trained(model, checkpoint)[1] for checkpoint in checkpoints]
    return load_config(model, options, None, 'none', data_root), found


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> Path:
    """Write rows as CSV, with unrounded numbers; create the folder."""
    with whole_file(path) as draft, draft.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_json(path: Path, content: Any) -> Path:
    """Write a value as JSON; create the folder."""
    with whole_file(path) as draft:
        draft.write_text(json.dumps(content, indent=1) + '\n')
    return path


@dataclass(frozen=True)
class Evaluated:
    """A metric that has seen all test data.

    Attributes:
        metric: The metric. It has collected its ``results``, but not computed its scores.
        data_name: Name of the data sets that have its labels.
    """

    metric: BaseMetric
    data_name: str


def target_config(cfg: Config, target: str | None) -> Config:
    """Return the config of one of several data sets that a config is tested on.

    Args:
        cfg: Config that may have ``test_targets``.
        target: Name of one of them; None for a config that has no more than one.

    Raises:
        DataError: There is no such target, or one must be chosen.
    """
    configs = target_configs(cfg)
    if target is None and len(configs) == 1:
        return next(iter(configs.values()))
    if target not in configs:
        known = ', '.join(cfg.test_targets) if cfg.get('test_targets') else 'its own data set alone'
        raise DataError(f'{cfg.filename} is tested on {known}: choose one with --target NAME, not {target}')
    return configs[target]


def build_metric(cfg: Config, metric_class: type[Metric]) -> tuple[Evaluator, Metric]:
    """Build the evaluator of a config's test, and return it with the first of its metrics of a class.

    Raises:
        DataError: The config's test has no such metric. The message names the sub-commands that fit.
    """
    if cfg.get('test_evaluator') is None or cfg.get('test_dataloader') is None:
        raise DataError(f'{cfg.filename} has no test: no test_evaluator or no test_dataloader')
    settings = cfg.test_evaluator
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        if isinstance(settings, Mapping) and 'metrics' in settings:
            evaluator = EVALUATORS.build(dict(settings, type=settings.get('type', 'Evaluator')))
        else:
            evaluator = Evaluator(settings)
    for metric in evaluator.metrics:
        if isinstance(metric, metric_class):
            return evaluator, metric
    fitting = [text for other, text in COMMANDS.items() if any(isinstance(m, other) for m in evaluator.metrics)]
    names = ', '.join(type(metric).__name__ for metric in evaluator.metrics)
    raise DataError(
        f'{cfg.filename} is tested by {names}, and this picture needs {metric_class.__name__}. Sub-commands of '
        f'`mmosnet visualize` that fit this config: {", ".join([*fitting, "activation, gates"])}'
    )


def evaluate(cfg: Config, checkpoint: str, metric_class: type[Metric]) -> Evaluated:
    """Send all test data through a model in its deploy form, as ``mmosnet test`` does.

    Args:
        cfg: Config with ``model``, ``test_dataloader`` and ``test_evaluator``.
        checkpoint: Checkpoint of the model.
        metric_class: Class of the metric that collects the predictions.

    Raises:
        FileNotFoundError: There is no such checkpoint or data.
        DataError: The checkpoint belongs to another network, or the config to another task.
    """
    # What fails fast comes first.
    evaluator, metric = build_metric(cfg, metric_class)
    model = load_model(cfg, checkpoint, testing=True)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        loader = Runner.build_dataloader(cfg.test_dataloader)
    metainfo = getattr(loader.dataset, 'metainfo', {})
    compare_names(model.head, model._dataset_meta or {}, f'The training set of {checkpoint}', metainfo)
    evaluator.dataset_meta = metainfo
    model = switch_to_deploy(model).to(get_device())
    with torch.no_grad():
        for batch in tracked(loader, 'batches of test data', disable=progress.disable_progress_bar):
            evaluator.process(data_batch=batch, data_samples=model.test_step(batch))
    return Evaluated(metric, data_name(loader.dataset, LABELS[metric_class]))


def data_name(dataset: Dataset, key: str = '') -> str:
    """Return the name of a data set: its class, and its folder where that says more.

    Args:
        dataset: The data set.
        key: Name only those parts of a joint data set that have this key in their metainfo.
    """
    parts = getattr(dataset, 'datasets', None) or [dataset]
    parts = [part for part in parts if getattr(part, 'metainfo', {}).get(key)] or parts
    names = []
    for part in parts:
        name, folder = type(part).__name__, Path(getattr(part, 'data_root', None) or '').name
        same = ''.join(filter(str.isalnum, folder)).lower() == name.lower()
        names.append(f'{name} ({folder})' if folder and not same else name)
    return ' and '.join(dict.fromkeys(names))


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
    # The worst of all people can be any of them.
    metric.num_shown = total if worst else number
    scores = metric.evaluate(total)
    scores = {name.rpartition('/')[2]: value for name, value in scores.items()}
    people = metric.shown
    if worst:
        people = sorted(people, key=num_wrong, reverse=True)[:number]
    which = 'with the most wrong and missed attributes' if worst else 'spread over the set'
    summary = ', '.join(f'{key} {scores[key]:.3f}' for key in ('mA', 'F1', 'mAP'))
    title = [f'{evaluated.data_name}: {total:,} images; {summary}', f'{len(people)} images {which}']
    return people, title, [per_attribute_table(metric.per_attribute)]


def _predicted(cfg: Config, checkpoint: str, files: Sequence[str]) -> tuple[list[ShownAttributes], list[str]]:
    """Return the user's images with their predictions, and a line for each."""
    inferencer = PersonInferencer(cfg, checkpoint)
    if 'attributes' not in inferencer.tasks.heads:
        raise DataError(f'{cfg.filename}: its model predicts {", ".join(inferencer.tasks.heads)}, and no attributes')
    people, lines = [], []
    for result in inferencer(list(files)):
        names, scores = zip(*result['attributes'].items(), strict=True)
        people.append(ShownAttributes(result['img_path'], list(names), None, list(scores)))
        predicted = [name for name, score in zip(names, scores, strict=True) if score >= THRESHOLD]
        lines.append(f'{result["img_path"]}: {", ".join(predicted) or "none"}')
    return people, lines


def visualize_attributes(
    cfg: Config, checkpoint: str, images: Sequence[str], number: int, out_dir: Path, worst: bool = False
) -> list[str]:
    """Draw people with their attributes.

    Args:
        cfg: Config of a model that predicts attributes.
        checkpoint: Checkpoint of the model.
        images: Files and folders; people of the test set if empty.
        number: Number of people of the test set, or per folder.
        out_dir: Folder for ``attributes.jpg`` and ``attributes.json``; ``attributes_predicted`` for the user's images,
            ``attributes_worst`` with ``worst``.
        worst: Show the people of the test set with the most wrong and missed attributes.

    Returns:
        Lines with the results and the paths of the files.

    Raises:
        FileNotFoundError: There is no such checkpoint, data, image or folder.
        DataError: The model predicts no attributes or is another network, or an image cannot be read.
    """
    if images and worst:
        raise DataError('--worst is for the test set: the true attributes of your own images are unknown')
    files = image_files(images, number)
    if not 1 <= max(number, len(files)) <= MOST_PEOPLE:
        raise DataError(f'{max(number, len(files))} people on a sheet: choose 1 to {MOST_PEOPLE} with --num-images')
    if files:
        people, lines = _predicted(cfg, checkpoint, files)
        stem, title = 'attributes_predicted', [f'{len(people)} images, attributes predicted by {checkpoint}']
    else:
        people, title, lines = _tested(cfg, checkpoint, number, worst)
        stem = 'attributes_worst' if worst else 'attributes'
    picture = save_attribute_sheet(people, out_dir / f'{stem}.jpg', title=title)
    numbers = write_json(out_dir / f'{stem}.json', dict(checkpoint=checkpoint, people=list(map(asdict, people))))
    return [*title, '', *lines, '', f'picture  {picture}', f'numbers  {numbers}']


def visualize_confusion(cfg: Config, checkpoint: str, out_dir: Path) -> list[str]:
    """Draw ``confusion_matrix.png`` and write all counts to ``confusion_matrix.csv``.

    Args:
        cfg: Config with a category test.
        checkpoint: Checkpoint of the model.
        out_dir: Folder for the files.

    Returns:
        Lines with the results and the paths of the files.

    Raises:
        FileNotFoundError: There is no such checkpoint or data.
        DataError: The config belongs to another task or network.
    """
    evaluated = evaluate(cfg, checkpoint, CategoryMetric)
    metric = evaluated.metric
    scores = metric.evaluate(len(metric.results))
    confusion, classes = metric.confusion, metric.classes
    path = out_dir / 'confusion_matrix.png'
    figure = save_confusion_matrix(confusion, classes, path, data=evaluated.data_name)
    rows = ([name, *row] for name, row in zip(classes, confusion.tolist(), strict=True))
    table = write_table(out_dir / 'confusion_matrix.csv', ['true / predicted', *classes], rows)
    summary = ', '.join(f'{name.rpartition("/")[2]} {value:.2f} %' for name, value in scores.items())
    lines = [
        f'{evaluated.data_name}: {int(confusion.sum()):,} images; {summary}',
        '',
        'most often taken for each other',
    ]
    pairs = most_confused_pairs(confusion)[:LISTED_PAIRS]
    for first, second in pairs:
        if confusion[first, second] < confusion[second, first]:
            first, second = second, first
        here, there = confusion[first, second], confusion[second, first]
        reverse = f', {classes[second]} for {classes[first]} {there:,}' if there else ''
        lines.append(f'{here + there:>7,}  {classes[first]} for {classes[second]} {here:,}{reverse}')
    if not len(pairs):
        lines.append('  none')
    return [*lines, '', f'picture  {figure}', f'numbers  {table}']
