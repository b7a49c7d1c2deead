"""Protocols whose result is the mean over splits: VIPeR, GRID, CUHK03 classic (``mmosnet train-splits``)."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, DefaultScope

from mmosnet.engine.launch import DATALOADERS
from mmosnet.engine.results_file import read_results
from mmosnet.engine.results_table import results_table
from mmosnet.engine.resume import checkpoint_files, newest_checkpoint
from mmosnet.engine.training_process import evaluate, train, trained_metrics
from mmosnet.errors import DataError
from mmosnet.io.files import whole_file

SUMMARY_FILE = 'splits.json'


def split_numbers(cfg: Config) -> tuple[int, int]:
    """Return how many splits a config's data set has, and how many consecutive ones share their training.

    Raises:
        DataError: The data set has no splits.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, pipeline=[], lazy_init=True))
    number = getattr(dataset, 'num_splits', 1)
    if number == 1:
        raise DataError(f'{type(dataset).__name__} has one split only: train it with "mmosnet train"')
    return number, getattr(dataset, 'splits_per_training', 1)


def split_config(cfg: Config, split_index: int) -> Config:
    """Return the config of one split."""
    cfg = copy.deepcopy(cfg)
    for name in DATALOADERS:
        cfg[name].dataset.split_index = split_index
    return cfg


def run_splits(cfg: Config, splits: Sequence[int], work_dir: Path) -> dict[int, str]:
    """Train and evaluate splits that are not finished; one that fails does not stop the others.

    If the first training fails before an epoch of it has ended, the cause is not that split's: a missing folder, a
    wrong setting. Then no other split is tried.

    Args:
        cfg: The config, for any split.
        splits: Numbers of the splits.
        work_dir: Gets a config and a folder for each split.

    Returns:
        What went wrong, for each failed split.
    """
    _, shared = split_numbers(cfg)
    failed, some_trained = {}, False
    for split in splits:
        trained = split - split % shared
        before = checkpoint_files(work_dir / split_name(trained))
        try:
            some_trained |= train(split_name(trained), split_config(cfg, trained), work_dir)
            if split != trained and split_metrics(work_dir, split) is None:
                checkpoint = newest_checkpoint(work_dir / split_name(trained))
                evaluate(split_name(split), split_config(cfg, split), work_dir, checkpoint)
        except DataError as e:
            MMLogger.get_current_instance().error(f'split {split}: {e}')
            failed[split] = str(e)
            if not some_trained and checkpoint_files(work_dir / split_name(trained)) == before:
                MMLogger.get_current_instance().error(
                    f'split {split} failed before its first epoch, as the others would: they were not tried. Mend it, '
                    'or leave this split out with --splits'
                )
                break
    return failed


def split_name(split: int) -> str:
    """Return the folder name of a split's run."""
    return f'split_{split:02d}'


def split_metrics(work_dir: Path, split: int) -> dict | None:
    """Return the metrics of a split: those of its last validation, or of its test where it shares a training."""
    folder = work_dir / split_name(split)
    return trained_metrics(folder) or read_results(folder).get('metrics')


def summarize(metrics: Mapping[int, Mapping[str, float]], work_dir: Path) -> str:
    """Write ``splits.json``; return a table of all splits with mean and (sample) standard deviation.

    Args:
        metrics: Metrics of each finished split.
        work_dir: Folder of the file.
    """
    keys = list(next(iter(metrics.values())))
    values = np.array([[split[key] for key in keys] for split in metrics.values()])
    rows = {f'split {split}': row for split, row in metrics.items()}
    spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(len(keys))
    summary = {'mean': dict(zip(keys, values.mean(axis=0), strict=True)), 'std': dict(zip(keys, spread, strict=True))}
    distance = read_results(work_dir / split_name(next(iter(metrics)))).get('distance', '')
    with whole_file(work_dir / SUMMARY_FILE) as draft:
        draft.write_text(json.dumps(dict(splits=rows, **summary), indent=2) + '\n')
    return results_table({**rows, f'mean of {len(rows)}': summary['mean'], 'std': summary['std']}, distance)
