"""Counts by hooks on the layers of a network: the definition, which the counters of the package are held against."""

import torch
from torch import nn

from mmosnet.models.complexity import Count
from mmosnet.models.osnet import AggregationGate


def count_by_hooks(model: nn.Module, height: int, width: int) -> Count:
    """Sizes of a model's ``backbone`` and, if it has one, ``neck``, for one image."""
    parts = [model.backbone, *([model.neck] if getattr(model, 'neck', None) is not None else [])]
    network = nn.Sequential(*parts).eval()
    mult_adds = activations = 0
    handles = []

    def count(module, inputs, output):
        nonlocal mult_adds, activations
        positions = output.numel() // module.weight.shape[0]
        mult_adds += module.weight.numel() * positions
        activations += output.numel()

    def count_gate(gate, streams):
        nonlocal mult_adds, activations
        # Both layers of a gate work on each of the T pooled vectors.
        layers = [gate.squeeze, gate.excite]
        mult_adds += len(streams) * sum(layer.weight.numel() for layer in layers)
        activations += len(streams) * sum(layer.out_channels for layer in layers)

    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            handles.append(module.register_forward_hook(count))
        if isinstance(module, AggregationGate):
            # SeparateGates asks its gates for weights, without calling them.
            plain = module.weights
            module.weights = lambda streams, gate=module, plain=plain: count_gate(gate, streams) or plain(streams)
    with torch.no_grad():
        network(torch.zeros(1, 3, height, width))
    for handle in handles:
        handle.remove()
    for module in network.modules():
        if isinstance(module, AggregationGate):
            del module.weights
    return Count(sum(parameter.numel() for parameter in network.parameters()), mult_adds, activations)
