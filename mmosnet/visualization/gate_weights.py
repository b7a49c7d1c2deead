"""Which scale a network attends to: the mean weights that its aggregation gates give to the streams.

A gate weighs each channel of each stream by the image's content (section 3.2 of OSNet, arXiv 1905.00953); stream t sees
``2t + 1`` pixels of the block's input. A weight tells how far the gate lets a stream through, not how strong the stream
is. Means over channels differ little, because a gate that raises some channels of a stream lowers others: compare an
image with the mean over images, and see by the contrast whether the gate tells the streams apart at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmosnet.drawing.tables import text_table
from mmosnet.models.osnet import OSNet, WeightedFusion


def channel_weights(fusion: WeightedFusion, streams: Sequence[Tensor]) -> Tensor:
    """Compute the weight of each channel of each of T streams ``(N, C, H, W)``: ``(N, T, C)``."""
    num_images, channels = streams[0].shape[:2]
    weights = [weight.expand(num_images, channels, 1, 1).flatten(1) for weight in fusion.weights(streams)]
    return torch.stack(weights, dim=1).float()


@contextmanager
def recorded_gates(backbone: OSNet) -> Iterator[dict[str, Tensor]]:
    """Record the :func:`channel_weights` of every OSBlock, by its name, in the forward passes of the ``with`` block.

    A later pass replaces an earlier one. The dict stays empty where the fusion has no weights.
    """
    recorded: dict[str, Tensor] = {}

    def hook_of(name: str):
        def record(gate, inputs, output):
            recorded[name] = channel_weights(gate, inputs[0]).detach().cpu()

        return record

    hooks = [
        block.gate.register_forward_hook(hook_of(f'stages.{stage}.{number}'))
        for stage, blocks in enumerate(backbone.stages)
        for number, block in enumerate(blocks)
        if isinstance(block.gate, WeightedFusion)
    ]
    try:
        yield recorded
    finally:
        for hook in hooks:
            hook.remove()


def stream_names(backbone: OSNet) -> list[str]:
    """Return the receptive field of each stream in pixels of the block's input: ``['3x3', '5x5', ...]``."""
    return [f'{2 * len(stream) + 1}x{2 * len(stream) + 1}' for stream in backbone.stages[0][0].streams]


@dataclass(frozen=True)
class GateWeights:
    """Mean gate weights of several images.

    Attributes:
        images: Names of the I images.
        blocks: Names of the B OSBlocks, ``stages.0.0`` and so on.
        streams: Names of the T streams, from :func:`stream_names`.
        by_block: ``(I, B, T)``, means over channels.
        contrast: ``(I, B)``, how differently a block weighs its streams: the standard deviation of a channel's T
            weights, averaged over the channels. 0 where the gate does not choose between scales.
    """

    images: list[str]
    blocks: list[str]
    streams: list[str]
    by_block: np.ndarray
    contrast: np.ndarray

    @classmethod
    def of(cls, images: Sequence[str], streams: Sequence[str], records: Sequence[dict[str, Tensor]]) -> GateWeights:
        """Join the records of :func:`recorded_gates`, one image per forward pass."""
        blocks = list(records[0])
        weights = [[record[block][0].double().numpy() for block in blocks] for record in records]
        return cls(
            images=list(images),
            blocks=blocks,
            streams=list(streams),
            by_block=np.array([[block.mean(1) for block in image] for image in weights]),
            contrast=np.array([[block.std(0).mean() for block in image] for image in weights]),
        )

    @property
    def stages(self) -> list[str]:
        """Names of the S stages."""
        return list(dict.fromkeys(block.rpartition('.')[0] for block in self.blocks))

    @property
    def by_stage(self) -> np.ndarray:
        """Means over the blocks of each stage, ``(I, S, T)``."""
        return self._mean_of_stages(self.by_block)

    @property
    def mean_contrast(self) -> np.ndarray:
        """Means over images and the blocks of each stage, ``(S,)``."""
        return self._mean_of_stages(self.contrast).mean(0)

    def _mean_of_stages(self, of_blocks: np.ndarray) -> np.ndarray:
        owners = [block.rpartition('.')[0] for block in self.blocks]
        return np.stack([of_blocks[:, [o == stage for o in owners]].mean(1) for stage in self.stages], axis=1)

    def report(self) -> dict:
        """Return all numbers, for a JSON file."""
        by_stage = self.by_stage

        def named(values: np.ndarray, names: Sequence[str]) -> dict[str, float | list[float]]:
            return dict(zip(names, values.tolist(), strict=True))

        images = [
            dict(
                image=image,
                stages=named(by_stage[i], self.stages),
                blocks=named(self.by_block[i], self.blocks),
                contrast=named(self.contrast[i], self.blocks),
            )
            for i, image in enumerate(self.images)
        ]
        return dict(
            streams=self.streams,
            mean=named(by_stage.mean(0), self.stages),
            std=named(by_stage.std(0), self.stages),
            contrast=named(self.mean_contrast, self.stages),
            images=images,
        )

    def table(self) -> str:
        """Lay out one row per stage: mean and standard deviation over the images per stream, and the contrast."""
        mean, std = self.by_stage.mean(0), self.by_stage.std(0)
        rows = [
            [stage, *(f'{m:.4f} +- {d:.4f}' for m, d in zip(row, deviations, strict=True)), f'{contrast:.4f}']
            for stage, row, deviations, contrast in zip(self.stages, mean, std, self.mean_contrast, strict=True)
        ]
        return text_table(['mean gate weight', *self.streams, 'contrast'], rows)
