"""From a config, its overrides (``--cfg-options``) and the options of a command to a Runner.

mmengine merges any override, and a misspelled key changes nothing. Here a key must stand in the config, or be an
argument of the class that its dict configures.
"""

from __future__ import annotations

import copy
import difflib
import inspect
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mmengine.registry
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.logging import MMLogger
from mmengine.model import ExponentialMovingAverage, MomentumAnnealingEMA
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, LogProcessor, Runner, TestLoop, ValLoop
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import BATCH_AUGMENTS
from torch import nn

import mmosnet.registry
from mmosnet.engine.resume import check_settings, checkpoint_files, find_newest, read_resumable
from mmosnet.engine.runner import (
    SLOW_BFLOAT16,
    QuietRunner,
    bfloat16_pays,
    check_launcher,
    connection_errors,
    start_gloo,
)
from mmosnet.engine.safe_checkpoint import install_safe_checkpoints
from mmosnet.errors import DataError
from mmosnet.evaluation.distances import QueryExpansion
from mmosnet.evaluation.re_ranking import ReRanking
from mmosnet.models.build import find_config_path, read_config
from mmosnet.synthetic.datasets import write_synthetic_objects, write_synthetic_people
from mmosnet.synthetic.tracklets import write_synthetic_tracklets

DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# Keys that every dict of a config may have.
RESERVED = {'type', '_delete_', '_scope_'}
# Keys at the top of a config: arguments of Runner, keys that Runner reads besides, and ours.
TOP = {
    *inspect.signature(Runner.__init__).parameters,
    *('model_wrapper_cfg', 'sync_bn', 'find_unused_parameters', 'activation_checkpointing', 'efficient_conv_bn_eval'),
    *('compile', 'runner_type', 'test_best', 'test_targets'),
} - {'self', 'cfg'}
DEFAULT_HOOKS = {'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'}
# Keys of dicts without a type, by the name of the dict.
PARTS: dict[str, set[str]] = {
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'mp_cfg': {'mp_start_method', 'opencv_num_threads'},
    'auto_scale_lr': {'enable', 'base_batch_size'},
    'paramwise_cfg': {
        *('custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'dwconv_decay_mult', 'flat_decay_mult'),
        *('bypass_duplicate', 'dcn_offset_lr_mult'),
    },
    'custom_keys': set(),
    'data_prefix': {'img_path'},
    'dist_cfg': {'backend', 'init_backend', 'timeout', 'init_method', 'store', 'group_name', 'pg_options', 'device_id'},
}
# Functions and classes whose arguments are in a dict without a type, by the name of the dict.
CALLED: dict[str, Sequence[Callable]] = {
    'randomness': (Runner.set_randomness,),
    'log_processor': (LogProcessor,),
    'val_cfg': (ValLoop,),
    'test_cfg': (TestLoop,),
    'optim_wrapper': (OptimWrapper,),
    **dict.fromkeys(DATALOADERS, (torch.utils.data.DataLoader,)),
    'rerank': (ReRanking,),
    'query_expansion': (QueryExpansion,),
    'generation': (write_synthetic_people, write_synthetic_objects, write_synthetic_tracklets),
    'data_preprocessor': (ClsDataPreprocessor,),
}
# Keys that are taken out of a dict before its class is built with the others.
TAKEN_OUT = {
    'optim_wrapper': {'optimizer', 'constructor', 'paramwise_cfg'},
    **{name: {'num_batch_per_epoch'} for name in DATALOADERS},
    'param_scheduler': {'convert_to_iter_based'},
    'train_cfg': {'by_epoch'},
    'norm_cfg': {'requires_grad'},
    'init_cfg': {'override', 'layer'},
    'default_hooks': DEFAULT_HOOKS,
    'custom_hooks': {'priority'},
}
# Functions and classes that get the ``**kwargs`` of a class instead of its parent.
FORWARDED = {
    CheckpointHook: (Runner.save_checkpoint,),
    EMAHook: (ExponentialMovingAverage, MomentumAnnealingEMA),
}
# Names of dicts whose ``type`` is no registered class.
UNREGISTERED = ('clip_grad', 'worker_init_fn')
REGISTRIES = [part for part in vars(mmengine.registry).values() if isinstance(part, Registry)] + [BATCH_AUGMENTS]
# Packages whose classes pass ``**kwargs`` on to their parents.
PASSING_ON = ('mmosnet', 'mmengine')


def merge_options(cfg: Config, options: Mapping[str, object] | None) -> None:
    """Merge overrides into a config, in place.

    Args:
        cfg: The config.
        options: Values by dotted keys, ``optim_wrapper.optimizer.lr``; an index counts in a list,
            ``param_scheduler.0.end``.

    Raises:
        DataError: Nothing reads a key; names the nearest one.
    """
    flat = dict(_flatten(options or {}))
    if not flat:
        return
    merged = copy.deepcopy(cfg)
    for key in flat:
        _open(cfg, merged, key)
    try:
        merged.merge_from_dict(copy.deepcopy(dict(options)))
    except (TypeError, KeyError) as e:
        raise DataError(f'--cfg-options {" ".join(flat)}: {e.args[0]}') from e
    scope = cfg.get('default_scope') or 'mmengine'
    with DefaultScope.overwrite_default_scope(scope):
        for key in flat:
            _check(cfg, merged, key)
    cfg.__setstate__(merged.__getstate__())


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the most similar name; None if none is similar."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)), None)


def accepted(called: Callable) -> tuple[set[str], bool]:
    """Return the argument names of a class or function, including those that a class passes on to its parents.

    Returns:
        The names, and whether other names are accepted too.
    """
    for kind, functions in FORWARDED.items():
        if inspect.isclass(called) and issubclass(called, kind):
            names = {name for function in (kind, *functions) for name in _own(function)[0]}
            return names | _own(called)[0], False
    if not inspect.isclass(called):
        return _own(called)
    names = set()
    takes_more = False
    for parent in called.__mro__:
        if '__init__' not in vars(parent):
            continue
        if parent in (object, nn.Module):
            # A class below uses its ``**kwargs`` itself.
            return names, takes_more
        own, takes_more = _own(parent)
        names |= own
        if not takes_more:
            return names, False
        if parent.__module__.partition('.')[0] not in PASSING_ON:
            return names, True
    return names, False


def _own(called: Callable) -> tuple[set[str], bool]:
    try:
        parameters = inspect.signature(called.__init__ if inspect.isclass(called) else called).parameters.values()
    except (TypeError, ValueError):
        return set(), True
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = {parameter.name for parameter in parameters if parameter.kind in plain} - {'self', 'runner', 'params'}
    return names, any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


def _flatten(options: Mapping, prefix: str = '') -> Iterator[tuple[str, object]]:
    for key, value in options.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value


def _open(cfg: Config, merged: Config, key: str) -> None:
    """Create dicts for keys below a setting that is None; refuse keys below a number or text."""
    node = merged._cfg_dict
    steps = key.split('.')
    for depth, step in enumerate(steps[:-1]):
        index = _index(node, step)
        if index is None:
            if isinstance(node, (list, tuple)):
                _refuse(cfg, key, depth, map(str, range(len(node))))
            return
        if node[index] is None and isinstance(node, dict):
            node[index] = ConfigDict()
        elif not isinstance(node[index], (dict, list)):
            above = '.'.join(steps[: depth + 1])
            raise DataError(f'--cfg-options {key}: {above} is {node[index]!r}, nothing is below it; set it as a whole')
        node = node[index]
    if isinstance(node, list) and _index(node, steps[-1]) is None:
        _refuse(cfg, key, len(steps) - 1, map(str, range(len(node))))


def _index(node: object, step: str) -> str | int | None:
    """Return the key or index of one step of a dotted key in a dict or list; None if it is missing."""
    if isinstance(node, dict):
        return step if step in node else None
    return int(step) if isinstance(node, (list, tuple)) and step.isdigit() and int(step) < len(node) else None


def _check(cfg: Config, merged: Config, key: str) -> None:
    """Follow a dotted key from the top, and refuse the first step that neither the config nor the class has."""
    before, after, path = cfg._cfg_dict, merged._cfg_dict, ['']
    for depth, step in enumerate(key.split('.')):
        # A config file also has variables at the top, which nothing reads after the file itself.
        known, takes_more = _known(path, before, after) if depth else (TOP, False)
        written = depth and _index(before, step) is not None
        if not (written or takes_more or step in known or (depth and step in RESERVED)):
            _refuse(cfg, key, depth, {*known, *(before if depth and isinstance(before, dict) else ())})
        before, after = (None if (i := _index(node, step)) is None else node[i] for node in (before, after))
        if not step.isdigit():
            # Entries of a list have the name of the list.
            path.append(step)
    if path[-1] == 'type' and path[-2] not in UNREGISTERED and isinstance(after, str) and not _registered(after):
        similar = nearest(after, _registered_names())
        hint = f'; nearest: {similar}' if similar else ''
        raise DataError(f'--cfg-options {key}={after}: no class is registered under this name{hint}')


def _known(path: Sequence[str], before: object, after: object) -> tuple[Iterable[str], bool]:
    """Return which further keys a dict may have, and whether it accepts any others.

    Args:
        path: Keys that lead to the dict.
        before: The dict in the config.
        after: The dict with the overrides.
    """
    name, above = path[-1], path[-2]
    if not isinstance(after, dict):
        return (), isinstance(before, list)
    if name in PARTS:
        # Another constructor of the optimizer wrapper reads other keys.
        return PARTS[name], name == 'custom_keys' or 'constructor' in after
    if above == 'custom_keys':
        return ('lr_mult', 'decay_mult'), False
    taken_out = TAKEN_OUT.get(name, set())
    if name == 'clip_grad':
        called = [nn.utils.clip_grad_value_ if after.get('type') == 'value' else nn.utils.clip_grad_norm_]
    elif 'type' in after:
        called = _registered(after['type'])
    elif name == 'train_cfg' and above != 'model':
        called = [EpochBasedTrainLoop if after.get('by_epoch', True) else IterBasedTrainLoop]
    elif name in CALLED:
        called = CALLED[name]
    elif isinstance(before, dict) and any(isinstance(value, dict) and 'type' in value for value in before.values()):
        # Parts under names of the user's choice: a new name needs a whole part.
        return taken_out | {k for k, value in after.items() if isinstance(value, dict) and 'type' in value}, False
    else:
        called = []
    arguments = [accepted(each) for each in called]
    return taken_out.union(*(names for names, _ in arguments)), not arguments or any(more for _, more in arguments)


def _registered(name: str | Callable) -> list[Callable]:
    """Return the classes that a type in a config may mean in the current scope."""
    if not isinstance(name, str):
        return [name]
    classes = (registry.get(name) for registry in _registries())
    return [cls for cls in classes if cls is not None]


def _registries() -> Iterator[Registry]:
    """Yield the registries in which the current scope looks up a type."""
    for root in REGISTRIES:
        if root.children:
            with root.switch_scope_and_registry(None) as registry:
                yield registry
        else:
            yield root


def _registered_names() -> Iterator[str]:
    """Yield the possible names of a type: those of the current scope, of its parents, and ours."""
    for registry in _registries():
        while registry is not None:
            yield from registry.module_dict
            registry = registry.parent
    for registry in vars(mmosnet.registry).values():
        if isinstance(registry, Registry) and registry.scope == 'mmosnet':
            yield from (f'mmosnet.{name}' for name in registry.module_dict)


def _refuse(cfg: Config, key: str, depth: int, known: Iterable[str]) -> None:
    """Raise an error for a key whose step at ``depth`` is none of the ``known`` ones."""
    what, known = 'no such setting', sorted(known)
    steps = key.split('.')
    if depth == 0:
        known = [name for name in known if name in cfg]
        if steps[0] in cfg:
            what = f'{steps[0]} is a variable of the config file, which nothing reads any more'
    # The nearest key: the same end below another key, then a similar step here, then shorter ends.
    paths = list(_paths(cfg._cfg_dict))
    ends = ['.'.join(steps[start:]) for start in range(depth, len(steps))]
    candidates = [next((path for path in paths if path.endswith(f'.{end}')), None) for end in ends]
    similar = nearest(steps[depth], known)
    if similar:
        candidates.insert(1, '.'.join([*steps[:depth], similar, *steps[depth + 1 :]]))
    hint = next((f'nearest: {path}' for path in candidates if path), f'there are {", ".join(known) or "none"}')
    raise DataError(f'--cfg-options {key}: {what}; {hint}')


def _paths(node: object, prefix: str = '') -> Iterator[str]:
    """Yield the dotted keys of all settings that a Runner reads."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        if prefix or key in TOP:
            yield f'{prefix}{key}'
            yield from _paths(value, f'{prefix}{key}.')


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
        DataError: No such name, an override that nothing reads, or ``launcher`` did not start this process.
    """
    check_launcher(launcher, os.environ)
    path = find_config_path(path)
    cfg = read_config(path)
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
        DataError: Names the setting, its value and the smallest possible one.
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
    for name, value, number_type, least in checks:
        types = int if number_type is int else (int, float)
        if value is None or (isinstance(value, types) and not isinstance(value, bool) and least <= value < math.inf):
            continue
        what = 'a whole number' if number_type is int else 'a number'
        raise DataError(f'{name}={value!r}: must be {what} of {least} or more')


def build_runner(cfg: Config) -> Runner:
    """Build a Runner that loads checkpoints safely and, with any config, saves them by our ``CheckpointHook``.

    Raises:
        DataError: The config has no model.
    """
    if cfg.get('model') is None:
        raise DataError(f'{cfg.filename} has no model')
    install_safe_checkpoints()
    _name_checkpoint_hook(cfg)
    with connection_errors():
        return QuietRunner.from_cfg(cfg)


def _name_checkpoint_hook(cfg: Config) -> None:
    """Replace mmengine's ``CheckpointHook``, which Runner adds to a config without one, by ours."""
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
    """Let several processes run without a GPU.

    mmengine selects a GPU when it starts the process group, and names one to DistributedDataParallel. It skips the
    former if a group exists already, and takes ``device_ids`` from the config for the latter.
    """
    if cfg.launcher == 'none':
        return
    # Both are harmless, and a user cannot change them: mmengine uses an old argument, and gradients of weights with a
    # dimension of size 1 have other strides there, which means nothing.
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
    """Return how many seconds the processes of a run wait for each other; None if the config does not say."""
    return ((cfg.get('env_cfg') or {}).get('dist_cfg') or {}).get('timeout')


def resume_from(cfg: Config, checkpoint: str) -> None:
    """Resume from a checkpoint; with ``'auto'`` from the newest one in the work directory that loads.

    An automatic resume that finds no checkpoint starts as the config says, with pretrained weights if it names some.
    mmengine would ignore them, and a job that is always started with ``--resume`` would train from random weights.

    Args:
        cfg: The config; changed in place.
        checkpoint: A file, an address, or ``'auto'``.

    Raises:
        FileNotFoundError: No such checkpoint.
        DataError: It cannot be resumed, with these settings or at all; or no checkpoint in the work directory can.
    """
    if checkpoint == 'auto':
        chosen = find_newest(cfg.work_dir, (cfg.get('default_hooks') or {}).get('checkpoint'))
    else:
        chosen = read_resumable(checkpoint)
    if chosen is None:
        MMLogger.get_current_instance().info(f'Nothing to resume in {cfg.work_dir}: starting anew')
        return
    check_settings(chosen, cfg)
    files = checkpoint_files(cfg.work_dir) if checkpoint != 'auto' and cfg.get('work_dir') else []
    if files and files[0].name != Path(chosen.path).name:
        MMLogger.get_current_instance().warning(
            f'{files[0]} is there too: --resume without a name goes on from that one until this training has come as '
            'far. Delete what is not to be gone on from'
        )
    cfg.resume = True
    cfg.load_from = chosen.path
    add_missing_hook(cfg, 'CheckpointFitHook')


def resume_advice(work_dir: str | Path) -> str:
    """Return the message of an interrupted training: the checkpoint from which it resumes."""
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
    """Return all metrics in an evaluator's config: one metric, several, or several by task."""
    if isinstance(evaluator, dict):
        inner = evaluator.get('metrics')
        return [evaluator] if inner is None else _metrics(list(inner.values()) if isinstance(inner, dict) else inner)
    return [metric for entry in evaluator or [] for metric in _metrics(entry)]
