"""Overrides of a config (``--cfg-options``), refused where no one would read them.

mmengine merges any key, and a misspelled one changes nothing. Here a key must stand in the config, or be an argument of
the class that its place in the config names.
"""

from __future__ import annotations

import copy
import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import mmengine.registry
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.model import ExponentialMovingAverage, MomentumAnnealingEMA
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, LogProcessor, Runner, TestLoop, ValLoop
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import BATCH_AUGMENTS
from torch import nn

import mmosnet.registry
from mmosnet.errors import DataError
from mmosnet.evaluation.distances import QueryExpansion
from mmosnet.evaluation.re_ranking import ReRanking
from mmosnet.synthetic.datasets import write_synthetic_objects, write_synthetic_people

# What every dict of a config may hold.
RESERVED = {'type', '_delete_', '_scope_'}
# At the top of a config: arguments of Runner, what Runner looks up besides, and ours.
TOP = {
    *inspect.signature(Runner.__init__).parameters,
    *('model_wrapper_cfg', 'sync_bn', 'find_unused_parameters', 'activation_checkpointing', 'efficient_conv_bn_eval'),
    *('compile', 'runner_type', 'test_best', 'test_targets'),
} - {'self', 'cfg'}
DEFAULT_HOOKS = {'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'}
# Dicts without a type, by their name in the config.
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
# Functions and classes whose arguments a dict without a type holds.
CALLED: dict[str, Sequence[Callable]] = {
    'randomness': (Runner.set_randomness,),
    'log_processor': (LogProcessor,),
    'val_cfg': (ValLoop,),
    'test_cfg': (TestLoop,),
    'optim_wrapper': (OptimWrapper,),
    'train_dataloader': (torch.utils.data.DataLoader,),
    'val_dataloader': (torch.utils.data.DataLoader,),
    'test_dataloader': (torch.utils.data.DataLoader,),
    'rerank': (ReRanking,),
    'query_expansion': (QueryExpansion,),
    'generation': (write_synthetic_people, write_synthetic_objects),
    'data_preprocessor': (ClsDataPreprocessor,),
}
# What is taken out of a dict before its class is built with the rest.
TAKEN_OUT = {
    'optim_wrapper': {'optimizer', 'constructor', 'paramwise_cfg'},
    'train_dataloader': {'num_batch_per_epoch'},
    'val_dataloader': {'num_batch_per_epoch'},
    'test_dataloader': {'num_batch_per_epoch'},
    'param_scheduler': {'convert_to_iter_based'},
    'train_cfg': {'by_epoch'},
    'norm_cfg': {'requires_grad'},
    'init_cfg': {'override', 'layer'},
    'default_hooks': DEFAULT_HOOKS,
    'custom_hooks': {'priority'},
}
# Where ``**kwargs`` go that do not go to a parent.
FORWARDED = {
    CheckpointHook: (Runner.save_checkpoint,),
    EMAHook: (ExponentialMovingAverage, MomentumAnnealingEMA),
}
# Dicts whose type is no name of a class.
UNREGISTERED = ('clip_grad', 'worker_init_fn')
REGISTRIES = [part for part in vars(mmengine.registry).values() if isinstance(part, Registry)] + [BATCH_AUGMENTS]
# Packages whose classes hand ``**kwargs`` on to their parents.
OURS = ('mmosnet', 'mmengine')


def merge_options(cfg: Config, options: Mapping[str, object] | None) -> None:
    """Merge overrides into a config, in place.

    Args:
        cfg: The config.
        options: Values by dotted keys, ``optim_wrapper.optimizer.lr``; an index counts in a list,
            ``param_scheduler.0.end``.

    Raises:
        DataError: No one would read a key; gives the nearest that someone would.
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
    """Return the most similar name; empty if none is similar."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)), None)


