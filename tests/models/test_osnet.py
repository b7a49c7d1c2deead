from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule

from mmosnet.models import OSNet
from mmosnet.models.osnet import FUSIONS, AggregationGate
from tests.models.deterministic_weights import fill_with_sines, sine_images

CHANNELS, STREAMS = 48, 3


def make_streams() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, CHANNELS, 5, 3) for _ in range(STREAMS)]


def gate_of(stream: torch.Tensor, gate: torch.nn.Module) -> torch.Tensor:
    """The aggregation gate as the paper writes it: pool, two layers, sigmoid."""
    pooled = torch.nn.functional.adaptive_avg_pool2d(stream, 1)
    return torch.sigmoid(gate.excite(torch.relu(gate.squeeze(pooled))))


# The formula of each fusion, one stream after the other.
FORMULAS = {
    'unified_gate': lambda m, streams: sum(x * gate_of(x, m) for x in streams),
    'stream_gate': lambda m, streams: sum(x * gate_of(x, m) for x in streams),
    'separate_gates': lambda m, streams: sum(x * gate_of(x, m.gates[t]) for t, x in enumerate(streams)),
    'fixed_gate': lambda m, streams: sum(x * torch.sigmoid(m.logits[t]) for t, x in enumerate(streams)),
    'sum': lambda m, streams: sum(streams),
    'concat': lambda m, streams: torch.cat(streams, 1),
}


@pytest.mark.parametrize('name', FUSIONS)
def test_fusion_is_its_formula(name):
    streams = make_streams()
    fusion = FUSIONS[name](CHANNELS, STREAMS)
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter)
    fused = fusion(streams)
    assert fused.shape[1] == fusion.out_channels
    torch.testing.assert_close(fused, FORMULAS[name](fusion, streams))


@pytest.mark.parametrize(
    ('name', 'shape'),
    [
        ('unified_gate', (2, CHANNELS, 1, 1)),
        ('separate_gates', (2, CHANNELS, 1, 1)),
        ('stream_gate', (2, 1, 1, 1)),
        ('fixed_gate', (CHANNELS, 1, 1)),
    ],
)
def test_weights_have_one_entry_per_stream_between_0_and_1(name, shape):
    weights = FUSIONS[name](CHANNELS, STREAMS).weights(make_streams())
    assert [tuple(weight.shape) for weight in weights] == [shape] * STREAMS
    assert all(((weight > 0) & (weight < 1)).all() for weight in weights)


def test_fixed_gate_does_not_look_at_the_image():
    model = OSNet(widen_factor=0.25, fusion='fixed_gate').eval()
    gate = model.stages[0][0].gate
    first, second = gate.weights(make_streams()), gate.weights([10 * stream for stream in make_streams()])
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_unified_gate_runs_once_over_all_streams(monkeypatch):
    block = OSNet(widen_factor=0.25).stages[0][0]
    calls = []
    linear = F.linear
    monkeypatch.setattr(F, 'linear', lambda x, *args: calls.append(tuple(x.shape)) or linear(x, *args))
    block(torch.randn(3, 16, 8, 4))
    assert calls == [(3, 4, 16), (3, 4, 1)]


# beta: (backbone parameters, with the 512-d embedding layer, million mult-adds at 256x128, 192x96, 128x64, 64x32);
# arXiv 1905.00953, table 1 and the released code.
SIZES = {
    1.0: (1905828, 2169508, (978.9, 550.7, 244.9, 61.5)),
    0.75: (1087610, 1285754, (571.8, 321.7, 143.1, 35.9)),
    0.5: (497426, 630034, (272.9, 153.6, 68.3, 17.2)),
    0.25: (134792, 201864, (82.3, 46.3, 20.6, 5.2)),
}
RESOLUTIONS = ((256, 128), (192, 96), (128, 64), (64, 32))


