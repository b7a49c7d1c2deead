import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from mmosnet.engine import BaseFreezeHook
from mmosnet.errors import DataError


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
