"""Augmentation as a function of (seed, epoch, draw), whatever the number of workers and restarts."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.datasets import RepeatAugSampler
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from mmosnet.registry import HOOKS


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
