from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmosnet.engine.trained_model import build_model
from mmosnet.errors import DataError
from mmosnet.models import OSNet
from mmosnet.models.complexity import (
    Complexity,
    Count,
    complexity_table,
    count_complexity,
    left_out_parameters,
)
from mmosnet.models.stream_fusion import AggregationGate

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
# Parameters, million mult-adds at 256x128, 192x96, 128x64, 64x32: arXiv 1905.00953, table 1 and the released code.
SIZES = {
    'osnet_reid_market': (2169508, (978.9, 550.7, 244.9, 61.5)),
    'osnet_x0_75_reid_market': (1285754, (571.8, 321.7, 143.1, 35.9)),
    'osnet_x0_5_reid_market': (630034, (272.9, 153.6, 68.3, 17.2)),
    'osnet_x0_25_reid_market': (201864, (82.3, 46.3, 20.6, 5.2)),
}
RESOLUTIONS = ((256, 128), (192, 96), (128, 64), (64, 32))


@pytest.mark.parametrize('name', SIZES)
def test_whole_table_of_the_paper(name):
    parameters, mult_adds = SIZES[name]
    model = build_model(Config.fromfile(CONFIGS / f'{name}.py'))
    assert left_out_parameters(model) == {'head': 512 * 751 + 751}
    for (height, width), millions in zip(RESOLUTIONS, mult_adds, strict=True):
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


@pytest.mark.parametrize('fusion', ['unified_gate', 'separate_gates', 'stream_gate', 'fixed_gate', 'sum', 'concat'])
@pytest.mark.parametrize('num_streams', [1, 3])
def test_counts_are_those_of_hooks_on_every_layer(fusion, num_streams):
    model = Model(OSNet(widen_factor=0.5, fusion=fusion, num_streams=num_streams)).eval()
    mult_adds = activations = 0

    def count(module, inputs, output):
        nonlocal mult_adds, activations
        mult_adds += module.weight.numel() * output.shape[0] * output.shape[2] * output.shape[3]
        activations += output.numel()

    def count_gate(gate, streams):
        nonlocal mult_adds, activations
        # Both layers of a gate work on each of the T pooled vectors.
        layers = [gate.squeeze, gate.excite]
        mult_adds += len(streams) * sum(layer.weight.numel() for layer in layers)
        activations += len(streams) * sum(layer.out_channels for layer in layers)

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
        if isinstance(module, AggregationGate):
            # SeparateGates asks its gates for weights, without calling them.
            plain = module.weights
            module.weights = lambda streams, gate=module, plain=plain: count_gate(gate, streams) or plain(streams)
    with torch.no_grad():
        model.backbone(torch.zeros(1, 3, 64, 48))
    expected = Count(sum(p.numel() for p in model.parameters()), mult_adds, activations)
    assert count_complexity(model, 64, 48).total == expected


def test_a_shared_gate_computes_once_per_stream():
    separate, unified = (
        count_complexity(Model(OSNet(fusion=fusion)), 64, 32).total for fusion in ('separate_gates', 'unified_gate')
    )
    assert separate.mult_adds == unified.mult_adds and separate.parameters > unified.parameters
    # Two layers C x C/16 and two activations C/16 + C, for four streams of two blocks each of 64, 96, 128 channels.
    plain = count_complexity(Model(OSNet(fusion='sum')), 64, 32).total
    assert unified.mult_adds - plain.mult_adds == 4 * 2 * sum(2 * c * (c // 16) for c in (64, 96, 128))
    assert unified.activations - plain.activations == 4 * 2 * sum(c // 16 + c for c in (64, 96, 128))


def test_stages_come_in_the_order_in_which_they_run():
    parts = count_complexity(Model(OSNet(), neck=nn.Identity()), 256, 128).parts
    assert list(parts) == [
        'backbone.stem',
        'backbone.stages.0',
        'backbone.transitions.0',
        'backbone.stages.1',
        'backbone.transitions.1',
        'backbone.stages.2',
        'backbone.final_conv',
    ]
    # 7x7 on 3 channels to 64 at 128x64; batch norm has parameters and no mult-adds.
    assert parts['backbone.stem'] == Count(49 * 3 * 64 + 2 * 64, 49 * 3 * 64 * 128 * 64, 64 * 128 * 64)
    assert parts['backbone.final_conv'] == Count(512 * 512 + 2 * 512, 512 * 512 * 16 * 8, 512 * 16 * 8)


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
    count_complexity(Model(OSNet(widen_factor=0.25, fusion='separate_gates')), 64, 32)
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
        'image     parameters      mult-adds    activations',
        '256x128    2,169,508        978.9 M         11.9 M',
        '64x32      2,169,508         61.5 M          0.7 M',
    ]
    assert complexity_table(complexities[:1], per_stage=True).splitlines() == [
        '256x128         parameters      mult-adds    activations',
        'backbone.stem    2,169,508        978.9 M         11.9 M',
        'total            2,169,508        978.9 M         11.9 M',
    ]
