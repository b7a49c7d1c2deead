"""The test data of a config, sent through a trained model: what the pictures of results show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.utils import progress
from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from mmosnet.engine.hooks import compare_names
from mmosnet.engine.report import target_configs
from mmosnet.errors import DataError
from mmosnet.evaluation.metrics import AttributeMetric, CategoryMetric, ReIDMetric
from mmosnet.models.build import load_model
from mmosnet.models.deploy import switch_to_deploy
from mmosnet.registry import EVALUATORS

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


def _tracked(loader: DataLoader):
    """Iterate over the batches, with a progress bar on stderr unless mmpretrain's bars are turned off."""
    console = Console(stderr=True)
    disable = progress.disable_progress_bar or not console.is_terminal
    return track(loader, 'Test data', console=console, transient=True, disable=disable)


def data_name(dataset: Dataset, fact: str = '') -> str:
    """Return the name of a data set, or of its parts that have a fact: the class, and a telling folder."""
    parts = getattr(dataset, 'datasets', None) or [dataset]
    parts = [part for part in parts if getattr(part, 'metainfo', {}).get(fact)] or parts
    return ' and '.join(dict.fromkeys(map(_name, parts)))


def _name(part: Dataset) -> str:
    name, folder = type(part).__name__, Path(getattr(part, 'data_root', None) or '').name
    same = ''.join(filter(str.isalnum, folder)).lower() == name.lower()
    return f'{name} ({folder})' if folder and not same else name
