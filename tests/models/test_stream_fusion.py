import pytest
import torch
import torch.nn.functional as F

from mmosnet.models import OSNet
from mmosnet.models.stream_fusion import FUSIONS

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
