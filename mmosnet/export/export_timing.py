"""Time per image of exported files beside the model in PyTorch."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import nn

from mmosnet.models.deploy import switch_to_deploy
from mmosnet.runtime.model import ExportedModel

# Seconds for each batch size, and calls at least.
SECONDS, CALLS = 1.0, 5


def time_per_image(exported: ExportedModel, model: nn.Module, batch_size: int) -> tuple[float, float]:
    """Measure median times per image of both, called in turn, without preprocessing.

    Args:
        exported: The file.
        model: Model that the file was exported from.
        batch_size: Images at once.

    Returns:
        Milliseconds an image of the file, and of the model's deploy form in PyTorch.
    """
    description = exported.description
    pictures = np.random.RandomState(0).randint(
        0, 256, (batch_size, description.height, description.width, 3), dtype=np.uint8
    )
    inputs = description.prepare(pictures)
    images = torch.randn(batch_size, 3, description.height, description.width)
    network = switch_to_deploy(copy.deepcopy(model))

    def eager() -> None:
        with torch.inference_mode():
            network.head(network.extract_feat(images))

    works: list[Callable[[], object]] = [lambda: exported.run(inputs), eager]
    times: list[list[float]] = [[], []]
    for work in works:
        # The first call builds, the second settles.
        work()
        work()
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times[0]) < CALLS:
        for work, found in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            found.append(time.perf_counter() - start)
    ours, torchs = (median(found) * 1000 / batch_size for found in times)
    return ours, torchs
