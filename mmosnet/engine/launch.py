"""What ``mmosnet train`` and ``mmosnet test`` share: from a config to a Runner."""

from __future__ import annotations

import math
import os
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmosnet.engine.autocast_optim_wrapper import SLOW_BFLOAT16, bfloat16_pays
from mmosnet.engine.config_options import merge_options
from mmosnet.engine.distributed_run import check_launcher, connection_errors, start_gloo, watched_processes
from mmosnet.engine.quiet_runner import QuietRunner
from mmosnet.engine.resume import check_settings, checkpoint_files, find_newest, read_resumable
from mmosnet.engine.safe_checkpoint import install_safe_checkpoints
from mmosnet.errors import DataError, user_errors
from mmosnet.models.build import find_config_path

__all__ = [
    'add_hook',
    'add_missing_hook',
    'build_runner',
    'check_numbers',
    'dist_timeout',
    'load_config',
    'resume_advice',
    'resume_from',
    'score_more',
    'use_amp',
    'user_errors',
    'watched_processes',
]

DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def load_config(
    path: str, options: dict | None, work_dir: str | None, launcher: str, data_root: str | None = None
) -> Config:
    """Read a config and adapt it to this machine.

    Args:
        path: The config file, or the name of a config or of a model in ``model-index.yml``.
        options: Overrides from ``--cfg-options``.
        work_dir: Folder that the run writes to; ``work_dirs/NAME_OF_CONFIG`` by default.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.
        data_root: Folder of the data set, for all loaders; the config's by default.

    Raises:
        FileNotFoundError: No such config.
        DataError: No such name, an override that nothing reads, or a process that ``launcher`` did not start.
    """
    check_launcher(launcher, os.environ)
    path = find_config_path(path)
    cfg = Config.fromfile(path)
    merge_options(cfg, options)
    cfg.work_dir = work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(path).stem)
    cfg.launcher = launcher
    for name in DATALOADERS:
        if cfg.get(name) is not None:
            _fit_dataloader(cfg[name])
            if data_root is not None:
                cfg[name].dataset.data_root = data_root
    if find_spec('tensorboard') is not None and 'visualizer' in cfg:
        backends = cfg.visualizer.setdefault('vis_backends', [])
        if all(backend['type'] != 'TensorboardVisBackend' for backend in backends):
            backends.append(dict(type='TensorboardVisBackend'))
    _fit_distributed(cfg)
    return cfg


def check_numbers(cfg: Config) -> None:
    """Check numbers that would fail late or not at all: zero epochs, an empty batch, a negative learning rate.

    Raises:
        DataError: Names the setting, its value and what it can be.
    """
    loops = cfg.get('train_cfg') or {}
    loaders = {name: cfg.get(name) or {} for name in DATALOADERS}
    optimizer = (cfg.get('optim_wrapper') or {}).get('optimizer') or {}
    checks: list[tuple[str, Any, type, int]] = [
        (f'train_cfg.{key}', loops.get(key), int, 1) for key in ('max_epochs', 'max_iters', 'val_interval')
    ]
    for name, loader in loaders.items():
        checks += [(f'{name}.batch_size', loader.get('batch_size'), int, 1)]
        checks += [(f'{name}.num_workers', loader.get('num_workers'), int, 0)]
    checks += [('optim_wrapper.optimizer.lr', optimizer.get('lr'), float, 0)]
    checks += [('randomness.seed', (cfg.get('randomness') or {}).get('seed'), int, 0)]
    for name, value, kind, least in checks:
        numbers = int if kind is int else (int, float)
        if value is None or (isinstance(value, numbers) and not isinstance(value, bool) and least <= value < math.inf):
            continue
        what = 'a whole number' if kind is int else 'a number'
        raise DataError(f'{name}={value!r}: must be {what} of {least} or more')


def build_runner(cfg: Config) -> Runner:
    """Build a Runner that loads checkpoints safely and, whatever its config, saves them by our ``CheckpointHook``."""
    install_safe_checkpoints()
    _name_checkpoint_hook(cfg)
    with connection_errors():
        return QuietRunner.from_cfg(cfg)


def _name_checkpoint_hook(cfg: Config) -> None:
    """Put our ``CheckpointHook`` in the place of mmengine's, which Runner adds where a config does not mention it."""
    hooks = dict(cfg.get('default_hooks') or {})
    hooks.setdefault('checkpoint', dict(type='CheckpointHook'))
    cfg.default_hooks = hooks
    for hook in [*cfg.default_hooks.values(), *(cfg.get('custom_hooks') or [])]:
        if isinstance(hook, dict) and hook.get('type') in ('CheckpointHook', 'mmengine.CheckpointHook', CheckpointHook):
            hook['type'] = 'mmosnet.CheckpointHook'


def _fit_dataloader(loader: dict) -> None:
    """Pin memory only for a GPU; keep workers between epochs only if there are any."""
    loader.setdefault('pin_memory', torch.cuda.is_available())
    if loader.get('num_workers', 0) == 0:
        loader['persistent_workers'] = False


