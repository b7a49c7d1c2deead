"""Checkpoints to resume from: find the newest one that loads, and compare its settings with those of now."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.logging import MMLogger
from torch import Tensor

from mmosnet.errors import DataError
from mmosnet.models.checkpoints import load_checkpoint, load_file, not_numbers

TEMPLATES = ('epoch_{}.pth', 'iter_{}.pth')
LAST_CHECKPOINT = 'last_checkpoint'
# Settings that are compared, and those of them that the checkpoint overrides.
COMPARED = (
    *('model', 'data_preprocessor', 'train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'randomness'),
    *('auto_scale_lr', 'custom_hooks', 'val_dataloader', 'val_evaluator'),
)
HELD = ('optim_wrapper.optimizer.', 'param_scheduler.', 'randomness.seed', 'auto_scale_lr.')
# Settings of loaders that change only the speed.
INDIFFERENT = re.compile(r'.*_dataloader\.(num_workers|persistent_workers|pin_memory|prefetch_factor)')
# Hooks that "mmosnet train" adds.
ADDED_HOOKS = ('mmosnet.CheckpointFitHook', 'mmosnet.DivergenceHook')
MOST_LINES = 20


class FoundCheckpoint(NamedTuple):
    """A checkpoint to resume from.

    Attributes:
        path: Path or address of the file.
        content: Content of the file.
    """

    path: str
    content: dict


def checkpoint_files(folder: str | Path, template: str | None = None) -> list[Path]:
    """List the checkpoints in a folder, newest first: by number, those without a number last.

    Args:
        folder: Folder of the checkpoints; it may be missing.
        template: Names of the run's own checkpoints, with ``{}`` for the number; these come before others.
    """
    folder = Path(folder)
    suffix = Path(template or '').suffix or '.pth'
    paths = {path for pattern in ('*.pth', f'*{suffix}') for path in folder.glob(pattern) if path.is_file()}
    known = [template] * (template is not None) + [name for name in TEMPLATES if name != template]
    patterns = [re.escape(name).replace(r'\{\}', r'(\d+)') for name in known]

    def age(path: Path) -> tuple:
        for index, pattern in enumerate(patterns):
            if match := re.fullmatch(pattern, path.name):
                return (2 if template is not None and index == 0 else 1), int(match[1])
        return 0, path.stat().st_mtime

    return sorted((path for path in paths if not path.name.startswith('.')), key=age, reverse=True)


def find_newest(work_dir: str | Path, saving: Mapping | None = None) -> FoundCheckpoint | None:
    """Find the newest checkpoint of a run that loads; log which one, and which were skipped and why.

    The name in ``last_checkpoint`` is only used if the folder has no checkpoints: it may be missing, older than the
    last checkpoint, or name a folder that was moved.

    Args:
        work_dir: Work directory of the run.
        saving: Settings of its ``CheckpointHook``: ``out_dir``, ``filename_tmpl``, ``by_epoch``.

    Returns:
        The checkpoint; None if there is none.

    Raises:
        DataError: There are checkpoints, and none loads.
    """
    saving = saving or {}
    template = saving.get('filename_tmpl') or (TEMPLATES[not saving['by_epoch']] if 'by_epoch' in saving else None)
    folder = Path(work_dir)
    if saving.get('out_dir') and '://' not in str(saving['out_dir']):
        folder = Path(saving['out_dir']) / folder.name
    named = _last_checkpoint(work_dir)
    candidates = checkpoint_files(folder, template)
    if not candidates and folder != Path(work_dir):
        candidates = checkpoint_files(work_dir, template)
    if not candidates and os.path.isfile(named):
        candidates = [Path(named)]
    skipped = []
    for path in candidates:
        try:
            content = load_file(path, map_location='cpu')
            fault = state_fault(content)
        except DataError as e:
            fault = str(e).removeprefix(f'{path} was not loaded: ')
        if fault is None:
            _log_choice(path, content, skipped, named)
            return FoundCheckpoint(str(path), content)
        skipped.append(f'{path.name} ({fault})')
    if skipped:
        raise DataError(
            f'--resume: none of the {len(skipped)} checkpoints in {folder} can be resumed: {"; ".join(skipped[:5])}. '
            'Start anew in another --work-dir'
        )
    return None


def newest_checkpoint(work_dir: str | Path) -> str | None:
    """Return the path that :func:`find_newest` finds; replaces mmengine's ``find_latest_checkpoint``."""
    newest = find_newest(work_dir)
    return None if newest is None else newest.path


