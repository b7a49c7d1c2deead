"""Hooks.

The "fixed base" of the fine-tuning recipes (section 4.1 of the paper, ``fixbase_epoch`` in the released code).

``torch.compile`` of the backbone, in training and testing.

Testing in the form for prediction.

How common each attribute is: from the training set into the loss.

Augmentation as a function of (seed, epoch, draw), whatever the number of workers and restarts.

A check that heads, checkpoint, data sets and batches agree, before the first batch.
"""

from __future__ import annotations

import copy
import logging
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from mmpretrain.datasets import RepeatAugSampler
from mmpretrain.models import ClsHead, MultiLabelClsHead
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from mmosnet.datasets.samplers import BalancedSampler, PKSampler
from mmosnet.errors import DataError
from mmosnet.models.deploy import switch_to_deploy
from mmosnet.models.heads import JointHead, ReIDHead
from mmosnet.models.losses import TripletLoss, WeightedBCELoss
from mmosnet.registry import HOOKS


@HOOKS.register_module()
class BaseFreezeHook(Hook):
    """Train only the classifier in the first epochs: a new one must not wreck pretrained features.

    All else gets no gradient and stays in evaluation mode, batch statistics included. The frozen epochs count and the
    learning-rate schedule goes on. mmpretrain's ``frozen_stages`` freezes for good and only the backbone.

    Args:
        num_epochs: Frozen epochs at the start, fewer than the training has; 0 for none.
        trainable: Names of the modules that train meanwhile.
    """

    def __init__(self, num_epochs: int, trainable: Sequence[str] = ('head.classifier',)) -> None:
        self.num_epochs = num_epochs
        self.trainable = tuple(trainable)
        self.frozen_parameters: list[nn.Parameter] | None = None

    def before_train(self, runner: Runner) -> None:
        """Refuse a training that ends before the whole model trains.

        Raises:
            DataError: Names the frozen epochs, those of the training, and the remedy.
        """
        if self.num_epochs <= 0:
            return
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise DataError(
                f'BaseFreezeHook freezes {self.num_epochs} epochs and this training counts none, but '
                f'{runner.max_iters} iterations: it would freeze for good. Take the hook out of custom_hooks, or train '
                'by epochs: train_cfg=dict(by_epoch=True, max_epochs=...)'
            )
        if self.num_epochs >= runner.max_epochs:
            hooks = runner.cfg.get('custom_hooks') or []
            place = next((i for i, hook in enumerate(hooks) if _is_freeze(hook)), 'N')
            raise DataError(
                f'BaseFreezeHook freezes {self.num_epochs} epochs and the training has {runner.max_epochs}: only '
                f'{", ".join(self.trainable)} would train. Freeze less than it trains, a tenth or so: --cfg-options '
                f'custom_hooks.{place}.num_epochs={runner.max_epochs // 10}'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Freeze when training starts (or resumes) in the frozen epochs, release when they are over."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if runner.epoch < self.num_epochs and self.frozen_parameters is None:
            self._freeze(model)
            runner.logger.info(f'BaseFreezeHook: only {", ".join(self.trainable)} train in {self.num_epochs} epochs')
        elif runner.epoch >= self.num_epochs and self.frozen_parameters is not None:
            # Only what this hook froze: a BNNeck's shift, say, is frozen for good.
            for parameter in self.frozen_parameters:
                parameter.requires_grad_(True)
            self.frozen_parameters = None
            runner.logger.info('BaseFreezeHook: the whole model trains')
        else:
            return
        if is_model_wrapper(runner.model):
            # DistributedDataParallel waits for the gradients of the parameters that trained when it was made.
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Keep the frozen part in evaluation mode: the loop calls ``model.train()`` after ``before_train_epoch``."""
        if self.frozen_parameters is not None:
            model = runner.model.module if is_model_wrapper(runner.model) else runner.model
            model.eval()
            for name in self.trainable:
                model.get_submodule(name).train()

    def _freeze(self, model: nn.Module) -> None:
        open_parameters = set()
        for name in self.trainable:
            try:
                open_parameters.update(model.get_submodule(name).parameters())
            except AttributeError as e:
                raise DataError(f'BaseFreezeHook: the model has no module {name!r} to train ({e})') from e
        self.frozen_parameters = [p for p in model.parameters() if p.requires_grad and p not in open_parameters]
        for parameter in self.frozen_parameters:
            parameter.requires_grad_(False)


def _is_freeze(hook: object) -> bool:
    return isinstance(hook, dict) and str(hook.get('type')).rpartition('.')[2].startswith('BaseFreezeHook')


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile the backbone; names in checkpoints stay as they are.

    mmengine's own ``compile=True`` compiles the whole training step, logging included, and gains nothing. Each size of
    batch is compiled by itself, a minute or two in training, seconds in testing: the loaders of a long run pay for it.

    Raises:
        DataError: A CPU without a C++ compiler, which ``torch.compile`` calls.
    """

    # After DeployHook.
    priority = 'LOW'

    def __init__(self) -> None:
        if not torch.cuda.is_available() and not any(map(shutil.which, (os.environ.get('CXX', 'g++'), 'clang++'))):
            raise DataError('--compile needs a C++ compiler on a CPU: install g++, or name one in the variable CXX')

    def before_train(self, runner: Runner) -> None:
        """Compile for training and its validation."""
        self._compile(runner)

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Compile for testing, after :class:`~mmosnet.engine.DeployHook` has replaced the modules."""
        if batch_idx == 0:
            self._compile(runner)

    @staticmethod
    def _compile(runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        MMLogger.get_current_instance().info('Compiling the backbone: the first iterations take a minute or two')
        # Shapes repeat: kernels for one shape are faster than kernels for any.
        model.backbone.compile(dynamic=False)


@HOOKS.register_module()
class DeployHook(Hook):
    """Test backbone and neck in the form for prediction, :func:`~mmosnet.models.deploy.switch_to_deploy`.

    mmpretrain's scripts change a model for good; here a copy is tested, and the Runner has the trained one back
    afterwards. Checkpoints are loaded before, in the trained form. The change is made with the first batch and taken
    back after the last one: ``EMAHook`` exchanges weights before and after those, in the trained form.
    """

    PARTS = ('backbone', 'neck')

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Replace backbone and neck by copies in deploy form."""
        if batch_idx:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.trained = {name: part for name, part in model.named_children() if name in self.PARTS}
        for name, part in self.trained.items():
            setattr(model, name, switch_to_deploy(copy.deepcopy(part)))

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Restore the trained backbone and neck."""
        if batch_idx + 1 < len(runner.test_dataloader):
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        for name, part in self.trained.items():
            setattr(model, name, part)


@HOOKS.register_module()
class PosRatioHook(Hook):
    """Give every :class:`~mmosnet.models.WeightedBCELoss` of the model the training set's ``metainfo['pos_ratio']``.

    Shares that the config gives hold instead. Those of a checkpoint that training starts from are replaced: another
    data set has others. Neither mmengine nor mmpretrain has a way from a data set to a loss.
    """

    def before_train(self, runner: Runner) -> None:
        """Set the share of positives of each attribute in the losses.

        Raises:
            DataError: A weighted loss, and a training set that says nothing or has another number of attributes.
        """
        pos_ratio = getattr(runner.train_dataloader.dataset, 'metainfo', {}).get('pos_ratio')
        # Also inside JointHead and model wrappers.
        for name, module in runner.model.named_modules():
            if not isinstance(module, WeightedBCELoss):
                continue
            ratio = pos_ratio if module.given_pos_ratio is None else module.given_pos_ratio
            if ratio is not None:
                module.set_pos_ratio(ratio)
            elif module.mode != 'plain':
                raise DataError(
                    f"{name} (WeightedBCELoss, mode='{module.mode}') needs the share of positives of each attribute, "
                    "and the training set has no metainfo['pos_ratio']: train on one of mmosnet's attribute data sets, "
                    "which count it in their training annotation; or give the loss pos_ratio=[...], or mode='plain'"
                )


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Seed Python's, numpy's and torch's CPU generators with a tuple of numbers; restore them at the end."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        _seed_all(*key)
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def _seed_all(*key: int) -> None:
    numbers = np.random.SeedSequence(key).generate_state(3)
    random.seed(int(numbers[0]))
    np.random.seed(int(numbers[1]))
    # Not torch.manual_seed: it would reset the GPUs' generators with every image.
    torch.default_generator.manual_seed(int(numbers[2]))


class Draw(int):
    """An index into a data set that carries the seed of this one draw.

    It goes through every sampler, batch sampler and queue that takes an ``int``.

    Attributes:
        key: The numbers that seed the draw.
    """

    key: tuple[int, ...]


class KeyedSampler(Sampler):
    """A sampler whose indices carry (seed, epoch, rank, number of the draw in the epoch).

    Args:
        sampler: The sampler that chooses; everything but iteration is left to it.
        seed: The run's seed.
    """

    def __init__(self, sampler: Sampler, seed: int) -> None:
        self.sampler = sampler
        self.seed = seed
        # Each epoch gives the sampler another one.
        self.first_seed = getattr(sampler, 'seed', None)
        self.current_epoch = 0

    def __iter__(self) -> Iterator[Draw]:
        # From 1: numpy fills up short seeds with zeros, and (seed, epoch, rank) seeds the main process.
        for number, index in enumerate(self.sampler, 1):
            draw = Draw(index)
            draw.key = self.seed, self.current_epoch, get_rank(), number
            yield draw

    def __len__(self) -> int:
        return len(self.sampler)

    def __getattr__(self, name: str) -> object:
        if name == 'sampler':  # Not there yet, in a copy that is being made.
            raise AttributeError(name)
        return getattr(self.sampler, name)


class SeededItems:
    """The ``__getitems__`` of a data set: torch's loaders call it, with a batch of indices, where there is one.

    Outside of the outermost wrapper, so that all random numbers of a sample count, those of a wrapper too.

    Args:
        dataset: The outermost data set.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __call__(self, indices: Sequence[int]) -> list:
        return [self._item(index) for index in indices]

    def _item(self, index: int) -> object:
        key = getattr(index, 'key', None)
        if key is None:
            return self.dataset[index]
        if get_worker_info() is not None:
            # Nothing else draws from a worker's generators: to save and restore them takes six times as long as to
            # seed them, and longer than to decode a crop.
            _seed_all(*key)
            return self.dataset[int(index)]
        with seeded(*key):
            return self.dataset[int(index)]


@HOOKS.register_module()
class SampleSeedHook(Hook):
    """Make every sample's augmentation depend on (seed, epoch, rank, number of its draw) alone.

    mmengine seeds its loader workers alike at every start. Workers that restart with each epoch repeat their
    augmentations, and a resumed run draws others than an uninterrupted one. With this hook a resumed run is equal to
    the bit, with any number of workers. The main process is seeded for each epoch too, for batch
    augmentation and for dropout on a CPU. Each draw of an image that comes several times in an epoch is augmented
    anew, be it repeated by the sampler, by a wrapper of the data set, or in two processes. Works with any data set that
    has indices, in loops that count epochs.

    The samplers of mmengine and mmpretrain shuffle with the sum of seed and epoch, so that epoch 1 of seed 0 has the
    order of epoch 0 of seed 1. They get a seed for each epoch that depends on the pair.
    """

    def __init__(self) -> None:
        self.sampler: KeyedSampler | None = None
        self.sampler_seed: int | None = None

    def before_train(self, runner: Runner) -> None:
        """Make the training sampler number its draws, and the data set seed itself by them."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            runner.logger.warning('SampleSeedHook: this loop counts no epochs; augmentation is left as it is')
            return
        self.attach(runner.train_dataloader, runner.seed)
        if self.sampler is None:
            runner.logger.warning('SampleSeedHook: the batch sampler has no sampler; augmentation is left as it is')

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the sampler the epoch and seed the main process."""
        if self.sampler is not None:
            self.set_epoch(runner.epoch)
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            _seed_all(runner.seed, runner.epoch, get_rank())

    def attach(self, loader: DataLoader, seed: int) -> None:
        """Wrap the sampler of a loader that has one, and seed the items of its data set."""
        sampler = getattr(loader.batch_sampler, 'sampler', None)
        if sampler is None:
            return
        if isinstance(sampler, KeyedSampler):
            # Of an earlier training in this process.
            self.sampler, sampler = sampler, sampler.sampler
        else:
            self.sampler = loader.batch_sampler.sampler = KeyedSampler(sampler, seed)
        self.sampler.seed = seed
        if isinstance(sampler, (DefaultSampler, RepeatAugSampler)):
            self.sampler_seed = self.sampler.first_seed
        loader.dataset.__getitems__ = SeededItems(loader.dataset)

    def set_epoch(self, epoch: int) -> None:
        """Select the epoch of the draws to come, counted from 0."""
        self.sampler.current_epoch = epoch
        if self.sampler_seed is not None:
            self.sampler.sampler.seed = int(np.random.SeedSequence((self.sampler_seed, epoch)).generate_state(1)[0])


@HOOKS.register_module()
class NumClassesHook(Hook):
    """Compare each head's ``num_classes``, and the names of its outputs, with the data sets.

    ``num_classes`` must fit the identities, attributes or categories of the training set; the names of attributes and
    categories must be those of the data set to evaluate.

    Without it a head that is too small fails inside the loss (on a GPU with an unrelated-looking assertion), one that
    is too large trains with dead outputs, and attributes in another order are scored as each other. mmdet's
    ``NumClassCheckHook`` needs class names and compares numbers alone.

    Batches must be as the sampler makes them up, P identities with K images each, and hold what a triplet loss
    compares: it is 0 for people with a single image in their batch.
    """

    def before_train(self, runner: Runner) -> None:
        """Raise an error if the numbers differ.

        Raises:
            DataError: Names both numbers and the option to set, the first name that differs, or a single class.
        """
        metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', {})
        loop = getattr(runner, 'val_loop', None)
        if loop is not None:
            compare_names(_head(runner), metainfo, 'The training set', _metainfo(loop))
        check_batches(runner.train_dataloader, _head(runner), runner.logger)
        for option, head in _heads(_head(runner)):
            what, found = _labels(head, metainfo)
            if found == 1 and what != 'attributes':
                raise DataError(
                    f'The training set has 1 of the {what} to tell apart: the loss would be 0, and nothing learned. '
                    'Train with two or more'
                )
            num_classes = getattr(head, 'num_classes', None)
            if None not in (found, num_classes) and found != num_classes:
                raise DataError(
                    f'The training set has {found} {what} and the head {num_classes} classes; set '
                    f'{option}.num_classes={found} (--cfg-options {option}.num_classes={found})'
                )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the names saved in a checkpoint with those of the data set that it is tested on.

        Raises:
            DataError: Names the first that differs.
        """
        if isinstance(runner._train_loop, BaseLoop):
            return
        trained = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
        for loop in (runner._test_loop, runner._val_loop):
            if isinstance(loop, BaseLoop):
                compare_names(_head(runner), trained, f'The training set of {runner._load_from}', _metainfo(loop))


def _head(runner: Runner) -> nn.Module | None:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return getattr(model, 'head', None)


def _metainfo(loop: BaseLoop) -> Mapping:
    return getattr(loop.dataloader.dataset, 'metainfo', {})


def compare_names(head: nn.Module | None, trained: Mapping, place: str, metainfo: Mapping) -> None:
    """Compare the names that the heads were trained for with those of the data set to evaluate.

    Args:
        head: Head of the model.
        trained: Facts of the training set: ``attributes``, ``classes``.
        place: Origin of the trained names, for error messages.
        metainfo: Facts of the data set to evaluate.

    Raises:
        DataError: Names the first that differs.
    """
    for _, part in _heads(head):
        key = _names_key(part)
        names, others = ([str(name) for name in facts.get(key) or ()] for facts in (trained, metainfo))
        # Different numbers are the metrics' matter: they know what to set.
        if len(names) == len(others) and names != others:
            first = next(i for i, pair in enumerate(zip(names, others, strict=True)) if len(set(pair)) > 1)
            raise DataError(
                f'{place} calls output {first} of the {key} {names[first]!r} and the data set to evaluate '
                f'{others[first]!r}: they would be scored as each other. Give both data sets the same {key}=[...], '
                'in the same order'
            )


def check_batches(loader: DataLoader, head: nn.Module | None, logger: logging.Logger) -> None:
    """Compare a training loader's batches with its sampler and with a triplet loss of the model.

    Raises:
        DataError: The batch is not the sampler's, or no batch can hold two images of a person.
    """
    sampler, batch_size = getattr(loader, 'sampler', None), getattr(loader, 'batch_size', None)
    if isinstance(sampler, PKSampler):
        wanted = sampler.num_pids * sampler.num_instances
        source = f'num_pids={sampler.num_pids} x num_instances={sampler.num_instances}'
    elif isinstance(sampler, BalancedSampler):
        wanted, source = sampler.batch_size, f'batch_size={sampler.batch_size}'
    else:
        wanted = batch_size
    # None where a batch sampler decides.
    if batch_size not in (None, wanted):
        raise DataError(
            f'The loader has batch_size={batch_size} and its {type(sampler).__name__} {source}: set '
            f'train_dataloader.batch_size={wanted}, or the settings of train_dataloader.sampler'
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


def _share_with_positives(dataset: Dataset, batch_size: int) -> float:
    """Return the share of images that can expect another image of their person in a random batch."""
    counts = Counter(dataset.get_data_info(index).get('pid') for index in range(len(dataset)))
    counts.pop(None, None)
    total = sum(counts.values())
    # Of the total - 1 other images, none of the n - 1 of this person is among batch_size - 1.
    alone = (n * (1 - (n - 1) / max(total - 1, 1)) ** (batch_size - 1) for n in counts.values())
    return 1 - sum(alone) / total if total else 1.0


def _heads(head: nn.Module | None) -> Iterator[tuple[str, nn.Module | None]]:
    """Iterate over the heads, each with its place in the config."""
    if isinstance(head, JointHead):
        for task, part in head.heads.items():
            yield f'model.head.heads.{task}', part
    else:
        yield 'model.head', head


def _labels(head: nn.Module | None, metainfo: Mapping) -> tuple[str, int | None]:
    """Return what a head predicts, and how many of them the data set has; None where it does not say."""
    if isinstance(head, ReIDHead):
        return 'identities', metainfo.get('num_train_pids')
    key = _names_key(head)
    names = metainfo.get(key)
    return ('categories' if key == 'classes' else key, len(names)) if names else ('', None)


def _names_key(head: nn.Module | None) -> str:
    """Return the metadata key under which a data set names a head's outputs; empty for a head without."""
    if isinstance(head, MultiLabelClsHead):
        return 'attributes'
    return 'classes' if isinstance(head, ClsHead) and not isinstance(head, ReIDHead) else ''
