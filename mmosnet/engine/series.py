"""Series of trainings, each in a separate process; an interrupted series resumes.

``mmosnet train-splits`` trains and averages the splits of a protocol (VIPeR, GRID, CUHK03 classic, iLIDS-VID,
PRID2011). ``mmosnet ablation`` trains the paper's variants of the OSBlock on any data set, and makes one table.
"""

from __future__ import annotations

import copy
import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, DefaultScope

from mmosnet.compatibility import config_files, indexed_models
from mmosnet.engine.launch import DATALOADERS
from mmosnet.engine.report import read_results, results_table
from mmosnet.engine.resume import checkpoint_files, newest_checkpoint
from mmosnet.errors import DataError
from mmosnet.io.files import whole_file
from mmosnet.io.text_tables import markdown_table
from mmosnet.models.build import build_model
from mmosnet.models.complexity import count_complexity

# Start of a command; works from a clone and from a wheel.
COMMAND = (sys.executable, '-m', 'mmosnet')
# Exit codes of an interrupted command, with and without its own handler of signals.
INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)
# Seconds that an interrupted command may take to end.
END_SECONDS = 30
# Advice of an interrupted series of trainings.
GOES_ON = 'the same command goes on from here'
# Starts of settings that may differ between a training and its continuation.
MAY_DIFFER = ('work_dir', 'visualizer', 'train_cfg.max')
SUMMARY_FILE = 'splits.json'
TABLE_FILE = 'ablation.md'
# Name of the config that the rows of the ablation are variants of; theirs are BASE_ROW.
BASE = 'osnet_reid_market_scratch'
# Options of the backbone that the rows change.
OPTIONS = ('num_streams', 'fusion', 'lite', 'same_depth')
# Height and width for which mult-adds are given.
IMAGE_SIZE = (256, 128)


def trained_metrics(work_dir: Path) -> dict | None:
    """Return the metrics of the last evaluation in a training's work directory; None without one."""
    last = read_results(work_dir).get('last')
    return None if last is None else last['metrics']


def train(name: str, cfg: Config, work_dir: Path) -> bool:
    """Train a config in a separate process or resume it where it was interrupted; skip finished trainings.

    Args:
        name: Name of this training: its config is written as ``work_dir/name.py``, its results go to ``work_dir/name``.
        cfg: The config.
        work_dir: Folder of all trainings of the series.

    Returns:
        Whether there was something to train.

    Raises:
        DataError: The training failed, with its reason; or there is an earlier one with other settings.
        KeyboardInterrupt: The training was interrupted.
    """
    last = read_results(work_dir / name).get('last')
    if last is not None or checkpoint_files(work_dir / name):
        _check_same(name, cfg, work_dir)
        if last is not None and last['epoch'] == cfg.train_cfg.max_epochs:
            return False
    config = _write_config(name, cfg, work_dir)
    run_command(f'training {name}', 'train', config, '--work-dir', work_dir / name, '--resume')
    return True


def _check_same(name: str, cfg: Config, work_dir: Path) -> None:
    """Refuse to reuse or resume a training that has other settings."""
    path = work_dir / f'{name}.py'
    if not path.is_file():
        return
    with TemporaryDirectory() as folder:
        # Dumped and read again like the other one: lists become tuples, and dicts have other classes.
        cfg.dump(Path(folder) / path.name)
        before, now = (_flat(Config.fromfile(file).to_dict()) for file in (path, Path(folder) / path.name))
    keys = (key for key in before.keys() | now.keys() if not key.startswith(MAY_DIFFER))
    changed = sorted(key for key in keys if before.get(key) != now.get(key))
    if changed:
        raise DataError(
            f'{work_dir / name} was trained with other settings ({", ".join(changed[:3])}); give another --work-dir, '
            'or delete it'
        )


def _flat(settings: dict, prefix: str = '') -> dict:
    """Return settings by dotted name."""
    flat = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f'{prefix}{key}.')
        else:
            flat[prefix + str(key)] = value
    return flat


def evaluate(name: str, cfg: Config, work_dir: Path, checkpoint: Path) -> None:
    """Evaluate a checkpoint in a separate process; the results are those of :func:`train`.

    Raises:
        DataError: The evaluation failed, with its reason.
    """
    config = _write_config(name, cfg, work_dir)
    run_command(f'testing {name}', 'test', config, checkpoint, '--work-dir', work_dir / name)


def _write_config(name: str, cfg: Config, work_dir: Path) -> Path:
    with whole_file(work_dir / f'{name}.py') as draft:
        cfg.dump(draft)
    return work_dir / f'{name}.py'