def count_mult_adds(model: torch.nn.Module, height: int, width: int) -> float:
    """Multiply-adds of convolutions on one image, in millions; a gate is applied once per stream, T times in all."""
    total = 0

    def count(module, inputs, output):
        nonlocal total
        total += module.weight.numel() * output.shape[0] * output.shape[2] * output.shape[3]

    def count_gate(module, inputs, output):
        nonlocal total
        # On each of the T pooled vectors.
        total += len(inputs[0]) * (module.squeeze.weight.numel() + module.excite.weight.numel())

    gates = [m for m in model.modules() if isinstance(m, AggregationGate)]
    hooks = [m.register_forward_hook(count_gate) for m in gates]
    hooks += [m.register_forward_hook(count) for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    with torch.no_grad():
        model(torch.zeros(1, 3, height, width))
    for hook in hooks:
        hook.remove()
    return total / 1e6


@pytest.mark.parametrize('widen_factor', SIZES)
def test_size_is_the_papers(widen_factor):
    backbone_size, model_size, mult_adds = SIZES[widen_factor]
    model = OSNet(widen_factor=widen_factor).eval()
    channels = int(512 * widen_factor)
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == backbone_size
    # Linear with bias, batch norm with scale and shift.
    assert parameters + channels * 512 + 512 + 2 * 512 == model_size
    for (height, width), expected in zip(RESOLUTIONS, mult_adds, strict=True):
        linear = channels * 512 / 1e6
        assert round(count_mult_adds(model, height, width) + linear, 1) == expected


# Computed by the released code (torchreid 0.2.5) with the same sines as weights.
GOLDEN = {
    1.0: (332.27857927046716, [360.14312744140625, 0.0, 377.6479187011719, 113.65442657470703, 0.0]),
    0.25: (1363.703088846065, [2507.37353515625, 1519.587158203125, 0.0, 0.0, 0.0]),
}


@pytest.mark.parametrize('widen_factor', GOLDEN)
def test_golden_output_of_the_released_code(widen_factor):
    mean, values = GOLDEN[widen_factor]
    model = OSNet(widen_factor=widen_factor).eval()
    # The names count, as they do in the full model that computed the golden values.
    fill_with_sines(model, {name: f'backbone.{name}' for name in model.state_dict()})
    with torch.no_grad():
        (feature_map,) = model(sine_images(2, 64, 32))
    assert feature_map.shape == (2, int(512 * widen_factor), 4, 2)
    assert feature_map.double().abs().mean().item() == pytest.approx(mean, rel=1e-4)
    assert feature_map[0, :5, 1, 1].tolist() == pytest.approx(values, rel=1e-4)


# Options of a variant, and its parameters with the 512-d embedding layer: OSNet-IBN and -AIN of arXiv 1910.06827, and
# the paper's ablations. Counted by hand from the plain network's 2,169,508, C being the streams' channels, two blocks
# each of C = 64, 96, 128 (C * C / 8 + C + C / 16 for a gate, C * C + 11 C for a Lite 3x3).
GATES = 2 * ((512 + 64 + 4) + (1152 + 96 + 6) + (2048 + 128 + 8))
FAMILY = [
    (dict(arch='osnet_ibn'), 2170532),
    (dict(arch='osnet_ain'), 2169508),
    (dict(num_streams=1, fusion='sum'), 2169508 - GATES - 9 * 2 * sum(c * c + 11 * c for c in (64, 96, 128))),
    (dict(num_streams=2), 2169508 - 7 * 2 * sum(c * c + 11 * c for c in (64, 96, 128))),
    (dict(num_streams=3), 2169508 - 4 * 2 * sum(c * c + 11 * c for c in (64, 96, 128))),
    (dict(num_streams=5), 2169508 + 5 * 2 * sum(c * c + 11 * c for c in (64, 96, 128))),
    (dict(lite=False), 2169508 + 10 * 2 * sum(9 * c * c + 2 * c - c * c - 11 * c for c in (64, 96, 128))),
    (dict(same_depth=True), 2169508 + 6 * 2 * sum(c * c + 11 * c for c in (64, 96, 128))),
    (dict(fusion='concat'), 2169508 - GATES + 2 * sum(3 * c * 4 * c for c in (64, 96, 128))),
    (dict(fusion='sum'), 2169508 - GATES),
    (dict(fusion='separate_gates'), 2169508 + 3 * GATES),
    (dict(fusion='stream_gate'), 2169508 - 2 * sum((c - 1) * (c // 16 + 1) for c in (64, 96, 128))),
    (dict(fusion='fixed_gate'), 2169508 - GATES + 2 * sum(4 * c for c in (64, 96, 128))),
]


@pytest.mark.parametrize(('options', 'parameters'), FAMILY, ids=lambda v: str(v))
def test_family_has_the_right_size_and_learns(options, parameters):
    torch.manual_seed(0)
    model = OSNet(**options)
    assert sum(p.numel() for p in model.parameters()) + 512 * 512 + 512 + 2 * 512 == parameters
    model.init_weights()
    (feature_map,) = model(torch.randn(8, 3, 64, 32))
    assert feature_map.shape == (8, 512, 4, 2)
    feature_map.square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize('widen_factor', [0.1, 0.33, 0.6, 1.3])
@pytest.mark.parametrize('arch', ['osnet', 'osnet_ibn', 'osnet_ain'])
def test_any_width(arch, widen_factor):
    (feature_map,) = OSNet(arch=arch, widen_factor=widen_factor)(torch.randn(2, 3, 64, 32))
    assert feature_map.shape == (2, int(512 * widen_factor), 4, 2)


def test_instance_norms_are_where_the_paper_puts_them():
    ibn, ain = OSNet(arch='osnet_ibn'), OSNet(arch='osnet_ain')
    norms = {
        model: [n for n, m in model.named_modules() if isinstance(m, torch.nn.InstanceNorm2d)] for model in (ibn, ain)
    }
    assert norms[ibn] == ['stem.0.in', 'stages.0.0.sum_norm', 'stages.0.1.sum_norm']
    assert norms[ain] == [
        'stem.0.in',
        *(f'stages.{block}.expand.in' for block in ('0.0', '0.1', '1.1', '2.0')),
    ]
    # A scaled and shifted image is the same image to an instance norm, in training and in evaluation.
    block = ibn.eval().stages[0][1]
    x = torch.randn(2, 256, 8, 4).relu()
    torch.testing.assert_close(block.sum_norm(3 * x + 1), block.sum_norm(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('num_streams', [1, 2, 4, 5])
def test_every_parameter_gets_a_gradient(num_streams):
    torch.manual_seed(0)
    model = OSNet(num_streams=num_streams)
    model.init_weights()
    model(torch.randn(8, 3, 64, 32))[0].square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize('out_indices', [(0,), (1,), (2,), (3,), (0, 2), (0, 1, 2, 3)])
def test_maps_have_stride_4_8_16_16_and_nothing_is_unused(out_indices):
    model = OSNet(widen_factor=0.5, out_indices=out_indices)
    maps = model(torch.randn(2, 3, 64, 32))
    shapes = {0: (2, 128, 16, 8), 1: (2, 192, 8, 4), 2: (2, 256, 4, 2), 3: (2, 256, 4, 2)}
    assert [tuple(m.shape) for m in maps] == [shapes[i] for i in out_indices]
    sum(m.square().mean() for m in maps).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(('batch', 'height', 'width'), [(1, 33, 17), (3, 256, 128), (2, 95, 210), (1, 64, 64)])
def test_any_batch_and_size(batch, height, width):
    model = OSNet(widen_factor=0.25).eval()
    with torch.no_grad():
        (feature_map,) = model(torch.randn(batch, 3, height, width))
    assert feature_map.shape[:2] == (batch, 128)
    assert feature_map.isfinite().all()


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
def test_memory_format_changes_nothing_but_speed(memory_format):
    fast = OSNet(widen_factor=0.25).eval()
    plain = OSNet(widen_factor=0.25, channels_last=False).eval()
    plain.load_state_dict(fast.state_dict())
    x = torch.randn(2, 3, 64, 32).contiguous(memory_format=memory_format)
    with torch.no_grad():
        (a,), (b,) = fast(x), plain(x)
    assert a.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_autocast_stays_close():
    model = OSNet(widen_factor=0.25).eval()
    x = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        (exact,) = model(x)
        with torch.autocast('cpu', torch.bfloat16):
            (rough,) = model(x)
    assert rough.dtype == torch.bfloat16
    assert torch.nn.functional.cosine_similarity(exact.flatten(1), rough.float().flatten(1)).min() > 0.99


def test_compile_graph_is_whole_and_equal():
    torch._dynamo.reset()
    # Two stages of one block have all that four have.
    model = OSNet(widen_factor=0.25, arch=dict(channels=(64, 256, 384), depths=(1, 1)), out_indices=(2,)).eval()
    x = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        # The capture is ours to get right (no graph break); the code generator is torch's.
        compiled = torch.compile(model, backend='eager', fullgraph=True)
        torch.testing.assert_close(compiled(x)[0], model(x)[0])


@pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 3, 4])
def test_frozen_stages_neither_learn_nor_count_statistics(frozen_stages):
    model = OSNet(widen_factor=0.25, frozen_stages=frozen_stages)
    assert model.train() is model
    parts = [[model.stem]] + [[model.stages[i], *model.transitions[i : i + 1]] for i in range(3)] + [[model.final_conv]]
    for index, part in enumerate(parts):
        for module in part:
            frozen = index <= frozen_stages
            assert module.training != frozen
            assert all(p.requires_grad != frozen for p in module.parameters())
    assert model.eval() is model and not model.training


def test_norm_eval_keeps_statistics():
    model = OSNet(widen_factor=0.25, norm_eval=True).train()
    before = copy.deepcopy(model.state_dict())
    model(torch.randn(2, 3, 64, 32))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_cifar_stem_keeps_the_resolution():
    maps = OSNet(widen_factor=0.25, stem='cifar', out_indices=(0, 1, 2, 3))(torch.randn(2, 3, 32, 32))
    assert [m.shape[-1] for m in maps] == [32, 16, 8, 8]


def test_init_weights_follows_the_released_code():
    torch.manual_seed(0)
    model = OSNet()
    assert isinstance(model, BaseModule)
    model.init_weights()
    weight = model.final_conv.conv.weight
    # Kaiming normal, fan out: variance 2 / (out_channels * kernel area).
    assert weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.02)
    gate = model.stages[0][0].gate
    assert gate.squeeze.bias.abs().max() == 0
    assert all(
        (m.weight == 1).all() and (m.bias == 0).all() for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)
    )


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(arch='resnet'), "arch='resnet' is unknown"),
        (dict(arch=dict(channels=(64, 256), depths=(2, 2))), 'one channel number for the stem'),
        (dict(arch=dict(channels=(64, 256), depth=(2,))), 'arch has or lacks depth, depths'),
        (dict(widen_factor=0.01), 'leaves 0 channels'),
        (dict(num_streams=0), 'num_streams=0'),
        (dict(out_indices=(4,)), 'within 0..3'),
        (dict(out_indices=(2, 1)), 'ascending'),
        (dict(out_indices=()), 'out_indices'),
        (dict(frozen_stages=5), 'frozen_stages=5 is outside -1..4'),
        (dict(fusion='max'), "fusion='max' is unknown, choose from .*'unified_gate'"),
        (
            dict(arch=dict(channels=(64, 256), depths=(2,), instance_norms=((None, 'in'),))),
            "instance_norms needs None, 'branch' or 'sum'",
        ),
        (dict(arch=dict(channels=(64, 256), depths=(2,), instance_norms=((None,),))), 'for each OSBlock'),
        (dict(stem='vgg'), "stem='vgg' is unknown"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        OSNet(**arguments)


def pretrained(path, prefix=None, **options):
    init_cfg = dict(type='Pretrained', checkpoint=str(path), prefix=prefix)
    model = OSNet(widen_factor=0.25, init_cfg=init_cfg, **options)
    model.init_weights()
    return model.state_dict()


@pytest.mark.parametrize('named', ['model.backbone', 'model.backbone.'])
def test_pretrained_takes_a_named_part(tmp_path, named):
    state = OSNet(widen_factor=0.25).state_dict()
    torch.save({f'model.backbone.{k}': v for k, v in state.items()}, tmp_path / 'a.pth')
    loaded = pretrained(tmp_path / 'a.pth', prefix=named, out_indices=(0, 1))
    assert loaded and all(torch.equal(value, state[name]) for name, value in loaded.items())


@pytest.mark.parametrize('prefix', ['', 'backbone.', 'module.', 'module.backbone.'])
def test_pretrained_takes_a_backbone_or_a_whole_model(tmp_path, prefix):
    state = OSNet(widen_factor=0.25).state_dict()
    torch.save(
        {'state_dict': {prefix + k: v for k, v in state.items()} | {'neck.fc.bias': torch.zeros(1)}}, tmp_path / 'a.pth'
    )
    loaded = pretrained(tmp_path / 'a.pth', out_indices=(0, 1))
    assert loaded and all(torch.equal(value, state[name]) for name, value in loaded.items())


def test_pretrained_of_another_width_is_refused(tmp_path):
    torch.save(OSNet(widen_factor=0.5).state_dict(), tmp_path / 'b.pth')
    with pytest.raises(ValueError, match=r'b\.pth does not fit this OSNet: \d+ entries differ, the first stem\.0'):
        pretrained(tmp_path / 'b.pth')
