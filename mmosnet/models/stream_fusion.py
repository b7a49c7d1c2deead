"""How an OSBlock fuses its streams: the aggregation gate and the alternatives it was compared with.

Section 3.2 and the ablation table of OSNet (Zhou et al., ICCV 2019, arXiv 1905.00953). Every module takes T streams
``(N, C, H, W)`` and returns one map with ``out_channels`` channels; those that weigh the streams tell how
(``weights``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

# The gate's hidden layer has 1/16 of its channels.
GATE_REDUCTION = 16


class StreamFusion(BaseModule):
    """What all fusions share.

    Args:
        channels: Channels of a stream.
        num_streams: T.
    """

    def __init__(self, channels: int, num_streams: int) -> None:
        super().__init__()
        self.out_channels = channels

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        """Fuse T streams of shape ``(N, C, H, W)`` into one map ``(N, out_channels, H, W)``."""
        raise NotImplementedError


class WeightedFusion(StreamFusion):
    """A sum weighted by :meth:`weights`."""

    def weights(self, streams: Sequence[Tensor]) -> Sequence[Tensor]:
        """Compute one weight per stream, each of a shape that broadcasts over ``(N, C, H, W)``."""
        raise NotImplementedError

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        fused = None
        for stream, weight in zip(streams, self.weights(streams), strict=True):
            # In place: no backward pass asks for a partial sum.
            fused = stream * weight if fused is None else fused.addcmul_(stream, weight)
        return fused


class AggregationGate(WeightedFusion):
    """Unified aggregation gate: weighs each channel of each stream by the stream's content.

    One gate serves all streams of a block, and runs once over their stacked pooled vectors. Its parameters are those of
    1x1 convolutions, as in the released code; on vectors they are linear layers, which start several times as fast.
    """

    def __init__(self, channels: int, num_streams: int) -> None:
        super().__init__(channels, num_streams)
        hidden = max(1, channels // GATE_REDUCTION)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, self._num_weights(channels), 1)

    @staticmethod
    def _num_weights(channels: int) -> int:
        return channels

    def weights(self, streams: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute channel weights in (0, 1), one ``(N, C, 1, 1)`` tensor per stream of ``(N, C, H, W)``."""
        pooled = torch.stack([F.adaptive_avg_pool2d(stream, 1).flatten(1) for stream in streams], dim=1)  # (N, T, C)
        hidden = F.linear(pooled, self.squeeze.weight.flatten(1), self.squeeze.bias).relu_()
        weights = F.linear(hidden, self.excite.weight.flatten(1), self.excite.bias).sigmoid_()
        return tuple(weight[:, :, None, None] for weight in weights.unbind(1))


class StreamGate(AggregationGate):
    """Stream-wise aggregation gate: one weight ``(N, 1, 1, 1)`` for all channels of a stream."""

    @staticmethod
    def _num_weights(channels: int) -> int:
        return 1


class SeparateGates(WeightedFusion):
    """An aggregation gate of its own for every stream."""

    def __init__(self, channels: int, num_streams: int) -> None:
        super().__init__(channels, num_streams)
        self.gates = ModuleList(AggregationGate(channels, 1) for _ in range(num_streams))

    def weights(self, streams: Sequence[Tensor]) -> list[Tensor]:
        """Compute channel weights in (0, 1), one ``(N, C, 1, 1)`` tensor per stream of ``(N, C, H, W)``."""
        return [gate.weights([stream])[0] for gate, stream in zip(self.gates, streams, strict=True)]


class FixedGate(WeightedFusion):
    """Learned-and-fixed gates: weights that are learned, and then the same for every image."""

    def __init__(self, channels: int, num_streams: int) -> None:
        super().__init__(channels, num_streams)
        # The sigmoid of 0: every stream starts with half its strength, as under an untrained aggregation gate.
        self.logits = nn.Parameter(torch.zeros(num_streams, channels, 1, 1))

    def weights(self, streams: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute channel weights in (0, 1), one ``(C, 1, 1)`` tensor per stream."""
        return self.logits.sigmoid().unbind()


class StreamSum(StreamFusion):
    """The plain sum of the streams."""

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        fused = streams[0]
        for stream in streams[1:]:
            fused = fused + stream
        return fused


class StreamConcat(StreamFusion):
    """All streams side by side: T times the channels, left to the block's last convolution to mix."""

    def __init__(self, channels: int, num_streams: int) -> None:
        super().__init__(channels, num_streams)
        self.out_channels = channels * num_streams

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(streams), dim=1)


FUSIONS = {
    'unified_gate': AggregationGate,
    'separate_gates': SeparateGates,
    'stream_gate': StreamGate,
    'fixed_gate': FixedGate,
    'sum': StreamSum,
    'concat': StreamConcat,
}
