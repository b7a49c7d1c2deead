"""Hooks of a training or test: frozen layers, compilation, deploy form, attribute shares, seeds of samples."""

from __future__ import annotations

import copy
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.datasets import RepeatAugSampler
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from mmosnet.errors import DataError
from mmosnet.models.deploy import switch_to_deploy
from mmosnet.models.losses import WeightedBCELoss
from mmosnet.registry import HOOKS


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model inside a wrapper such as DistributedDataParallel, or the model itself."""
    return model.module if is_model_wrapper(model) else model


def _is_freeze(hook: object) -> bool:
    return isinstance(hook, dict) and str(hook.get('type')).rpartition('.')[2].startswith('BaseFreezeHook')


@HOOKS.register_module()
class BaseFreezeHook(Hook):
    """Train only the classifier in the first epochs, so that a new one does not destroy pretrained features.

    This is the "fixed base" of the fine-tuning recipes (section 4.1 of the paper, ``fixbase_epoch`` in the released
    code). All other parameters get no gradient and stay in evaluation mode, batch statistics included. The frozen
    epochs count, and the learning-rate schedule continues. mmpretrain's ``frozen_stages`` freezes only the backbone,
    for the whole training.

    Args:
        num_epochs: Frozen epochs at the start, fewer than the training has; 0 for none.
        trainable: Names of the modules that train in these epochs.
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
            index = next((i for i, hook in enumerate(hooks) if _is_freeze(hook)), 'N')
            raise DataError(
                f'BaseFreezeHook freezes {self.num_epochs} epochs and the training has {runner.max_epochs}: only '
                f'{", ".join(self.trainable)} would train. Freeze less than it trains, a tenth or so: --cfg-options '
                f'custom_hooks.{index}.num_epochs={runner.max_epochs // 10}'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Freeze when training starts or resumes in the frozen epochs; unfreeze after them."""
        model = unwrapped(runner.model)
        if runner.epoch < self.num_epochs and self.frozen_parameters is None:
            self._freeze(model)
            runner.logger.info(f'BaseFreezeHook: only {", ".join(self.trainable)} train in {self.num_epochs} epochs')
        elif runner.epoch >= self.num_epochs and self.frozen_parameters is not None:
            # Only parameters that this hook froze: others, such as a BNNeck's shift, stay frozen.
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
            model = unwrapped(runner.model)
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


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile the backbone by ``torch.compile``; names in checkpoints do not change.

    mmengine's ``compile=True`` compiles the whole training step, logging included, and gains nothing. Each batch size
    is compiled separately, which takes a minute or two in training and seconds in testing: it pays in long runs.

    Raises:
        DataError: There is neither a GPU nor a C++ compiler, which ``torch.compile`` calls on a CPU.
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
        model = unwrapped(runner.model)
        MMLogger.get_current_instance().info('Compiling the backbone: the first iterations take a minute or two')
        # Shapes repeat: kernels for one shape are faster than kernels for all shapes.
        model.backbone.compile(dynamic=False)


@HOOKS.register_module()
class DeployHook(Hook):
    """Test backbone and neck in the deploy form of :func:`~mmosnet.models.deploy.switch_to_deploy`.

    mmpretrain's scripts change the model itself; here a copy is tested, and the Runner gets the trained model back
    afterwards. The model is replaced at the first batch, after checkpoints are loaded, and restored after the last one:
    ``EMAHook`` exchanges weights before and after these batches, in the trained form.
    """

    PARTS = ('backbone', 'neck')

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Replace backbone and neck by copies in deploy form."""
        if batch_idx:
            return
        model = unwrapped(runner.model)
        self.trained = {name: part for name, part in model.named_children() if name in self.PARTS}
        for name, part in self.trained.items():
            setattr(model, name, switch_to_deploy(copy.deepcopy(part)))

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Restore the trained backbone and neck."""
        if batch_idx + 1 < len(runner.test_dataloader):
            return
        model = unwrapped(runner.model)
        for name, part in self.trained.items():
            setattr(model, name, part)


@HOOKS.register_module()
class PosRatioHook(Hook):
    """Give every :class:`~mmosnet.models.WeightedBCELoss` of the model the training set's ``metainfo['pos_ratio']``.

    Shares in the config take precedence. Shares in a checkpoint that training starts from are replaced: they belong to
    another data set. Neither mmengine nor mmpretrain passes anything from a data set to a loss.
    """

    def before_train(self, runner: Runner) -> None:
        """Set the share of positives of each attribute in the losses.

        Raises:
            DataError: A weighted loss, and a training set without shares or with another number of attributes.
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

    It passes through every sampler, batch sampler and queue that takes an ``int``.

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
        # SampleSeedHook sets another one for each epoch.
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
        if name == 'sampler':  # Missing in a copy that is being made.
            raise AttributeError(name)
        return getattr(self.sampler, name)


class SeededItems:
    """The ``__getitems__`` of a data set, which torch's loaders call with a batch of indices if there is one.

    It seeds the items of the outermost data set, so that random numbers of wrappers are seeded too.

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
            # Nothing else draws from a worker's generators. Saving and restoring them takes six times as long as
            # seeding them, and longer than decoding a crop.
            _seed_all(*key)
            return self.dataset[int(index)]
        with seeded(*key):
            return self.dataset[int(index)]


@HOOKS.register_module()
class SampleSeedHook(Hook):
    """Make every sample's augmentation depend on (seed, epoch, rank, number of its draw) alone.

    mmengine gives its loader workers the same seed at every start. Workers that restart with each epoch repeat their
    augmentations, and a resumed run has other augmentations than an uninterrupted one. With this hook a resumed run is
    equal to the bit, with any number of workers. The main process is seeded for each epoch too, for batch augmentation
    and for dropout on a CPU. An image that occurs several times in an epoch is augmented differently each time, also in
    two processes. Works with any data set that has indices, in loops that count epochs.

    The samplers of mmengine and mmpretrain shuffle with the sum of seed and epoch, so that epoch 1 of seed 0 has the
    order of epoch 0 of seed 1. They get a seed per epoch that depends on the pair.
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
        """Pass the epoch to the sampler and seed the main process."""
        if self.sampler is not None:
            self.set_epoch(runner.epoch)
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            _seed_all(runner.seed, runner.epoch, get_rank())

    def attach(self, loader: DataLoader, seed: int) -> None:
        """Wrap the sampler of a loader, and seed the items of its data set; do nothing without a sampler."""
        sampler = getattr(loader.batch_sampler, 'sampler', None)
        if sampler is None:
            return
        if isinstance(sampler, KeyedSampler):
            # An earlier training in this process has wrapped it.
            self.sampler, sampler = sampler, sampler.sampler
        else:
            self.sampler = loader.batch_sampler.sampler = KeyedSampler(sampler, seed)
        self.sampler.seed = seed
        if isinstance(sampler, (DefaultSampler, RepeatAugSampler)):
            self.sampler_seed = self.sampler.first_seed
        loader.dataset.__getitems__ = SeededItems(loader.dataset)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next draws, counted from 0."""
        self.sampler.current_epoch = epoch
        if self.sampler_seed is not None:
            self.sampler.sampler.seed = int(np.random.SeedSequence((self.sampler_seed, epoch)).generate_state(1)[0])