def _last_checkpoint(work_dir: str | Path) -> str:
    """Return the text of the file ``last_checkpoint``; empty if it is missing."""
    path = Path(work_dir) / LAST_CHECKPOINT
    return path.read_text(errors='replace').strip() if path.is_file() else ''


def _log_choice(path: Path, content: Mapping, skipped: Sequence[str], named: str) -> None:
    meta = content['meta']
    text = f'Resuming from {path}, epoch {meta["epoch"]}, iteration {meta["iter"]}'
    if skipped:
        text += f'; skipped {"; ".join(skipped[:5])}'
    elif named and Path(named).name != path.name:
        text += f'; last_checkpoint names {named[:100]!r}'
    logger = MMLogger.get_current_instance()
    (logger.warning if skipped else logger.info)(text)


def read_resumable(source: str) -> FoundCheckpoint:
    """Read the checkpoint that a user names.

    Raises:
        FileNotFoundError: No such file.
        DataError: It is damaged, or holds no state of a training.
    """
    content = load_checkpoint(source, map_location='cpu')
    fault = state_fault(content)
    if fault is not None:
        raise DataError(f'{source} cannot be resumed: {fault}')
    return FoundCheckpoint(source, content)


def state_fault(content: object) -> str | None:
    """Return why training cannot resume from the content of a file; None if it can."""
    if not isinstance(content, Mapping) or not isinstance(content.get('state_dict'), Mapping):
        return 'it holds no state_dict of a training'
    meta = content.get('meta')
    counters = [meta.get(key) for key in ('epoch', 'iter')] if isinstance(meta, Mapping) else [None]
    if any(type(counter) is not int or counter < 0 for counter in counters):
        return f'it does not say after which epoch and iteration it was written (meta: {counters})'
    if 'optimizer' not in content or not isinstance(content.get('message_hub'), Mapping):
        return "weights alone, without the optimizer's state: start from them with --cfg-options load_from=FILE"
    for wrapper in _optimizers(content['optimizer']):
        groups, state = (wrapper.get(key) for key in ('param_groups', 'state')) if wrapper is not None else (None, None)
        if not isinstance(groups, list) or not isinstance(state, Mapping):
            return "its optimizer's state is damaged"
        if not all(isinstance(group, Mapping) and isinstance(group.get('params'), list) for group in groups):
            return "its optimizer's state is damaged"
        for index, moments in state.items():
            if not isinstance(moments, Mapping):
                return "its optimizer's state is damaged"
            for name, value in moments.items():
                if isinstance(value, Tensor) and value.is_floating_point() and not bool(value.isfinite().all()):
                    return f'{name} of parameter {index} in its optimizer is NaN or infinite: its training had failed'
    for part in ('state_dict', 'ema_state_dict'):
        weights = content.get(part, {})
        if not isinstance(weights, Mapping) or not all(isinstance(name, str) for name in weights):
            return f'its {part} is damaged'
        if lost := not_numbers(weights):
            return lost
    return None


def _optimizers(saved: object) -> Iterator[Mapping | None]:
    """Yield the state of each optimizer; None for a state that is not a mapping."""
    if not isinstance(saved, Mapping):
        yield None
    elif 'param_groups' in saved:
        yield saved
    else:
        yield from (part if isinstance(part, Mapping) else None for part in saved.values())


