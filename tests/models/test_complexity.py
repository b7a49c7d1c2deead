from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmosnet.errors import DataError
from mmosnet.models import OSNet, PooledLinearNeck
from mmosnet.models.build import build_model
from mmosnet.models.complexity import (
    Complexity,
    Count,
    complexity_table,
    count_complexity,
    left_out_parameters,
)
from mmosnet.models.osnet import FUSIONS
from tests.models.hook_counts import count_by_hooks

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
# Parameters, and million mult-adds by height and width: a row and the diagonal of arXiv 1905.00953, table 1. The
# network itself is held against all of it in test_osnet.py.
SIZES = {
    'osnet_reid_market': (2169508, {(256, 128): 978.9, (192, 96): 550.7, (128, 64): 244.9, (64, 32): 61.5}),
    'osnet_x0_75_reid_market': (1285754, {(192, 96): 321.7}),
    'osnet_x0_5_reid_market': (630034, {(128, 64): 68.3}),
    'osnet_x0_25_reid_market': (201864, {(64, 32): 5.2}),
}


@pytest.mark.parametrize('name', SIZES)
def test_table_of_the_paper(name):
    parameters, mult_adds = SIZES[name]
    model = build_model(Config.fromfile(CONFIGS / f'{name}.py'))
    assert left_out_parameters(model) == {'head': 512 * 751 + 751}
    for (height, width), millions in mult_adds.items():
        complexity = count_complexity(model, height, width)
        assert (complexity.height, complexity.width) == (height, width)
        assert complexity.total.parameters == parameters
        assert round(complexity.total.mult_adds / 1e6, 1) == millions
        for field in ('parameters', 'mult_adds', 'activations'):
            parts = sum(getattr(part, field) for part in complexity.parts.values())
            assert parts == getattr(complexity.total, field)


