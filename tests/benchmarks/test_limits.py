import pytest
import torch
from torch import nn

from benchmarks import limits


@pytest.fixture
def rates(monkeypatch):
    """Multiply-adds and bytes a second, for tests to choose."""
    chosen = dict(gemm=1.0, copy=1.0)
    monkeypatch.setattr(limits, 'gemm_rate', lambda device='cpu', dtype=None: chosen['gemm'])
    monkeypatch.setattr(limits, 'copy_rate', lambda num_bytes, device='cpu': chosen['copy'])
    return chosen


def network():
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, padding=1, groups=4), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6, 5)
    )


# Of one image of 2x3 pixels.
MULT_ADDS = 8 * 6 * 9 + 5 * 48
NUMBERS = (4 * 6 + 8 * 6 + 8 * 9) + (48 + 5 + 5 * 48)


def test_the_slower_of_multiplying_and_moving(rates):
    images = torch.rand(2, 4, 2, 3)
    rates.update(gemm=10.0, copy=1e12)
    assert limits.network_limit(network(), images) == pytest.approx(2 * MULT_ADDS / 10)
    rates.update(gemm=1e12, copy=100.0)
    assert limits.network_limit(network(), images) == pytest.approx(2 * 4 * NUMBERS / 100)
    assert limits.network_limit(network(), images, dtype=torch.bfloat16) == pytest.approx(2 * 2 * NUMBERS / 100)
    assert limits.network_limit(network(), images, passes=3) == pytest.approx(3 * 2 * 4 * NUMBERS / 100)


def test_the_network_is_left_as_it_was(rates):
    model = network()
    model[1].eval()
    limits.network_limit(model, torch.rand(1, 4, 2, 3))
    assert model.training and not model[1].training
    assert int(model[1].num_batches_tracked) == 0
    assert not any(module._forward_hooks for module in model.modules())


# Without instructions for bfloat16 a product of 2048 x 2048 takes minutes.
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_measured_gemm_is_possible(dtype):
    assert 1e7 < limits.gemm_rate(dtype=dtype) < 1e15


def test_measured_copies_are_possible():
    assert 1e8 < limits.copy_rate(1) < 1e14
    # Sizes that are measured are powers of two.
    assert limits.copy_rate(2**18 + 1) == limits.copy_rate(2**18)
