"""Hooks that check a training: heads and data sets agree, the checkpoint fits, losses and weights stay finite."""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from mmpretrain.models import ClsHead, MultiLabelClsHead
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset, IterableDataset

from mmosnet.datasets.samplers import BalancedSampler, PKSampler
from mmosnet.engine.hooks import unwrapped
from mmosnet.engine.resume import newest_checkpoint
from mmosnet.errors import DataError
from mmosnet.models.checkpoints import weights_in
from mmosnet.models.heads import JointHead, ReIDHead
from mmosnet.models.losses import TripletLoss
from mmosnet.models.weights import check_fit
from mmosnet.registry import HOOKS

# Settings of a parameter group in which equal optimizers may differ: schedules set or add them, or only some versions
# of torch have them.
INDISTINCT = {'params', 'lr', 'maximize', 'foreach', 'fused', 'capturable', 'differentiable', 'decoupled_weight_decay'}
# Start of a message that only goes to the log file.
ALL_FILES = 'Images of the batch that failed: '
# Number of images that the error names.
NUM_NAMED = 16
# Loss scaling starts at 65,536 and is halved by each step whose gradients overflow. Below this value gradients vanish
# in float16: every step is skipped.
LEAST_LOSS_SCALE = 2.0**-24


def _head(runner: Runner) -> nn.Module | None:
    model = unwrapped(runner.model)
    return getattr(model, 'head', None)


def _metainfo(loop: BaseLoop) -> Mapping:
    return getattr(loop.dataloader.dataset, 'metainfo', {})


def _heads(head: nn.Module | None) -> Iterator[tuple[str, nn.Module | None]]:
    """Yield each head after the config key that configures it."""
    if isinstance(head, JointHead):
        for task, part in head.heads.items():
            yield f'model.head.heads.{task}', part
    else:
        yield 'model.head', head


def _names_key(head: nn.Module | None) -> str:
    """Return the metadata key under which a data set names a head's outputs; empty for a head without."""
    if isinstance(head, MultiLabelClsHead):
        return 'attributes'
    return 'classes' if isinstance(head, ClsHead) and not isinstance(head, ReIDHead) else ''


def _labels(head: nn.Module | None, metainfo: Mapping) -> tuple[str, int | None]:
    """Return the plural of what a head predicts, and how many the data set has; None if its metadata has no number."""
    if isinstance(head, ReIDHead):
        return 'identities', metainfo.get('num_train_pids')
    key = _names_key(head)
    names = metainfo.get(key)
    return ('categories' if key == 'classes' else key, len(names)) if names else ('', None)


def compare_names(head: nn.Module | None, trained: Mapping, source: str, metainfo: Mapping) -> None:
    """Compare the names that the heads were trained for with those of the data set to evaluate.

    Args:
        head: Head of the model.
        trained: Metadata of the training set: ``attributes``, ``classes``.
        source: Origin of the trained names, for error messages.
        metainfo: Metadata of the data set to evaluate.

    Raises:
        DataError: Names the first that differs.
    """
    for _, part in _heads(head):
        key = _names_key(part)
        names, others = ([str(name) for name in meta.get(key) or ()] for meta in (trained, metainfo))
        # Metrics check the numbers and name the setting to change.
        if len(names) == len(others) and names != others:
            first = next(i for i, pair in enumerate(zip(names, others, strict=True)) if len(set(pair)) > 1)
            raise DataError(
                f'{source} calls output {first} of the {key} {names[first]!r} and the data set to evaluate '
                f'{others[first]!r}: they would be scored as each other. Give both data sets the same {key}=[...], '
                'in the same order'
            )


def _share_with_positives(dataset: Dataset, batch_size: int) -> float:
    """Return the share of images that can expect another image of their person in a random batch."""
    counts = Counter(dataset.get_data_info(index).get('pid') for index in range(len(dataset)))
    counts.pop(None, None)
    total = sum(counts.values())
    # Probability that none of the person's n - 1 other images is among the batch_size - 1 others of the batch.
    alone = (n * (1 - (n - 1) / max(total - 1, 1)) ** (batch_size - 1) for n in counts.values())
    return 1 - sum(alone) / total if total else 1.0


