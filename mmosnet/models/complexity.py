"""How large a network is and how much it computes, counted as in table 1 of OSNet (arXiv 1905.00953).

Mult-adds (a multiplication with its addition is one) and activations (output elements) of convolutions and linear
layers, for one image at test time: backbone and neck. A shared aggregation gate's parameters count once, its mult-adds
for each of the T streams. mmengine's analyzers count; as they come they add normalisation and pooling, and pass over
convolutions with ``padding='same'``. Attention fused into one operator is not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.analysis.complexity_analysis import parameter_count
from mmengine.analysis.jit_analysis import JitModelAnalysis
from mmengine.analysis.jit_handles import (
    Handle,
    conv_flop_count,
    conv_flop_jit,
    generic_activation_jit,
    get_shape,
    linear_flop_jit,
)
from torch import Tensor, nn

from mmosnet.errors import DataError
from mmosnet.io.text_tables import text_table


def _same_padding_mult_adds(inputs: list, outputs: list) -> int:
    return conv_flop_count(get_shape(inputs[0]), get_shape(inputs[1]), get_shape(outputs[0]))


def _with_activations(mult_adds: Handle) -> Handle:
    """Count an operator's outputs with its mult-adds in one trace: tracing takes most of the time."""

    def count(inputs: list, outputs: list) -> Counter[str]:
        found = mult_adds(inputs, outputs)
        found = sum(found.values()) if isinstance(found, Counter) else found
        return Counter(mult_adds=found, activations=generic_activation_jit()(inputs, outputs))

    return count


HANDLES: dict[str, Handle] = {
    'aten::_convolution': _with_activations(conv_flop_jit),
    'aten::_convolution_mode': _with_activations(_same_padding_mult_adds),
    'aten::linear': _with_activations(linear_flop_jit),
}


@dataclass(frozen=True)
class Count:
    """Sizes of a network or of a part of it: numbers, not millions."""

    parameters: int
    mult_adds: int
    activations: int


@dataclass(frozen=True)
class Complexity:
    """What :func:`count_complexity` finds.

    Attributes:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        total: Backbone and neck.
        parts: The stages of the backbone in the order in which they run, and the neck, by module name. They add up
            to ``total``; what the backbone owns and computes itself is in ``'others'``.
    """

    height: int
    width: int
    total: Count
    parts: dict[str, Count]


class FeatureExtractor(nn.Module):
    """Backbone and neck of a model of any OpenMMLab toolbox.

    Raises:
        DataError: The model has no backbone.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if not isinstance(getattr(model, 'backbone', None), nn.Module):
            raise DataError(f'{type(model).__name__} has no backbone: there is nothing to count')
        self.backbone = model.backbone
        self.neck = getattr(model, 'neck', None)

    def forward(self, images: Tensor) -> object:
        features = self.backbone(images)
        return features if self.neck is None else self.neck(features)

    def parts(self) -> list[str]:
        """Return the names of the backbone's children, list members one by one, and of the neck."""
        names = []
        for name, child in self.backbone.named_children():
            numbers = [f'.{i}' for i in range(len(child))] if isinstance(child, nn.ModuleList) else ['']
            names += [f'backbone.{name}{number}' for number in numbers]
        return names + ['neck'] * (self.neck is not None)


def count_complexity(model: nn.Module, height: int, width: int) -> Complexity:
    """Count parameters, mult-adds and activations of a model for one image.

    Args:
        model: Model with a ``backbone`` and possibly a ``neck``; it is set to evaluation mode.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Raises:
        DataError: The model has no backbone, or cannot take such an image.
    """
    if min(height, width) < 1:
        raise DataError(f'an image of {height}x{width} has no pixels; give height and width')
    extractor = FeatureExtractor(model).eval()
    started: list[str] = []
    hooks = [
        extractor.get_submodule(name).register_forward_pre_hook(lambda module, inputs, name=name: started.append(name))
        for name in extractor.parts()
    ]
    images = torch.zeros(1, 3, height, width, device=next(extractor.parameters()).device)
    try:
        counts = _by_module(extractor, images)
    except RuntimeError as e:
        raise DataError(
            f'images of {height}x{width} do not pass through this network: they are too small, or backbone and neck do '
            f'not fit each other ({str(e).splitlines()[0]})'
        ) from e
    finally:
        for hook in hooks:
            hook.remove()
    parameters = parameter_count(extractor)

    def count(name: str) -> Count:
        return Count(parameters[name], counts[name]['mult_adds'], counts[name]['activations'])

    # What never runs comes last.
    order = [*dict.fromkeys(started), *extractor.parts()]
    return Complexity(height, width, count(''), _with_others(count(''), {name: count(name) for name in order}))


def _by_module(model: nn.Module, images: Tensor) -> dict[str, Counter[str]]:
    analysis = JitModelAnalysis(model, (images,)).set_op_handle(**HANDLES)
    # What is not counted is left out on purpose.
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings('none')
    with torch.no_grad():
        return analysis.by_module_and_operator()


def _with_others(total: Count, parts: dict[str, Count]) -> dict[str, Count]:
    """Leave out parts without parameters and computation; add the remainder that no part has."""
    fields = ('parameters', 'mult_adds', 'activations')
    others = Count(*(getattr(total, f) - sum(getattr(part, f) for part in parts.values()) for f in fields))
    empty = Count(0, 0, 0)
    return {name: part for name, part in (parts | {'others': others}).items() if part != empty}


def left_out_parameters(model: nn.Module) -> dict[str, int]:
    """Count by name the parameters outside backbone and neck, such as a training-only classifier."""
    found = {name: sum(p.numel() for p in child.parameters()) for name, child in model.named_children()}
    return {name: number for name, number in found.items() if number and name not in ('backbone', 'neck')}


def complexity_table(complexities: Sequence[Complexity], per_stage: bool = False) -> str:
    """Lay out counts: one row per image size, or one table per image size with one row per stage."""
    if per_stage:
        groups = [(f'{c.height}x{c.width}', [*c.parts.items(), ('total', c.total)]) for c in complexities]
    else:
        groups = [('image', [(f'{c.height}x{c.width}', c.total) for c in complexities])]
    return '\n\n'.join(
        text_table(
            [title, 'parameters', 'mult-adds', 'activations'],
            [
                [name, f'{c.parameters:,}', f'{c.mult_adds / 1e6:,.1f} M', f'{c.activations / 1e6:,.1f} M']
                for name, c in rows
            ],
        )
        for title, rows in groups
    )