def check_settings(checkpoint: FoundCheckpoint, cfg: Config) -> None:
    """Refuse to resume with incompatible settings; log each of the other differences on one line.

    Args:
        checkpoint: The checkpoint.
        cfg: The present settings.

    Raises:
        DataError: The checkpoint has more epochs or iterations than the training, or other schedules.
    """
    meta, path = checkpoint.content['meta'], checkpoint.path
    for counter, key in (('epoch', 'max_epochs'), ('iter', 'max_iters')):
        most = (cfg.get('train_cfg') or {}).get(key)
        if isinstance(most, int) and meta[counter] > most:
            raise DataError(
                f'{path} cannot be resumed: it has {meta[counter]} {counter}s behind it, and train_cfg.{key} is '
                f'{most}. Resume with more of them, or test it with "mmosnet test"'
            )
    then, now = _settings(meta.get('cfg')), _settings(cfg.pretty_text)
    if not then:
        return
    kinds = [{key: str(value) for key, value in side.items() if _is_schedule(key)} for side in (then, now)]
    if kinds[0] != kinds[1]:
        raise DataError(
            f'{path} cannot be resumed: its param_scheduler were {", ".join(kinds[0].values()) or "none"}, and are '
            f'{", ".join(kinds[1].values()) or "none"} now. Resume with those, or start anew from its weights, without '
            f'--resume: --cfg-options load_from={path}'
        )
    world_size = int(os.environ.get('WORLD_SIZE', 1)) if cfg.get('launcher') == 'pytorch' else 1
    if 'world_size' in meta and cfg.get('launcher') in ('none', 'pytorch'):
        then['number of processes'], now['number of processes'] = meta['world_size'], world_size
    keys = [key for key in dict.fromkeys([*then, *now]) if not INDIFFERENT.fullmatch(key)]
    nothing = object()
    changed = [key for key in keys if then.get(key, nothing) != now.get(key, nothing)]
    logger = MMLogger.get_current_instance()
    for key in changed[:MOST_LINES]:
        holds = "; the checkpoint's holds" if key.startswith(HELD) else ''
        before, after = (repr(side[key])[:80] if key in side else 'not set' for side in (then, now))
        logger.warning(f'Resuming with other settings: {key} was {before}, is {after}{holds}')
    if len(changed) > MOST_LINES:
        logger.warning(f'Resuming with other settings: and {len(changed) - MOST_LINES} more')


def _is_schedule(key: str) -> bool:
    return key.startswith('param_scheduler.') and key.endswith('.type')


def _settings(text: object) -> dict[str, object]:
    """Return the settings in the text of a config by dotted key, without executing it; empty if parsing fails."""
    if not isinstance(text, str):
        return {}
    try:
        statements = ast.parse(text).body
        return {
            key: value
            for statement in statements
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
            if statement.targets[0].id in COMPARED
            for key, value in _flat(statement.value, statement.targets[0].id)
            if value not in ADDED_HOOKS
        }
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}


def _flat(node: ast.expr, key: str) -> Iterator[tuple[str, object]]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args:
        for part in node.keywords:
            if part.arg is None:
                yield from _flat(part.value, key)
            else:
                yield from _flat(part.value, f'{key}.{part.arg}')
    elif isinstance(node, ast.Dict):
        for name, value in zip(node.keys, node.values, strict=True):
            yield from _flat(value, f'{key}.{ast.unparse(name).strip(chr(39)) if name else ""}')
    elif isinstance(node, (ast.List, ast.Tuple)) and any(isinstance(part, (ast.Call, ast.Dict)) for part in node.elts):
        for number, part in enumerate(node.elts):
            yield from _flat(part, f'{key}.{number}')
    else:
        try:
            value = ast.literal_eval(node)
        except ValueError:
            value = ast.unparse(node)
        yield key, list(value) if isinstance(value, tuple) else value