def check_batches(loader: DataLoader, head: nn.Module | None, logger: logging.Logger) -> None:
    """Compare a training loader's batches with its sampler and with a triplet loss of the model.

    Raises:
        DataError: The batch is not the sampler's, or no batch can hold two images of a person.
    """
    sampler, batch_size = getattr(loader, 'sampler', None), getattr(loader, 'batch_size', None)
    if isinstance(sampler, PKSampler):
        expected = sampler.num_pids * sampler.num_instances
        source = f'num_pids={sampler.num_pids} x num_instances={sampler.num_instances}'
    elif isinstance(sampler, BalancedSampler):
        expected, source = sampler.batch_size, f'batch_size={sampler.batch_size}'
    else:
        expected = batch_size
    # None if a batch sampler decides.
    if batch_size not in (None, expected):
        raise DataError(
            f'The loader has batch_size={batch_size} and its {type(sampler).__name__} {source}: set '
            f'train_dataloader.batch_size={expected}, or the settings of train_dataloader.sampler'
        )
    if not batch_size or not any(
        isinstance(getattr(part, 'metric_loss', None), TripletLoss) for _, part in _heads(head)
    ):
        return
    if isinstance(sampler, PKSampler):
        share = 1.0 if sampler.num_instances > 1 else 0.0
    else:
        share = _share_with_positives(loader.dataset, batch_size)
    remedy = "train_dataloader.sampler=dict(_delete_=True, type='mmosnet.PKSampler', num_pids=P, num_instances=K)"
    if share == 0:
        raise DataError(
            f'TripletLoss: no batch of {batch_size} holds two images of a person, the loss would be 0. Take {remedy} '
            'with K of 2 or more, and batch_size P x K'
        )
    if share < 0.5:
        logger.warning(
            f'TripletLoss: {share:.0%} of the images have another one of their person in a batch of {batch_size}, the '
            f'others count for nothing: consider {remedy}'
        )


