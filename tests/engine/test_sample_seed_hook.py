import random

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset
from torch.utils.data import DataLoader

from mmosnet.engine.sample_seed_hook import SampleSeedHook, SeededPipeline, seeded


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_seeded_repeats_and_restores():
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    with seeded(0, 1, 2):
        first = draw()
    with seeded(0, 1, 2):
        assert draw() == first
    for key in ((1, 1, 2), (0, 2, 2), (0, 1, 3)):
        with seeded(*key):
            assert all(a != b for a, b in zip(draw(), first, strict=True)), key
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.equal(torch.get_rng_state(), before[2])


def test_seeded_restores_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), seeded(3):
        draw()
        1 / 0  # noqa: B018
    assert torch.equal(torch.get_rng_state(), state)


class Numbers(BaseDataset):
    def load_data_list(self):
        return [dict(value=i) for i in range(12)]


def noise(results):
    return torch.tensor([results['value'], *draw()], dtype=torch.float64)


def make(epoch):
    dataset = Numbers(pipeline=[noise])
    dataset.pipeline = SeededPipeline(dataset.pipeline, seed=5, epoch=epoch)
    return dataset


@pytest.mark.parametrize('persistent', [False, True])
def test_any_number_of_workers_draws_the_same_and_epochs_differ(persistent):
    epochs = {}
    for workers in (0, 1, 2):
        epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        loader = DataLoader(
            make(epoch), batch_size=3, num_workers=workers, persistent_workers=persistent and workers > 0
        )
        for number in range(3):
            epoch.fill_(number)
            epochs[workers, number] = torch.cat(list(loader))
    for number in range(3):
        assert torch.equal(epochs[0, number], epochs[1, number])
        assert torch.equal(epochs[0, number], epochs[2, number])
    assert not torch.equal(epochs[0, 0], epochs[0, 1])
    # No two samples alike.
    assert len(set(epochs[0, 0][:, 2].tolist())) == 12


def test_the_main_process_keeps_its_generators():
    torch.manual_seed(0)
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    # No iteration over a loader: that draws a base seed.
    make(torch.zeros((), dtype=torch.int64))[3]
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.equal(torch.get_rng_state(), before[2])


def test_wrappers_are_followed_and_wrapped_once():
    inner = Numbers(pipeline=[noise])
    dataset = ConcatDataset([inner, inner])
    SampleSeedHook()._wrap(dataset, seed=0)
    assert isinstance(inner.pipeline, SeededPipeline)
    assert not isinstance(inner.pipeline.pipeline, SeededPipeline)
