"""Augmentation as a function of (seed, epoch, sample), whatever the number of workers and restarts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import Dataset, get_worker_info

from mmosnet.registry import HOOKS


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Seed python's, numpy's and torch's CPU generator with a tuple of numbers, and restore them at the end."""
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


class SeededPipeline:
    """A pipeline that seeds all random numbers of a sample before it runs.

    Args:
        pipeline: The pipeline to run.
        seed: The run's seed.
        epoch: Scalar int64 tensor in shared memory: workers that live for many epochs see it change.
    """

    def __init__(self, pipeline: Callable[[dict], dict], seed: int, epoch: torch.Tensor) -> None:
        self.pipeline = pipeline
        self.seed = seed
        self.epoch = epoch

    def __call__(self, results: dict) -> dict:
        key = self.seed, int(self.epoch), results['sample_idx']
        if get_worker_info() is not None:
            # Nothing else draws from a worker's generators: to save and restore them takes six times as long as to
            # seed them, and longer than to decode a crop.
            _seed_all(*key)
            return self.pipeline(results)
        with seeded(*key):
            return self.pipeline(results)


@HOOKS.register_module()
class SampleSeedHook(Hook):
    """Make every sample's augmentation depend on (seed, epoch, sample) alone.

    mmengine seeds its loader workers alike at every start. Workers that restart with each epoch repeat their
    augmentations, and a resumed run draws others than an uninterrupted one. With this hook a resumed run is equal to
    the bit, with any number of workers. The main process is seeded for each epoch too, for batch
    augmentation and for dropout on a CPU. An image that comes twice in an epoch is augmented alike both times.
    Works on mmengine's ``BaseDataset`` and its wrappers, in loops that count epochs.
    """

    def __init__(self) -> None:
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def before_train(self, runner: Runner) -> None:
        """Wrap the pipeline of the training set."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            runner.logger.warning('SampleSeedHook: this loop counts no epochs; augmentation is left as it is')
            return
        self._wrap(runner.train_dataloader.dataset, runner.seed)

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the workers the epoch and seed the main process."""
        self.epoch.fill_(runner.epoch)
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            _seed_all(runner.seed, runner.epoch, get_rank())

    def _wrap(self, dataset: Dataset, seed: int) -> None:
        for inner in (getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', ())):
            if inner is not None:
                self._wrap(inner, seed)
        pipeline = getattr(dataset, 'pipeline', None)
        if pipeline is not None and not isinstance(pipeline, SeededPipeline):
            dataset.pipeline = SeededPipeline(pipeline, seed, self.epoch)
