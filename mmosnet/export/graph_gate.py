"""The aggregation gate as runtimes of graphs like it."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmosnet.models.osnet import AggregationGate, WeightedFusion


class GraphGate(WeightedFusion):
    """An aggregation gate over the pooled vectors side by side, ``(N, C, T, 1)``, by 1x1 convolutions.

    torch is fastest with linear layers on stacked vectors, ``(N, T, C)``; NNCF fails on them, and runtimes have more
    layers of their own for convolutions.

    Args:
        gate: Gate whose convolutions are used.
    """

    def __init__(self, gate: AggregationGate) -> None:
        super().__init__(gate.out_channels, 1)
        self.squeeze = gate.squeeze
        self.excite = gate.excite

    def weights(self, streams: Sequence[Tensor]) -> Sequence[Tensor]:
        """Compute weights as :class:`~mmosnet.models.osnet.AggregationGate` does."""
        # A mean over two dimensions is no pooling to ONNX Runtime, and costs a change of layout.
        pooled = torch.cat([F.adaptive_avg_pool2d(stream, 1) for stream in streams], 2)
        return self.excite(self.squeeze(pooled).relu()).sigmoid().split(1, 2)

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        """Compute a sum of products, without ``addcmul``, which also multiplies by its ``value=1``."""
        fused = None
        for stream, weight in zip(streams, self.weights(streams), strict=True):
            fused = stream * weight if fused is None else fused + stream * weight
        return fused


def with_graph_gates(model: nn.Module) -> nn.Module:
    """Return a copy of a model with :class:`GraphGate` in place of its gates; the outputs are the same."""
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, AggregationGate):
                setattr(parent, name, GraphGate(child))
    return model
