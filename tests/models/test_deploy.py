from __future__ import annotations

import copy

import pytest
import torch
from mmcv.cnn import ConvModule
from mmpretrain.models import LinearNeck
from mmpretrain.registry import MODELS
from torch.nn.modules.batchnorm import _BatchNorm

from mmosnet.models import OSNet, PooledLinearNeck
from mmosnet.models.deploy import switch_to_deploy
from mmosnet.models.osnet import FUSIONS


def with_statistics(model: torch.nn.Module) -> torch.nn.Module:
    """Statistics as after training: every normalization does something."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    return model.eval()


def both_outputs(model: torch.nn.Module, images: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
    deployed = switch_to_deploy(copy.deepcopy(model))
    with torch.no_grad():
        return [network(images) for network in (model, deployed)]


@pytest.mark.parametrize(
    'options',
    [
        *(dict(arch=arch) for arch in OSNet.arch_settings),
        *(dict(fusion=fusion) for fusion in FUSIONS),
        dict(lite=False),
        dict(stem='cifar'),
        dict(channels_last=False),
        dict(out_indices=(0, 1, 2, 3)),
        dict(norm_cfg=dict(type='GN', num_groups=1)),
    ],
    ids=str,
)
def test_equals_the_trained_form(options):
    model = with_statistics(OSNet(widen_factor=0.25, **options))
    for trained, deployed in zip(*both_outputs(model, torch.rand(2, 3, 64, 32)), strict=True):
        assert trained.abs().max() > 0.1
        torch.testing.assert_close(deployed, trained, rtol=0, atol=1e-5 * trained.abs().max().item())


def test_no_batch_norm_is_left_and_nothing_is_trained():
    deployed = switch_to_deploy(OSNet(widen_factor=0.25))
    assert not any(isinstance(module, (_BatchNorm, ConvModule)) for module in deployed.modules())
    assert not any(parameter.requires_grad for parameter in deployed.parameters())
    assert not deployed.training


def test_weights_keep_their_layout():
    deployed = switch_to_deploy(OSNet(widen_factor=0.25))
    assert deployed.stem[0].weight.is_contiguous(memory_format=torch.channels_last)
    map_ = deployed(torch.rand(2, 3, 64, 32))[0]
    assert map_.is_contiguous(memory_format=torch.channels_last)


def test_instance_norm_stays():
    deployed = switch_to_deploy(OSNet('osnet_ain', widen_factor=0.25))
    # The stem and four branches.
    assert sum(isinstance(module, torch.nn.InstanceNorm2d) for module in deployed.modules()) == 5


def test_twice_is_once():
    model = with_statistics(OSNet(widen_factor=0.25))
    once = switch_to_deploy(copy.deepcopy(model))
    twice = switch_to_deploy(copy.deepcopy(once))
    assert once.state_dict().keys() == twice.state_dict().keys()
    images = torch.rand(1, 3, 64, 32)
    assert torch.equal(once(images)[0], twice(images)[0])


@pytest.mark.parametrize('neck', [LinearNeck, PooledLinearNeck])
def test_a_neck_takes_in_its_normalization(neck):
    model = with_statistics(neck(8, 4, gap_dim=2, act_cfg=dict(type='ReLU')))
    (trained,), (deployed,) = both_outputs(model, torch.rand(3, 8, 4, 2))
    torch.testing.assert_close(deployed, trained)


def test_a_whole_classifier():
    model = with_statistics(
        MODELS.build(
            dict(
                type='ImageClassifier',
                backbone=dict(type='OSNet', widen_factor=0.25),
                neck=dict(type='LinearNeck', in_channels=128, out_channels=512, gap_dim=2, act_cfg=dict(type='ReLU')),
                head=dict(type='LinearClsHead', in_channels=512, num_classes=3),
            )
        )
    )
    trained, deployed = both_outputs(model, torch.rand(2, 3, 64, 32))
    torch.testing.assert_close(deployed[0], trained[0])


def test_backbones_of_mmpretrain_take_their_own_form():
    backbone = MODELS.build(dict(type='RepVGG', arch='A0'))
    switch_to_deploy(backbone)
    assert backbone.deploy