def _fit_distributed(cfg: Config) -> None:
    """Make several processes run without a GPU.

    mmengine selects a GPU when it starts the process group and names one to DistributedDataParallel. It skips the
    first where a group exists already, and takes ``device_ids`` from the config for the second.
    """
    if cfg.launcher == 'none':
        return
    # Both harmless and nothing that a user could change: mmengine's spelling of an argument, and gradients of weights
    # with a dimension of size 1, whose strides there mean nothing.
    warnings.filterwarnings('ignore', message='`broadcast_buffers` is deprecated', category=FutureWarning)
    warnings.filterwarnings('ignore', message='Grad strides do not match bucket view strides', category=UserWarning)
    if torch.cuda.is_available():
        return
    if cfg.launcher != 'pytorch':
        raise DataError(f'--launcher {cfg.launcher} needs GPUs; on CPUs start the processes with torchrun and pytorch')
    if not torch.distributed.is_initialized():
        start_gloo(dist_timeout(cfg))
    wrapper = dict(type='MMDistributedDataParallel', broadcast_buffers=False)
    wrapper.update(cfg.get('model_wrapper_cfg') or {})
    wrapper['device_ids'] = None
    cfg.model_wrapper_cfg = wrapper


def dist_timeout(cfg: Config) -> float | None:
    """Return how many seconds the processes of a run wait for each other, if the config says so."""
    return ((cfg.get('env_cfg') or {}).get('dist_cfg') or {}).get('timeout')


def resume_from(cfg: Config, checkpoint: str) -> None:
    """Resume from a checkpoint; with ``'auto'`` from the newest one in the work directory that loads.

    An automatic resume that finds no checkpoint at all starts as the config says, pretrained weights included: mmengine
    would forget those, and a job that is always started with ``--resume`` would train from random weights.

    Raises:
        FileNotFoundError: No such checkpoint.
        DataError: It cannot be resumed, with these settings or at all; or none of those in the work directory can.
    """
    if checkpoint == 'auto':
        found = find_newest(cfg.work_dir, (cfg.get('default_hooks') or {}).get('checkpoint'))
    else:
        found = read_resumable(checkpoint)
    if found is None:
        MMLogger.get_current_instance().info(f'Nothing to resume in {cfg.work_dir}: starting anew')
        return
    check_settings(found, cfg)
    files = checkpoint_files(cfg.work_dir) if checkpoint != 'auto' and cfg.get('work_dir') else []
    if files and files[0].name != Path(found.path).name:
        MMLogger.get_current_instance().warning(
            f'{files[0]} is there too: --resume without a name goes on from that one until this training has come as '
            'far. Delete what is not to be gone on from'
        )
    cfg.resume = True
    cfg.load_from = found.path
    add_missing_hook(cfg, 'CheckpointFitHook')


def resume_advice(work_dir: str | Path) -> str:
    """Return what an interrupted training reports: the checkpoint from which it resumes."""
    checkpoints = checkpoint_files(work_dir)
    if not checkpoints:
        return f'no checkpoint in {work_dir} yet; the same command starts anew'
    return f'the last checkpoint is {checkpoints[0]}; the same command with --resume goes on from it'


def use_amp(cfg: Config) -> None:
    """Train in mixed precision: float16 with loss scaling on a GPU, bfloat16 on a CPU.

    Raises:
        DataError: The CPU only emulates bfloat16.
    """
    if not bfloat16_pays():
        raise DataError(f'--amp: {SLOW_BFLOAT16}. Leave --amp out')
    if torch.cuda.is_available():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    else:
        cfg.optim_wrapper.type = 'mmosnet.AutocastOptimWrapper'


def add_hook(cfg: Config, hook: str) -> None:
    """Add a hook of mmosnet to those of the config."""
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type=f'mmosnet.{hook}')]


def add_missing_hook(cfg: Config, hook: str) -> None:
    """Add a hook of mmosnet unless the config has it already."""
    if not any(hook in str(other['type']) for other in cfg.get('custom_hooks') or []):
        add_hook(cfg, hook)


def score_more(cfg: Config, rerank: bool, verification: bool) -> None:
    """Make the test report more than the plain ranking.

    Args:
        cfg: Config with a ``test_evaluator``, whose re-ranking settings are kept.
        rerank: Also report scores after k-reciprocal re-ranking.
        verification: Also report AUC, EER, and true positive rates with their thresholds.

    Raises:
        DataError: No ``ReIDMetric`` in the config.
    """
    metrics = [metric for metric in _metrics(cfg.test_evaluator) if metric['type'].rpartition('.')[2] == 'ReIDMetric']
    if (rerank or verification) and not metrics:
        raise DataError('--rerank and --verification need a config with test_evaluator.type=mmosnet.ReIDMetric')
    for metric in metrics:
        if rerank and metric.get('rerank') is None:
            metric['rerank'] = dict()
        if verification:
            metric['verification'] = True


def _metrics(evaluator: dict | list | None) -> list[dict]:
    """Return the metrics in an evaluator's config: one, several, or several by task."""
    if isinstance(evaluator, dict):
        inner = evaluator.get('metrics')
        return [evaluator] if inner is None else _metrics(list(inner.values()) if isinstance(inner, dict) else inner)
    return [metric for entry in evaluator or [] for metric in _metrics(entry)]