@HOOKS.register_module()
class NumClassesHook(Hook):
    """Compare each head's ``num_classes``, and the names of its outputs, with the data sets.

    ``num_classes`` must fit the identities, attributes or categories of the training set; the names of attributes and
    categories must be those of the data set to evaluate.

    Without this check a head that is too small fails inside the loss (on a GPU with an unrelated-looking assertion),
    one that is too large trains with dead outputs, and attributes in another order get each other's scores. mmdet's
    ``NumClassCheckHook`` needs class names and compares only numbers.

    The batch size must be that of the sampler, P identities with K images each. With a triplet loss, batches must hold
    two images of a person: the loss is 0 for people with a single image.
    """

    def before_train(self, runner: Runner) -> None:
        """Raise an error if the numbers differ.

        Raises:
            DataError: Numbers or names differ, or there is a single class. Names both numbers and the option to set,
                or the first name that differs.
        """
        metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', {})
        loop = getattr(runner, 'val_loop', None)
        if loop is not None:
            compare_names(_head(runner), metainfo, 'The training set', _metainfo(loop))
        check_batches(runner.train_dataloader, _head(runner), runner.logger)
        for option, head in _heads(_head(runner)):
            what, number = _labels(head, metainfo)
            if number == 1 and what != 'attributes':
                raise DataError(
                    f'The training set has 1 of the {what} to tell apart: the loss would be 0, and nothing learned. '
                    'Train with two or more'
                )
            num_classes = getattr(head, 'num_classes', None)
            if None not in (number, num_classes) and number != num_classes:
                raise DataError(
                    f'The training set has {number} {what} and the head {num_classes} classes; set '
                    f'{option}.num_classes={number} (--cfg-options {option}.num_classes={number})'
                )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the names saved in a checkpoint with those of the data set to test on.

        Raises:
            DataError: Names the first that differs.
        """
        if isinstance(runner._train_loop, BaseLoop):
            return
        trained = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
        for loop in (runner._test_loop, runner._val_loop):
            if isinstance(loop, BaseLoop):
                compare_names(_head(runner), trained, f'The training set of {runner._load_from}', _metainfo(loop))


def _some(names: list[str]) -> str:
    """Return some of the names on one line."""
    return ', '.join(names[:8]) + (f' and {len(names) - 8} more' if len(names) > 8 else '')


def _differences(model: Mapping[str, Tensor], loaded: Mapping[str, Tensor]) -> list[str]:
    """Return one line per name that is only on one side or has two shapes."""
    names = {**model, **loaded}
    shapes = [
        [str(tuple(side[name].shape)) if name in side else 'nothing' for side in (model, loaded)] for name in names
    ]
    return [f'{name}: model {a}, checkpoint {b}' for name, (a, b) in zip(names, shapes, strict=True) if a != b]


def _optimizer_misfits(
    wrapper: OptimWrapper | OptimWrapperDict, saved: Mapping, names: Mapping[int, str], runner: Runner
) -> Iterator[str]:
    """Yield one line per difference between an optimizer and its saved state."""
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
                # Moments have the shape of their parameter, counters of steps are scalars.
                if isinstance(value, Tensor) and value.dim() and value.shape != parameter.shape:
                    yield (
                        f'{key} of {names.get(id(parameter), index)}: model {tuple(parameter.shape)}, checkpoint '
                        f'{tuple(value.shape)}'
                    )
        # A setting that a schedule changes has an initial value beside it.
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


def _check_resumed(
    runner: Runner, model: nn.Module, checkpoint: Mapping, loaded: Mapping[str, Tensor], source: str
) -> None:
    """Refuse to resume the training of another model or optimizer.

    Raises:
        DataError: Counts the entries that do not fit and names the first.
    """
    state = model.state_dict()
    lines = _differences(state, loaded)
    averages = checkpoint.get('ema_state_dict')
    if averages is not None:
        # Named as in the model, beside a counter of steps.
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


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Refuse a checkpoint of another network.

    mmengine loads the entries that fit, warns about the rest and goes on: a checkpoint of another width, or a released
    file that was not converted, would be evaluated as a random network. The backbone must fit entirely, and the neck
    too if the checkpoint has one. In training heads may differ: other data sets have other identities. In testing neck
    and heads must fit, except classifiers of identities.

    A checkpoint to resume from must fit entirely, the optimizer's state and averaged weights too: torch compares only
    the numbers of parameters, and continues with moments of other weights, or beyond the end of their memory.
    """

    # Before hooks and Runner read the checkpoint.
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
        """Compare names and shapes; log entries that are only in the model or only in the checkpoint.

        The checkpoint's state becomes the model's own with the entries that fit: mmengine would repeat all others as a
        warning.

        Raises:
            DataError: Counts the entries that do not fit and names the first.
        """
        model = unwrapped(runner.model)
        # Without a name mmengine loads the latest.
        source = str(runner._load_from or Path(runner.work_dir) / 'last_checkpoint')
        loaded = weights_in(checkpoint, source)
        state = model.state_dict()
        # In a test the training loop is at most a config.
        testing = not isinstance(runner._train_loop, BaseLoop)
        if runner._resume and not testing:
            _check_resumed(runner, model, checkpoint, loaded, source)
            return
        check_fit(state, loaded, source, testing)
        fitting = {
            name: loaded[name] for name, value in state.items() if name in loaded and loaded[name].shape == value.shape
        }
        new = [name for name in state if name not in fitting]
        surplus = [name for name in loaded if name not in state]
        left_out = f'; left out: {_some(surplus)}' if surplus else ''
        runner.logger.info(
            f'{source}: {len(fitting)} entries used; new in the model: {_some(new) or "nothing"}{left_out}'
        )
        checkpoint['state_dict'] = state | fitting


def _first_of(names: list[str]) -> str:
    """Return the first name and the number of the others, with the verb: ``a is``, ``a and 2 more are``."""
    return f'{names[0]} is' if len(names) == 1 else f'{names[0]} and {len(names) - 1} more are'


def _not_finite(model: nn.Module) -> Iterator[str]:
    """Yield the names of parameters and buffers with an entry that is NaN or infinite."""
    entries = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    entries = {name: value.detach() for name, value in entries.items() if value.is_floating_point()}
    by_device: dict[torch.device, dict[str, Tensor]] = {}
    for name, value in entries.items():
        by_device.setdefault(value.device, {})[name] = value.isfinite().all()
    # One transfer per device.
    for finite in by_device.values():
        flags = torch.stack(list(finite.values())).tolist()
        yield from (name for name, flag in zip(finite, flags, strict=True) if not flag)


def _samples(batch: object) -> list:
    samples = batch.get('data_samples') if isinstance(batch, Mapping) else None
    return list(samples) if isinstance(samples, (list, tuple)) else []


