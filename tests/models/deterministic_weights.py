"""Weights and images made of sines: the same on every machine and in every version of torch."""

import math

import torch


def fill_with_sines(module: torch.nn.Module, names: dict[str, str] | None = None) -> None:
    """Fill a model's state in place.

    ``names`` maps each entry's name to the name that decides its values, so that two implementations with different
    names get equal weights.
    """
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            continue
        name = name if names is None else names[name]
        phase = sum(ord(character) for character in name)
        wave = torch.sin(torch.arange(tensor.numel(), dtype=torch.float64) * 0.7317 + phase).view(tensor.shape)
        if 'running_var' in name:
            wave = 1 + 0.3 * wave
        elif tensor.ndim > 1:
            wave = wave * math.sqrt(4 / tensor[0].numel())
        elif name.endswith('weight'):
            wave = 1 + 0.2 * wave
        else:
            wave = 0.1 * wave
        tensor.copy_(wave)


def sine_images(count: int, height: int, width: int) -> torch.Tensor:
    values = torch.sin(torch.arange(count * 3 * height * width, dtype=torch.float64) * 0.0913)
    return (values + torch.sin(values.cumsum(0))).view(count, 3, height, width).float()
