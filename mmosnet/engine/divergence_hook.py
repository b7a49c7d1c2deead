"""Ends a training that has failed: NaN or infinite losses, weights and batch statistics."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader, IterableDataset

from mmosnet.engine.resume import newest_checkpoint
from mmosnet.errors import DataError
from mmosnet.registry import HOOKS

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


def _some(names: list[str]) -> str:
    """Return the first name and the number of the others, with the matching verb."""
    return f'{names[0]} is' if len(names) == 1 else f'{names[0]} and {len(names) - 1} more are'