def batch_images(batch: object) -> list[str]:
    """Return the images of a batch: their paths, or their numbers if they have no files."""
    names = [getattr(s, 'img_path', None) or getattr(s, 'sample_idx', None) for s in _samples(batch)]
    return [name if isinstance(name, str) else f'image {name}' for name in names if name is not None]


def _not_finite_data(batch: object) -> Iterator[str]:
    """Yield the labels and inputs of a batch that are NaN or infinite."""
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
    """Return the error message: where the training failed, at which images, and the last checkpoint."""
    loop = runner.train_loop
    if isinstance(loop, EpochBasedTrainLoop):
        # Counted from 1, as the logger does.
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


@HOOKS.register_module()
class DivergenceHook(Hook):
    """End a training whose loss, weights or batch statistics are NaN or infinite, before a checkpoint holds them.

    mmengine continues, and its ``CheckpointHook`` deletes good checkpoints to make room for those with NaN. The loss is
    checked in each iteration; this costs a GPU nothing, because mmengine's ``RuntimeInfoHook`` waits for each loss to
    log it. Weights are checked before each checkpoint, by epoch or by iteration. If the loss is scaled
    (``AmpOptimWrapper``), infinite gradients are no failure, unless they occur in every step: such steps are skipped.

    A training does not start from weights that are NaN or infinite either. In a distributed run the process with the
    failed loss reports it.
    """

    # After losses are logged, before schedulers change the learning rate and checkpoints are saved.
    priority = 'BELOW_NORMAL'

    def __init__(self) -> None:
        # Buffers that are infinite from the start, such as masks of attention.
        self.exempt: set[str] = set()
        # Number of the last iteration in its epoch, and its images.
        self.last: tuple[int, list[str]] = (0, [])

    def before_train(self, runner: Runner) -> None:
        """Check the initial weights, and that the loader has at least one batch.

        Raises:
            DataError: Entries are NaN or infinite: counts them and names the first. Or there is no batch.
        """
        loader = runner.train_dataloader
        # An iterable data set has no length.
        if isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset) and len(loader) == 0:
            raise DataError(
                f'no batch to train on: {len(loader.dataset)} images, train_dataloader.batch_size={loader.batch_size}, '
                f'drop_last={loader.drop_last}. Give a smaller batch_size, or drop_last=False'
            )
        model = unwrapped(runner.model)
        learned = {name for name, _ in model.named_parameters()} | {
            f'{prefix}.{name}' if prefix else name
            for prefix, module in model.named_modules()
            if isinstance(module, _BatchNorm)
            for name, _ in module.named_buffers(recurse=False)
        }
        not_finite = list(_not_finite(model))
        self.exempt = set(not_finite) - learned
        if wrong := [name for name in not_finite if name in learned]:
            source = runner._load_from or (newest_checkpoint(runner.work_dir) if runner._resume else None)
            raise DataError(
                f'{source or "the model"}: {_first_of(wrong)} NaN or infinite, as a failed training leaves them: start '
                'from an earlier checkpoint, or anew'
            )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: Mapping | None = None
    ) -> None:
        """Check the losses.

        Raises:
            DataError: Names losses, iteration, images, learning rate and the last good checkpoint.
        """
        tensors = {key: torch.as_tensor(value).detach() for key, value in (outputs or {}).items() if 'loss' in key}
        losses = {key: float(value) for key, value in tensors.items() if value.numel() == 1}
        if 'loss' in losses and not math.isfinite(losses['loss']):
            # Name the sum only if all of its parts are finite.
            wrong = {key: value for key, value in losses.items() if not math.isfinite(value)}
            parts = {key: value for key, value in wrong.items() if key != 'loss'} or wrong
            what = ', '.join(f'{key} is {value}' for key, value in parts.items())
            if entries := list(_not_finite_data(data_batch)):
                what += f' because of the data: {_first_of(entries)} NaN or infinite'
            raise DataError(_report(runner, what, batch_idx, batch_images(data_batch)))
        self.last = batch_idx, batch_images(data_batch)
        if _saves_by_iteration(runner):
            self._check_weights(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Check the weights and the loss scaling.

        Raises:
            DataError: See :meth:`after_train_iter`; weights are counted and the first is named.
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
        wrong = [name for name in _not_finite(unwrapped(runner.model)) if name not in self.exempt]
        if wrong:
            what = f'{_first_of(wrong)} NaN or infinite, although the losses were finite'
            raise DataError(_report(runner, what, *self.last))
