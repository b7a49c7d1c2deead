"""Whether the tensors of a checkpoint are those that a model needs."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def misfits(needed: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Compare names and shapes.

    Args:
        needed: State dict of the model, or of a part of it.
        found: Tensors of the checkpoint under the same names; others may be among them.

    Returns:
        One line, name and both shapes, for each needed entry that is missing or of another shape.
    """
    lines = []
    for name, tensor in needed.items():
        shape = tuple(found[name].shape) if name in found else None
        if shape != tuple(tensor.shape):
            lines.append(f'{name}: model {tuple(tensor.shape)}, checkpoint {"nothing" if shape is None else shape}')
    return lines
