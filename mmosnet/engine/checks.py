"""Hooks that check a training.

A check that a checkpoint belongs to the model, before anything is computed with it.

Ends a training that has failed: NaN or infinite losses, weights and batch statistics.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.utils.data import DataLoader, IterableDataset

from mmosnet.engine.resume import newest_checkpoint
from mmosnet.errors import DataError
from mmosnet.models.checkpoints import weights_in
from mmosnet.models.weights import check_fit
from mmosnet.registry import HOOKS

# Settings of a group of parameters that do not tell optimizers apart: schedules set or add them, or some versions of
# torch have them.
INDISTINCT = {
    *('params', 'lr', 'maximize', 'foreach', 'fused', 'capturable', 'differentiable'),
    'decoupled_weight_decay',
}


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Refuse a checkpoint of another network.

    mmengine loads what fits, warns about the rest and goes on: a checkpoint of another width, or a released file that
    was not converted, would be evaluated as a random network. The backbone must fit entirely, and the neck too if the
    checkpoint has one. In training heads may differ: other data sets have other identities. In testing neck and heads
    must fit, but for classifiers of identities.

    A resumed training must fit entirely, the optimizer's state and averaged weights too: torch compares nothing but the
    numbers of parameters, and goes on with moments of other weights, or beyond the end of their memory.
    """

    # Before hooks and Runner take anything from the checkpoint.
    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Correct the iteration count where a resumed training had longer or shorter epochs."""
        loop = runner.train_loop
        if not isinstance(loop, EpochBasedTrainLoop):
            return
        done = loop.epoch * len(loop.dataloader)
        if loop.iter != done:
            runner.logger.warning(
                f'Epochs have {len(loop.dataloader)} iterations now: counting from iteration {done}, not {loop.iter}'
            )
            loop._iter = done

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names and shapes; log what is in the model or the checkpoint alone.

        What is loaded afterwards is the model's own state with the entries that fit: mmengine would repeat all others
        as a warning.

        Raises:
            DataError: Counts what does not fit and names the first entry.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        # Without a name mmengine takes the latest.
        source = str(runner._load_from or Path(runner.work_dir) / 'last_checkpoint')
        found = weights_in(checkpoint, source)
        state = model.state_dict()
        # A test has a training loop's config at most; training may start from a backbone alone.
        testing = not isinstance(runner._train_loop, BaseLoop)
        if runner._resume and not testing:
            _check_resumed(runner, model, checkpoint, found, source)
            return
        check_fit(state, found, source, testing)
        fitting = {
            name: found[name] for name, value in state.items() if name in found and found[name].shape == value.shape
        }
        new = [name for name in state if name not in fitting]
        surplus = [name for name in found if name not in state]
        left_out = f'; left out: {_some(surplus)}' if surplus else ''
        runner.logger.info(
            f'{source}: {len(fitting)} entries used; new in the model: {_some(new) or "nothing"}{left_out}'
        )
        checkpoint['state_dict'] = state | fitting


def _some(names: list[str]) -> str:
    """Return some of the names on one line."""
    return ', '.join(names[:8]) + (f' and {len(names) - 8} more' if len(names) > 8 else '')


def _check_resumed(
    runner: Runner, model: nn.Module, checkpoint: Mapping, found: Mapping[str, Tensor], source: str
) -> None:
    """Refuse to resume the training of another model or optimizer.

    Raises:
        DataError: Counts what does not fit and names the first entry.
    """
    state = model.state_dict()
    lines = _differences(state, found)
    averages = checkpoint.get('ema_state_dict')
    if averages is not None:
        # Under the names of the model, beside a counter of the steps.
        averages = {k.removeprefix('module.'): v for k, v in averages.items() if k.startswith('module.')}
        lines += [f'average of {line}' for line in _differences(state, averages)]
        if not any(isinstance(hook, EMAHook) for hook in runner.hooks):
            lines.append('averaged weights: model no EMAHook, checkpoint ema_state_dict')
    if not lines and 'optimizer' in checkpoint:
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        lines = list(_optimizer_misfits(runner.optim_wrapper, checkpoint['optimizer'], names, runner))
    if lines:
        raise DataError(
            f'{source} cannot be resumed: {len(lines)} entries differ, the first {lines[0]}. Resume with the settings '
            f'that it was trained with; or start anew from its weights, without --resume: --cfg-options '
            f'load_from={source}'
        )


def _differences(model: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Return one line for each name that is on one side alone or has two shapes."""
    names = {**model, **found}
    shapes = [
        [str(tuple(side[name].shape)) if name in side else 'nothing' for side in (model, found)] for name in names
    ]
    return [f'{name}: model {a}, checkpoint {b}' for name, (a, b) in zip(names, shapes, strict=True) if a != b]