def run_command(what: str, *command: str | Path) -> None:
    """Run a command of ``mmosnet`` in a separate process.

    Args:
        what: What the command does, for errors: ``training NAME``.
        command: Name and arguments of the command.

    Raises:
        DataError: The command failed.
        KeyboardInterrupt: The command was interrupted.
    """
    process = subprocess.Popen([*COMMAND, *map(str, command)], stderr=subprocess.PIPE, text=True, errors='replace')
    fault = 'see above'
    try:
        for line in process.stderr:
            # The last line becomes part of our error; our own line about an interruption says more.
            if line.startswith('error: '):
                fault = line.removeprefix('error: ').strip()
            elif not line.startswith('interrupted'):
                print(line, end='', file=sys.stderr, flush=True)
        code = process.wait()
    except BaseException:
        # Ctrl-C in a terminal has reached the command too, and another kind of signal changes nothing there. A signal
        # to this process alone has not reached it.
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    if code in INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise DataError(f'{what} failed: {fault}; once mended, {GOES_ON}')


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

    If the first training fails before the end of an epoch, all splits have the same problem, such as a missing folder
    or a wrong setting: no other split is tried.

    Args:
        cfg: The config of any split.
        splits: Numbers of the splits.
        work_dir: Folder for the config and the results of each split.

    Returns:
        The reason for each failed split.
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
                evaluate(split_name(split), split_config(cfg, split), work_dir, Path(checkpoint))
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


@dataclass(frozen=True)
class AblationRow:
    """One row of the table.

    Attributes:
        name: Short name of the variant.
        options: Options of the backbone.
        published: Rank-1 and mAP on Market-1501 as reported in the paper, in percent.
    """

    name: str
    options: dict
    published: tuple[float, float]


def ablation_rows() -> list[AblationRow]:
    """Return the rows of the paper's table, in its order, from ``configs/ablation``."""
    base = Config.fromfile(config_files()[BASE]).model.backbone
    rows = []
    for model in indexed_models().values():
        if model.config.parent.name != 'ablation':
            continue
        backbone = Config.fromfile(model.config).model.backbone
        rows.append(
            AblationRow(
                name=model.config.stem.removeprefix(f'{BASE}_'),
                options={key: value for key, value in backbone.items() if key not in base},
                published=(model.metrics['Rank-1'], model.metrics['mAP']),
            )
        )
    return rows


def select_rows(rows: Sequence[AblationRow], names: Sequence[str] | None) -> list[AblationRow]:
    """Return the named rows; all rows without names.

    Raises:
        DataError: No row has this name.
    """
    known = {row.name: row for row in rows}
    for name in names or []:
        if name not in known:
            raise DataError(f'no row {name!r} in the table, choose from {", ".join(known)}')
    return [known[name] for name in names or known]


def row_config(cfg: Config, row: AblationRow) -> Config:
    """Return the config of one row: ``cfg`` with the row's backbone.

    Raises:
        DataError: The config's backbone is no OSNet, is itself such a variant, or starts from weights, which fit only
            one row.
    """
    backbone = cfg.model.backbone
    if backbone.type not in ('OSNet', 'mmosnet.OSNet'):
        raise DataError(f'{cfg.filename} has a {backbone.type} for a backbone; the rows are variants of OSNet')
    changed = sorted(set(OPTIONS) & set(backbone))
    if changed:
        raise DataError(f'{cfg.filename} sets {", ".join(changed)} of the backbone, which the rows set themselves')
    if cfg.get('load_from') or backbone.get('init_cfg'):
        raise DataError(
            f'{cfg.filename} starts from weights of the unchanged network; the rows start from random ones: '
            '--cfg-options load_from=None'
        )
    variant = copy.deepcopy(cfg)
    variant.merge_from_dict({f'model.backbone.{key}': value for key, value in row.options.items()})
    return variant


def ablation_table(rows: Sequence[AblationRow], cfg: Config, work_dir: Path) -> str:
    """Return sizes and results as a Markdown table; cells of untrained rows are empty.

    Args:
        rows: The rows.
        cfg: Config of all rows.
        work_dir: Folder of the trainings, which are named after the rows.
    """
    titles = ['row', 'options', 'parameters', 'mult-adds, 256x128', 'Rank-1', 'mAP', 'paper, Market-1501, as reported']
    lines = []
    for row in rows:
        size = count_complexity(build_model(row_config(cfg, row)), *IMAGE_SIZE).total
        metrics = trained_metrics(work_dir / row.name) or {}
        cells = [row.name, ' '.join(f'{key}={value}' for key, value in row.options.items())]
        cells += [f'{size.parameters:,}', f'{size.mult_adds / 1e6:.1f} M']
        cells += [f'{metrics[key]:.3f}' if key in metrics else '' for key in ('reid/Rank-1', 'reid/mAP')]
        lines.append([*cells, f'{row.published[0]} / {row.published[1]}'])
    return markdown_table(titles, lines)