def accepted(called: Callable) -> tuple[set[str], bool]:
    """Return the argument names of a class or function, including those that it passes on to its parents.

    Returns:
        The names, and whether it takes others too.
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
            # Of what came here the class itself makes use, if it takes more than it names.
            return names, takes_more
        own, takes_more = _own(parent)
        names |= own
        if not takes_more:
            return names, False
        if parent.__module__.partition('.')[0] not in OURS:
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
    """Create dicts for the keys below a setting that is None; refuse keys below a number or text."""
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
            place = '.'.join(steps[: depth + 1])
            raise DataError(f'--cfg-options {key}: {place} is {node[index]!r}, nothing is below it; set it as a whole')
        node = node[index]
    if isinstance(node, list) and _index(node, steps[-1]) is None:
        _refuse(cfg, key, len(steps) - 1, map(str, range(len(node))))


def _index(node: object, step: str) -> str | int | None:
    """Return the key or index of one step of a dotted key in a dict or list; None where it is missing."""
    if isinstance(node, dict):
        return step if step in node else None
    return int(step) if isinstance(node, (list, tuple)) and step.isdigit() and int(step) < len(node) else None


def _check(cfg: Config, merged: Config, key: str) -> None:
    """Follow a dotted key from the top, and refuse the first step that neither config nor class knows."""
    before, after, path = cfg._cfg_dict, merged._cfg_dict, ['']
    for depth, step in enumerate(key.split('.')):
        # At the top the config also has variables, which no one reads once the file is read.
        known, takes_more = _known(path, before, after) if depth else (TOP, False)
        written = depth and _index(before, step) is not None
        if not (written or takes_more or step in known or (depth and step in RESERVED)):
            _refuse(cfg, key, depth, {*known, *(before if depth and isinstance(before, dict) else ())})
        before, after = (None if (i := _index(node, step)) is None else node[i] for node in (before, after))
        if not step.isdigit():
            # An entry of a list goes by the name of the list.
            path.append(step)
    if path[-1] == 'type' and path[-2] not in UNREGISTERED and isinstance(after, str) and not _registered(after):
        similar = nearest(after, _registered_names())
        hint = f'; nearest: {similar}' if similar else ''
        raise DataError(f'--cfg-options {key}={after}: no class is registered under this name{hint}')


def _known(path: Sequence[str], before: object, after: object) -> tuple[Iterable[str], bool]:
    """Return which further keys a dict may have, and whether it takes any others.

    Args:
        path: The keys that lead to it.
        before: The dict in the config.
        after: The same with the overrides.
    """
    name, above = path[-1], path[-2]
    if not isinstance(after, dict):
        return (), isinstance(before, list)
    if name in PARTS:
        # Another constructor of the optimizer reads other keys.
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
        # Names of the user's, a part each: a new one is a whole part.
        return taken_out | {k for k, value in after.items() if isinstance(value, dict) and 'type' in value}, False
    else:
        called = []
    found = [accepted(each) for each in called]
    return taken_out.union(*(names for names, _ in found)), not found or any(more for _, more in found)


def _registered(name: str | Callable) -> list[Callable]:
    """Return the classes that a type in a config may mean in the current scope."""
    if not isinstance(name, str):
        return [name]
    found = (registry.get(name) for registry in _registries())
    return [kind for kind in found if kind is not None]


def _registries() -> Iterator[Registry]:
    """Return the registries in which the current scope looks up a type."""
    for root in REGISTRIES:
        if root.children:
            with root.switch_scope_and_registry(None) as registry:
                yield registry
        else:
            yield root


def _registered_names() -> Iterator[str]:
    """Return the possible names for a type: those of the current scope, of its parents, and ours."""
    for registry in _registries():
        while registry is not None:
            yield from registry.module_dict
            registry = registry.parent
    for registry in vars(mmosnet.registry).values():
        if isinstance(registry, Registry) and registry.scope == 'mmosnet':
            yield from (f'mmosnet.{name}' for name in registry.module_dict)


def _refuse(cfg: Config, key: str, depth: int, known: Iterable[str]) -> None:
    """Raise for a key whose step at ``depth`` is unknown, where ``known`` are possible."""
    what, known = 'no such setting', sorted(known)
    steps = key.split('.')
    if depth == 0:
        known = [name for name in known if name in cfg]
        if steps[0] in cfg:
            what = f'{steps[0]} is a variable of the config file, which nothing reads any more'
    # As it is below another key, then a similar one here, then the end of it below another key.
    paths = list(_paths(cfg._cfg_dict))
    ends = ['.'.join(steps[start:]) for start in range(depth, len(steps))]
    found = [next((path for path in paths if path.endswith(f'.{end}')), None) for end in ends]
    similar = nearest(steps[depth], known)
    if similar:
        found.insert(1, '.'.join([*steps[:depth], similar, *steps[depth + 1 :]]))
    hint = next((f'nearest: {path}' for path in found if path), f'there are {", ".join(known) or "none"}')
    raise DataError(f'--cfg-options {key}: {what}; {hint}')


def _paths(node: object, prefix: str = '') -> Iterator[str]:
    """Return the dotted keys of all settings that a Runner reads."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        if prefix or key in TOP:
            yield f'{prefix}{key}'
            yield from _paths(value, f'{prefix}{key}.')