def _optimizer_misfits(
    wrapper: OptimWrapper | OptimWrapperDict, saved: Mapping, names: Mapping[int, str], runner: Runner
) -> Iterator[str]:
    """Return one line for each difference between an optimizer and its saved state."""
    if isinstance(wrapper, OptimWrapperDict):
        # Several optimizers by name.
        for name, part in wrapper.items():
            if name in saved:
                yield from _optimizer_misfits(part, saved[name], names, runner)
            else:
                yield f'optimizer {name}: model one, checkpoint nothing'
        return
    optimizer: Optimizer = wrapper.optimizer
    if 'param_groups' not in saved:
        yield f'optimizer: model one, checkpoint several ({", ".join(map(str, saved))})'
        return
    groups, old_groups = optimizer.param_groups, saved['param_groups']
    if len(groups) != len(old_groups):
        yield (
            f'param_groups of the optimizer (paramwise_cfg): model {len(groups)} groups, checkpoint '
            f'{len(old_groups)} groups'
        )
        return
    for number, (group, old) in enumerate(zip(groups, old_groups, strict=True)):
        settings, old_settings = (
            sorted(key for key in part if key not in INDISTINCT and not key.startswith(('initial_', 'max_', 'min_')))
            for part in (group, old)
        )
        if settings != old_settings:
            yield (
                f'optimizer: model {type(optimizer).__name__} with {", ".join(settings)}, checkpoint one with '
                f'{", ".join(old_settings)}'
            )
            return
        if len(group['params']) != len(old['params']):
            yield (
                f'param_groups.{number} of the optimizer: model {len(group["params"])} parameters, checkpoint '
                f'{len(old["params"])}'
            )
            continue
        for parameter, index in zip(group['params'], old['params'], strict=True):
            for key, value in saved['state'].get(index, {}).items():
                # Moments have their parameter's shape, counters of steps have none.
                if isinstance(value, Tensor) and value.dim() and value.shape != parameter.shape:
                    yield (
                        f'{key} of {names.get(id(parameter), index)}: model {tuple(parameter.shape)}, checkpoint '
                        f'{tuple(value.shape)}'
                    )
        # What a schedule changes has its first value beside it.
        held = [
            key
            for key in group
            if key not in ('params', 'lr') and f'initial_{key}' not in old and key in old and group[key] != old[key]
        ]
        if held:
            runner.logger.warning(
                f'param_groups.{number} of the optimizer: '
                + ', '.join(f'{key} {old[key]} of the checkpoint holds, not {group[key]} of the config' for key in held)
            )
            return


# How a message begins that goes to the log file alone.
ALL_FILES = 'Images of the batch that failed: '
# How many of them the error names.
NUM_NAMED = 16
# Loss scaling starts at 65,536 and is halved by each step whose gradients overflow. Below this value float16 has
# nothing left of a gradient: every step is skipped.
LEAST_LOSS_SCALE = 2.0**-24


