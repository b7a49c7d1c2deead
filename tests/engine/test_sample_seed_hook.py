import random

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset, DefaultSampler, RepeatDataset
from mmpretrain.datasets import RepeatAugSampler
from torch.utils.data import DataLoader

from mmosnet.datasets import PKSampler
from mmosnet.engine.sample_seed_hook import SampleSeedHook, SeededItems, seeded


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
    """Twelve samples of four identities; a sample is its value and what the generators draw for it."""

    def __init__(self):
        super().__init__(pipeline=[noise])

    def load_data_list(self):
        return [dict(value=i, pid=i // 3) for i in range(12)]


def noise(results):
    return torch.tensor([results['value'], *draw()], dtype=torch.float64)


def pk_sampler(dataset):
    # Three images an identity for K = 4: at least one of each comes twice.
    return PKSampler(dataset, num_pids=2, num_instances=4, seed=0)


# A data set, its sampler, draws in an epoch, and images among them.
REPEATS = {
    'plain': (Numbers, DefaultSampler, 12, 12),
    'repeated': (lambda: RepeatDataset(Numbers(), 3), DefaultSampler, 36, 12),
    'joined': (lambda: ConcatDataset([Numbers(), Numbers()]), DefaultSampler, 24, 12),
    'K images': (Numbers, pk_sampler, 16, 12),
    'repeated by the sampler': (Numbers, RepeatAugSampler, 12, 4),
}


def epochs(name, numbers, workers=0, persistent=False, seed=5):
    """Everything that a run draws in some epochs."""
    make, make_sampler, *_ = REPEATS[name]
    dataset = make()
    sampler = make_sampler(dataset)
    sampler.seed = seed
    loader = DataLoader(dataset, 4, sampler=sampler, num_workers=workers, persistent_workers=persistent and workers > 0)
    hook = SampleSeedHook()
    hook.attach(loader, seed)
    drawn = []
    for number in numbers:
        # As DistSamplerSeedHook.
        loader.sampler.set_epoch(number)
        hook.set_epoch(number)
        drawn.append(torch.cat(list(loader)))
    return drawn


@pytest.mark.parametrize('name', REPEATS)
def test_every_draw_is_augmented_anew(name):
    _, _, draws, images = REPEATS[name]
    both = epochs(name, (0, 1))
    for drawn in both:
        assert len(drawn) == draws and len(drawn[:, 0].unique()) == images
    for generator in (1, 2, 3):
        assert len(torch.cat(both)[:, generator].unique()) == 2 * draws


@pytest.mark.parametrize('name', ['repeated', 'K images'])
@pytest.mark.parametrize(('workers', 'persistent'), [(1, False), (2, False), (2, True)])
def test_any_number_of_workers_draws_the_same_and_so_does_a_resumed_run(name, workers, persistent):
    alone = epochs(name, (0, 1, 2))
    assert all(map(torch.equal, epochs(name, (0, 1, 2), workers, persistent), alone))
    assert all(map(torch.equal, epochs(name, (1, 2), workers, persistent), alone[1:]))


def test_processes_augment_an_image_of_both_differently(monkeypatch):
    drawn = []
    for rank in range(2):
        monkeypatch.setattr('mmosnet.engine.sample_seed_hook.get_rank', lambda rank=rank: rank)
        drawn += epochs('plain', (0,))
    assert torch.equal(drawn[0][:, 0], drawn[1][:, 0])
    assert len(torch.cat(drawn)[:, 1].unique()) == 24


@pytest.mark.parametrize('name', REPEATS)
def test_two_seeds_share_no_epoch(name):
    orders = [drawn[:, 0].tolist() for seed in (0, 1) for drawn in epochs(name, (0, 1, 2), seed=seed)]
    assert len(set(map(tuple, orders))) == 6


def test_the_main_process_keeps_its_generators():
    torch.manual_seed(0)
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    # No iteration over a loader: that draws a base seed.
    dataset = Numbers()
    loader = DataLoader(dataset, 4, sampler=DefaultSampler(dataset, seed=0))
    SampleSeedHook().attach(loader, 0)
    dataset.__getitems__(next(iter(loader.batch_sampler)))
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.equal(torch.get_rng_state(), before[2])


def test_attached_twice_numbers_once():
    dataset = Numbers()
    loader = DataLoader(dataset, 4, sampler=DefaultSampler(dataset, seed=0))
    hook = SampleSeedHook()
    hook.attach(loader, 0)
    sampler = hook.sampler.sampler
    hook.attach(loader, 0)
    assert hook.sampler.sampler is sampler and isinstance(dataset.__getitems__.dataset, Numbers)
    # Indices that nobody numbered draw from the generators as they are.
    with seeded(1):
        expected = draw()
    with seeded(1):
        assert SeededItems(dataset)([7])[0].tolist() == [7, *expected]