class Model(nn.Module):
    """The least that counts as a model of OpenMMLab."""

    def __init__(self, backbone: nn.Module, **others: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        for name, module in others.items():
            self.add_module(name, module)


# One block of two of the stages: all kinds of layers.
SHORT = dict(arch=dict(channels=(64, 256, 384), depths=(1, 1)), out_indices=(2,))
NETWORKS = [
    *(dict(**SHORT, fusion=fusion, num_streams=3) for fusion in FUSIONS),
    *(dict(**SHORT, fusion=fusion, num_streams=1) for fusion in ('unified_gate', 'sum', 'concat')),
    dict(**SHORT, lite=False),
    dict(**SHORT, same_depth=True),
    dict(**SHORT, stem='cifar'),
    dict(arch='osnet_ibn'),
    dict(arch='osnet_ain'),
]


@pytest.mark.parametrize('options', NETWORKS, ids=str)
def test_counts_are_those_of_hooks_on_every_layer(options):
    model = Model(OSNet(widen_factor=0.5, **options))
    assert count_complexity(model, 64, 48).total == count_by_hooks(model, 64, 48)


@pytest.mark.parametrize('pooling', ['average', 'max'])
def test_necks_are_counted_too(pooling):
    model = Model(OSNet(widen_factor=0.5, **SHORT), neck=PooledLinearNeck(192, 32, pooling=pooling))
    complexity = count_complexity(model, 64, 48)
    assert complexity.total == count_by_hooks(model, 64, 48)
    # Weights, biases and a batch normalization.
    assert complexity.parts['neck'] == Count(192 * 32 + 32 + 2 * 32, 192 * 32, 32)


def test_a_shared_gate_computes_once_per_stream():
    separate, unified, plain = (
        count_complexity(Model(OSNet(**SHORT, fusion=fusion)), 64, 32).total
        for fusion in ('separate_gates', 'unified_gate', 'sum')
    )
    assert separate.mult_adds == unified.mult_adds and separate.parameters > unified.parameters
    # Two layers C x C/16 and two activations C/16 + C, for four streams of a block of 64 and one of 96 channels.
    assert unified.mult_adds - plain.mult_adds == 4 * sum(2 * c * (c // 16) for c in (64, 96))
    assert unified.activations - plain.activations == 4 * sum(c // 16 + c for c in (64, 96))


def test_stages_come_in_the_order_in_which_they_run():
    parts = count_complexity(Model(OSNet(), neck=nn.Identity()), 64, 32).parts
    assert list(parts) == [
        'backbone.stem',
        'backbone.stages.0',
        'backbone.transitions.0',
        'backbone.stages.1',
        'backbone.transitions.1',
        'backbone.stages.2',
        'backbone.final_conv',
    ]
    # 7x7 on 3 channels to 64 at 32x16; batch norm has parameters and no mult-adds.
    assert parts['backbone.stem'] == Count(49 * 3 * 64 + 2 * 64, 49 * 3 * 64 * 32 * 16, 64 * 32 * 16)
    assert parts['backbone.final_conv'] == Count(512 * 512 + 2 * 512, 512 * 512 * 4 * 2, 512 * 4 * 2)


def test_another_backbone():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = Model(MODELS.build(dict(type='ResNet', depth=18)), neck=nn.Identity())
    complexity = count_complexity(model, 224, 224)
    # ResNet-18 without its 512 x 1000 classifier; 1.814 GMAC in torchvision's table, classifier included.
    assert (complexity.total.parameters, complexity.total.mult_adds) == (11689512 - 513000, 1814073344 - 512000)
    assert list(complexity.parts)[:3] == ['backbone.conv1', 'backbone.bn1', 'backbone.layer1']


class Odd(nn.Module):
    """Convolutions of rarer kinds, a linear layer on positions, and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(5))
        self.same = nn.Conv2d(3, 8, 3, padding='same')
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.linear = nn.Linear(4, 5)
        self.unused = nn.Linear(7, 1)

    def forward(self, x):
        positions = self.up(self.same(x)).permute(0, 2, 3, 1)
        return {'map': self.linear(positions) * self.scale}


def test_rarer_layers():
    complexity = count_complexity(Model(Odd()), 6, 10)
    assert complexity.parts == {
        'backbone.same': Count(8 * 3 * 9 + 8, 8 * 3 * 9 * 60, 8 * 60),
        'backbone.up': Count(8 * 4 * 4 + 4, 8 * 4 * 4 * 60, 4 * 240),
        'backbone.linear': Count(25, 20 * 240, 5 * 240),
        'backbone.unused': Count(8, 0, 0),
        'others': Count(5, 0, 0),
    }


def test_nothing_is_logged(capfd):
    count_complexity(Model(OSNet(**SHORT, widen_factor=0.25, fusion='separate_gates')), 64, 32)
    assert capfd.readouterr() == ('', '')


def test_mistakes():
    with pytest.raises(DataError, match='8x8 do not pass through this network'):
        count_complexity(Model(OSNet(widen_factor=0.25)), 8, 8)
    with pytest.raises(DataError, match='0x32'):
        count_complexity(Model(OSNet(widen_factor=0.25)), 0, 32)
    with pytest.raises(DataError, match='Linear has no backbone'):
        count_complexity(nn.Linear(1, 1), 64, 32)


def test_table_has_aligned_columns():
    small, large = Count(2169508, 61459456, 749600), Count(2169508, 978875392, 11930512)
    complexities = [
        Complexity(256, 128, large, {'backbone.stem': large}),
        Complexity(64, 32, small, {'backbone.stem': small}),
    ]
    assert complexity_table(complexities).splitlines() == [
        'image   | parameters | mult-adds | activations',
        '--------+------------+-----------+------------',
        '256x128 |  2,169,508 |   978.9 M |      11.9 M',
        '64x32   |  2,169,508 |    61.5 M |       0.7 M',
    ]
    assert complexity_table(complexities[:1], per_stage=True).splitlines() == [
        '256x128       | parameters | mult-adds | activations',
        '--------------+------------+-----------+------------',
        'backbone.stem |  2,169,508 |   978.9 M |      11.9 M',
        'total         |  2,169,508 |   978.9 M |      11.9 M',
    ]