@HOOKS.register_module()
class DivergenceHook(Hook):
    """End a training whose loss, weights or batch statistics are NaN or infinite, before a checkpoint holds them.

    mmengine trains on, and its ``CheckpointHook`` deletes good checkpoints to make room for those with NaN. The loss is
    looked at in each iteration; this costs a GPU nothing, as mmengine's ``RuntimeInfoHook`` waits for each loss to log
    it. Weights are looked at before each epoch's checkpoint, or each one that is saved by iteration. Infinite gradients
    are no failure where the loss is scaled (``AmpOptimWrapper``): such steps are skipped, unless all of them are.

    A training does not start from weights that are NaN or infinite either. In a distributed run the process whose loss
    it is reports it.
    """

    # After the losses are logged, before schedulers change the learning rate and checkpoints are saved.
    priority = 'BELOW_NORMAL'

    def __init__(self) -> None:
        # Buffers that hold infinity from the start, as masks of attention do.
        self.exempt: set[str] = set()
        # The last iteration in its epoch, and its images.
        self.last: tuple[int, list[str]] = (0, [])

    def before_train(self, runner: Runner) -> None:
        """Check the initial weights, and that the loader has at least one batch.

        Raises:
            DataError: Counts the entries that are NaN or infinite and names the first; or there is no batch.
        """
        loader = runner.train_dataloader
        # A data set without a known length has no sampler of one either.
        if isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset) and len(loader) == 0:
            raise DataError(
                f'no batch to train on: {len(loader.dataset)} images, train_dataloader.batch_size={loader.batch_size}, '
                f'drop_last={loader.drop_last}. Give a smaller batch_size, or drop_last=False'
            )
        model = _plain(runner.model)
        learned = {name for name, _ in model.named_parameters()} | {
            f'{prefix}.{name}' if prefix else name
            for prefix, module in model.named_modules()
            if isinstance(module, _BatchNorm)
            for name, _ in module.named_buffers(recurse=False)
        }
        found = list(_not_finite(model))
        self.exempt = set(found) - learned
        if wrong := [name for name in found if name in learned]:
            source = runner._load_from or (newest_checkpoint(runner.work_dir) if runner._resume else None)
            raise DataError(
                f'{source or "the model"}: {_some(wrong)} NaN or infinite, as a training leaves that has failed: start '
                'from an earlier checkpoint, or anew'
            )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: Mapping | None = None
    ) -> None:
        """Check the losses.

        Raises:
            DataError: Names losses, iteration, images, learning rate and the last good checkpoint.
        """
        found = {key: torch.as_tensor(value).detach() for key, value in (outputs or {}).items() if 'loss' in key}
        losses = {key: float(value) for key, value in found.items() if value.numel() == 1}
        if 'loss' in losses and not math.isfinite(losses['loss']):
            # The sum only where none of its parts is to blame.
            wrong = {key: value for key, value in losses.items() if not math.isfinite(value)}
            parts = {key: value for key, value in wrong.items() if key != 'loss'} or wrong
            what = ', '.join(f'{key} is {value}' for key, value in parts.items())
            if entries := list(_not_finite_data(data_batch)):
                what += f' because of the data: {_some(entries)} NaN or infinite'
            raise DataError(_report(runner, what, batch_idx, batch_images(data_batch)))
        self.last = batch_idx, batch_images(data_batch)
        if _saves_by_iteration(runner):
            self._check_weights(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Check the weights and the loss scaling.

        Raises:
            DataError: As in :meth:`after_train_iter`; for weights it counts them and names the first.
        """
        self._check_weights(runner)
        scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
        if scaler is not None and scaler.is_enabled() and scaler.get_scale() < LEAST_LOSS_SCALE:
            what = (
                f'loss scaling is down to {scaler.get_scale():.1g}: gradients overflow in each step, and nothing is '
                'learned; leave --amp out'
            )
            raise DataError(_report(runner, what, *self.last))

    def _check_weights(self, runner: Runner) -> None:
        wrong = [name for name in _not_finite(_plain(runner.model)) if name not in self.exempt]
        if wrong:
            what = f'{_some(wrong)} NaN or infinite, although the losses were finite'
            raise DataError(_report(runner, what, *self.last))


def _plain(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model


def _not_finite(model: nn.Module) -> Iterator[str]:
    """Return the names of parameters and buffers with an entry that is NaN or infinite."""
    entries = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    entries = {name: value.detach() for name, value in entries.items() if value.is_floating_point()}
    by_device: dict[torch.device, dict[str, Tensor]] = {}
    for name, value in entries.items():
        by_device.setdefault(value.device, {})[name] = value.isfinite().all()
    # One transfer for each device.
    for finite in by_device.values():
        flags = torch.stack(list(finite.values())).tolist()
        yield from (name for name, flag in zip(finite, flags, strict=True) if not flag)


def _not_finite_data(batch: object) -> Iterator[str]:
    """Return the labels and inputs of a batch that are NaN or infinite."""
    samples = _samples(batch)
    files = batch_images(batch) or list(map(str, range(len(samples))))
    for file, sample in zip(files, samples, strict=False):
        for key, value in getattr(sample, 'items', dict)():
            if isinstance(value, Tensor) and not value.isfinite().all():
                yield f'{key} of {file}'
    inputs = batch.get('inputs') if isinstance(batch, Mapping) else None
    for file, image in zip(files, inputs if isinstance(inputs, (Tensor, list, tuple)) else (), strict=False):
        if isinstance(image, Tensor) and not image.isfinite().all():
            yield f'pixels of {file}'


def _samples(batch: object) -> list:
    samples = batch.get('data_samples') if isinstance(batch, Mapping) else None
    return list(samples) if isinstance(samples, (list, tuple)) else []


def batch_images(batch: object) -> list[str]:
    """Return the images of a batch as their samples name them: by path, or by number where there are no files."""
    names = [getattr(s, 'img_path', None) or getattr(s, 'sample_idx', None) for s in _samples(batch)]
    return [name if isinstance(name, str) else f'image {name}' for name in names if name is not None]


def _saves_by_iteration(runner: Runner) -> bool:
    """Return whether a checkpoint is due after this iteration, as ``CheckpointHook`` decides it."""
    return any(
        not hook.by_epoch
        and (
            hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
            or (hook.save_last and hook.is_last_train_iter(runner))
        )
        for hook in runner.hooks
        if isinstance(hook, CheckpointHook)
    )


def _report(runner: Runner, what: str, batch_idx: int, files: list[str]) -> str:
    """Return the error message: where it happened, which images were involved, and what is left."""
    loop = runner.train_loop
    if isinstance(loop, EpochBasedTrainLoop):
        # As the logger counts them.
        place = f'epoch {runner.epoch + 1}, iteration {batch_idx + 1} of {len(loop.dataloader)}'
    else:
        place = f'iteration {runner.iter + 1}'
    if get_world_size() > 1:
        place += f', process {get_rank()}'
    rates = sorted({rate for key, v in runner.optim_wrapper.get_lr().items() if key.endswith('lr') for rate in v})
    rate = f'{rates[0]:g}' + (f' to {rates[-1]:g}' if len(rates) > 1 else '')
    folder = os.path.commonpath(files) if len(files) > 1 and all(map(os.path.isabs, files)) else ''
    images = ', '.join(os.path.relpath(file, folder) if folder else file for file in files[:NUM_NAMED]) or 'unknown'
    if folder:
        images = f'(in {folder}) {images}'
    if len(files) > NUM_NAMED:
        images += f' and {len(files) - NUM_NAMED} more in the log'
        runner.logger.info(ALL_FILES + ', '.join(files))
    last = runner.message_hub.runtime_info.get('last_ckpt')
    if last is not None and Path(last).exists():
        kept = f'Nothing was saved since {last}, the last good checkpoint'
    else:
        kept = 'No checkpoint was saved'
    return (
        f'training has failed: {what}. {place}, learning rate {rate}; images: {images}. {kept}. Start anew with a '
        'smaller optim_wrapper.optimizer.lr, or optim_wrapper.clip_grad="dict(max_norm=5)"; if it fails at the same '
        'images again, look at them'
    )


def _divergence_hook_some(names: list[str]) -> str:
    """Return the first name and the number of the others, with the matching verb."""
    return f'{names[0]} is' if len(names) == 1 else f'{names[0]} and {len(names) - 1} more are'
