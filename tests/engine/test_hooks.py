from __future__ import annotations

import logging
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset, DefaultSampler, RepeatDataset
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import EpochBasedTrainLoop
from mmpretrain.datasets import RepeatAugSampler
from mmpretrain.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from mmosnet.datasets import PKSampler
from mmosnet.engine.hooks import (
    BaseFreezeHook,
    CompileHook,
    DeployHook,
    PosRatioHook,
    SampleSeedHook,
    SeededItems,
    seeded,
)
from mmosnet.errors import DataError
from mmosnet.models import AttributeHead, JointHead, ReIDHead


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Module()
        self.head.bnneck = nn.BatchNorm1d(4)
        self.head.bnneck.bias.requires_grad_(False)
        self.head.classifier = nn.Linear(4, 2)

    def forward(self, x):
        return self.head.classifier(self.head.bnneck(self.backbone(x).mean((2, 3))))


def runner_of(model):
    return SimpleNamespace(model=model, epoch=0, logger=logging.getLogger('test'), cfg={})


def train_epoch(hook, runner, optimizer):
    hook.before_train_epoch(runner)
    runner.model.train()  # as the loop does, after the hook
    for batch in range(2):
        hook.before_train_iter(runner, batch)
        optimizer.zero_grad()
        runner.model(torch.randn(8, 3, 2, 2)).square().mean().backward()
        optimizer.step()
    runner.epoch += 1


def test_everything_but_the_classifier_is_frozen_and_then_released():
    model = Model()
    runner = runner_of(model)
    # Weight decay moves whatever the optimiser touches.
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.1)
    hook = BaseFreezeHook(num_epochs=2)
    start = {k: v.clone() for k, v in model.state_dict().items()}
    for _ in range(2):
        train_epoch(hook, runner, optimizer)
    for name, value in model.state_dict().items():
        assert torch.equal(value, start[name]) != name.startswith('head.classifier'), name
    assert not model.backbone[1].training and model.head.classifier.training

    train_epoch(hook, runner, optimizer)
    assert model.backbone[1].training
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, start[name])]
    # What was frozen for good stays so.
    assert set(start) - set(changed) == {'head.bnneck.bias'}
    assert not model.head.bnneck.bias.requires_grad


def test_resuming_behind_the_frozen_epochs_does_nothing():
    model = Model()
    runner = runner_of(model)
    runner.epoch = 5
    train_epoch(BaseFreezeHook(num_epochs=2), runner, torch.optim.SGD(model.parameters(), lr=0.1))
    assert model.backbone[1].num_batches_tracked == 2


def test_unknown_module_is_named():
    with pytest.raises(DataError, match=r"no module 'head\.fc'"):
        BaseFreezeHook(1, trainable=('head.fc',)).before_train_epoch(runner_of(Model()))


def test_a_training_that_ends_frozen_is_refused():
    loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    runner = SimpleNamespace(train_loop=loop, max_epochs=20, cfg=dict(custom_hooks=[{}, dict(type='BaseFreezeHook')]))
    for frozen in (0, 19):
        BaseFreezeHook(frozen).before_train(runner)
    for frozen in (20, 25):
        with pytest.raises(DataError, match=rf'freezes {frozen} .* has 20.*custom_hooks\.1\.num_epochs=2$'):
            BaseFreezeHook(frozen).before_train(runner)
    iterations = SimpleNamespace(train_loop=None, max_iters=500, cfg={})
    BaseFreezeHook(0).before_train(iterations)
    with pytest.raises(DataError, match='500 iterations'):
        BaseFreezeHook(1).before_train(iterations)


def test_the_backbone_is_compiled_and_names_stay(monkeypatch):
    model = nn.Module()
    model.backbone = nn.Linear(2, 2)
    names, given, compiled = list(model.state_dict()), torch.rand(1, 2), []

    def compile(function, **options):
        compiled.append(options)
        return function

    # What Module.compile calls; the compiler itself takes a minute.
    monkeypatch.setattr(torch, 'compile', compile)
    hook = CompileHook()
    hook.before_train(SimpleNamespace(model=model))
    assert compiled == [dict(dynamic=False)]
    assert list(model.state_dict()) == names
    assert model.backbone(given).shape == (1, 2)
    for batch_idx in range(2):
        hook.before_test_iter(SimpleNamespace(model=model), batch_idx)
    assert len(compiled) == 2


