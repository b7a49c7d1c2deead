"""Measured limits of the machine: multiply-adds and copied bytes per second."""

from __future__ import annotations

import math
from functools import cache, partial
from statistics import median

import torch
from torch import nn

from benchmarks.measure import Repeated

# Rows and columns of the products. A CPU without bfloat16 instructions takes minutes for a large one in bfloat16.
LEAST_GEMM, LARGEST_GEMM = 256, 2048
GEMM_SECONDS = 0.5
# Smaller arrays measure the call and not the copy.
LEAST_BYTES = 2**18
LARGEST_BYTES = 2**28


@cache
def gemm_rate(device: str = 'cpu', dtype: torch.dtype = torch.float32) -> float:
    """Return multiply-adds per second of the largest matrix product that takes half a second at most."""
    size = LEAST_GEMM
    while True:
        left, right = (torch.rand(size, size, device=device, dtype=dtype) for _ in range(2))
        lap = Repeated(partial(torch.mm, left, right), device, least_seconds=0.2)
        lap()
        # Twice the size is eight times the work, or more where it leaves a cache.
        if size == LARGEST_GEMM or 8 * lap().seconds > GEMM_SECONDS:
            return size**3 / median(lap().seconds for _ in range(3))
        size *= 2


@cache
def _copy_rate(num_bytes: int, device: str) -> float:
    source = torch.zeros(num_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    lap = Repeated(lambda: target.copy_(source), device, least_seconds=0.1)
    lap()
    return 2 * num_bytes / median(lap().seconds for _ in range(3))


def copy_rate(num_bytes: float, device: str = 'cpu') -> float:
    """Return bytes read and written per second when copying arrays of about this size: small ones stay in a cache."""
    power = round(math.log2(min(max(num_bytes, LEAST_BYTES), LARGEST_BYTES)))
    return _copy_rate(2**power, device)


def network_limit(
    model: nn.Module, images: torch.Tensor, device: str = 'cpu', dtype: torch.dtype = torch.float32, passes: int = 1
) -> float:
    """Return the least seconds that a network's convolutions and linear layers need.

    This is the larger of two bounds: multiply-adds at the rate of a large matrix product; inputs, outputs and weights
    at the rate of copying arrays of the size of an average output. All other operations (normalization, activations,
    gates) count as free. Caches larger than a layer can beat the second bound.

    Args:
        model: Network, called as ``model(images)``.
        images: ``(N, 3, H, W)``.
        device: Device whose rates are measured.
        dtype: Type of the numbers.
        passes: 1 for inference, 3 for a training step: backward multiplies with the weights and with the inputs.
    """
    outputs: list[int] = []
    mult_adds = moved = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal mult_adds, moved
        mult_adds += output.numel() * module.weight[0].numel()
        moved += inputs[0].numel() + output.numel() + module.weight.numel()
        outputs.append(output.numel())

    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    modes = [(module, module.training) for module in model.modules()]
    try:
        # One image: a batch norm in training mode needs several, and would change its statistics.
        model.eval()
        with torch.inference_mode():
            model(images[:1])
    finally:
        for module, training in modes:
            module.training = training
        for hook in hooks:
            hook.remove()
    batch, size = len(images) * passes, torch.empty((), dtype=dtype).element_size()
    average = len(images) * size * sum(outputs) / max(1, len(outputs))
    return batch * max(mult_adds / gemm_rate(device, dtype), moved * size / copy_rate(average, device))