def test_a_missing_compiler_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setenv('PATH', '')
    with pytest.raises(DataError, match=r'--compile needs a C\+\+ compiler.*g\+\+'):
        CompileHook()


def classifier() -> torch.nn.Module:
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='OSNet', widen_factor=0.25),
            neck=dict(type='LinearNeck', in_channels=128, out_channels=512, gap_dim=2),
            head=dict(type='LinearClsHead', in_channels=512, num_classes=3),
        )
    ).eval()


@pytest.mark.parametrize('wrapped', [False, True])
def test_the_test_runs_a_copy(wrapped, one_process_group):
    model = classifier()
    trained = {name: value.clone() for name, value in model.state_dict().items()}
    runner = SimpleNamespace(model=MMDistributedDataParallel(model) if wrapped else model, test_dataloader=range(2))
    images = torch.rand(1, 3, 64, 32)
    expected = model(images)[0]
    hook = DeployHook()
    for batch_idx in range(2):
        hook.before_test_iter(runner, batch_idx)
        assert not any(isinstance(module, _BatchNorm) for module in model.modules())
        torch.testing.assert_close(model(images)[0], expected)
        hook.after_test_iter(runner, batch_idx)
    state = model.state_dict()
    assert state.keys() == trained.keys()
    assert all(torch.equal(state[name], trained[name]) for name in trained)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.fixture
def one_process_group(tmp_path):
    torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/group', rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def give_shares(model, **metainfo):
    dataset = SimpleNamespace(metainfo=metainfo)
    PosRatioHook().before_train(SimpleNamespace(model=model, train_dataloader=SimpleNamespace(dataset=dataset)))


def head(**loss):
    return AttributeHead(num_classes=2, in_channels=4, loss=dict(type='mmosnet.WeightedBCELoss', **loss))


def test_shares_reach_the_loss():
    alone, joint = head(), head(mode='released')
    model = nn.ModuleDict(dict(head=JointHead(dict(reid=ReIDHead(3, 4), attributes=joint))))
    give_shares(nn.ModuleDict(dict(head=alone)), pos_ratio=[0.25, 0.5])
    give_shares(model, pos_ratio=[0.25, 0.5])
    for found in (alone, joint):
        assert found.loss_module.pos_ratio.tolist() == [0.25, 0.5]


def test_shares_of_a_checkpoint_are_replaced_and_those_of_the_config_hold():
    other = head()
    other.loss_module.set_pos_ratio([0.75, 0.75])
    for mine, expected in ((head(), [0.25, 0.5]), (head(pos_ratio=[0.0, 1.0]), [0.0, 1.0])):
        mine.load_state_dict(other.state_dict())
        give_shares(mine, pos_ratio=[0.25, 0.5])
        assert mine.loss_module.pos_ratio.tolist() == expected


def test_a_weighted_loss_without_shares_is_a_mistake():
    model = nn.ModuleDict(dict(head=JointHead(dict(attributes=head()))))
    with pytest.raises(
        DataError, match=r"head\.heads\.attributes\.loss_module .*metainfo\['pos_ratio'\].*mode='plain'"
    ):
        give_shares(model)
    for fine in (head(mode='plain'), head(pos_ratio=[0.5, 0.5]), ReIDHead(3, 4)):
        give_shares(fine)


def test_another_number_of_attributes():
    with pytest.raises(DataError, match='shares of 3 attributes for 2 of the model; set num_classes=3'):
        give_shares(head(), pos_ratio=[0.1, 0.2, 0.3])


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
    # Three images per identity for K = 4: at least one of each comes twice.
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
        monkeypatch.setattr('mmosnet.engine.hooks.get_rank', lambda rank=rank: rank)
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
