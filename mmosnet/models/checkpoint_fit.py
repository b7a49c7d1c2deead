"""Whether a checkpoint belongs to a network: mmengine loads what fits, warns about the rest and goes on."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mmosnet.errors import DataError

PARTS = ('backbone.', 'neck.')


def misfits(needed: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Compare names and shapes.

    Args:
        needed: State dict of the model, or of a part of it.
        found: Tensors of the checkpoint under the same names.

    Returns:
        One line, name and both shapes, for each needed entry that is missing or of another shape, and for each entry
        that has no place in a stage which the model has: weights of a gate for a network without gates. Stages and
        other parts that the model lacks altogether may be there: a backbone that returns early maps only, a joint
        model without the head of a task.
    """
    lines = []
    for name, tensor in needed.items():
        shape = tuple(found[name].shape) if name in found else None
        if shape != tuple(tensor.shape):
            lines.append(f'{name}: model {tuple(tensor.shape)}, checkpoint {"nothing" if shape is None else shape}')
    stages = {_stage(name) for name in needed}
    surplus = [name for name in found if name not in needed and _stage(name) in stages]
    return lines + [f'{name}: model nothing, checkpoint {tuple(found[name].shape)}' for name in surplus]


def _stage(name: str) -> str:
    """Return ``stages.0`` for ``backbone.stages.0.1.gate.squeeze.weight``, ``head.heads.reid`` for a joint head."""
    parts = name.removeprefix('backbone.').split('.')
    if parts[:2] == ['head', 'heads']:
        return '.'.join(parts[:3])
    return '.'.join(parts[: 2 if parts[0] in ('stages', 'transitions') else 1])


def predicts(name: str) -> bool:
    """Return whether an entry is needed for predictions: neither an identity classifier nor a loss."""
    return name.startswith('head.') and not {'classifier', 'loss_module', 'metric_loss'} & set(name.split('.'))


def check_fit(model: Mapping[str, Tensor], found: Mapping[str, Tensor], source: str, testing: bool = False) -> None:
    """Refuse a checkpoint of another network.

    The backbone must fit entirely, and the neck too if the checkpoint has one. In training heads may differ: other data
    sets have other identities. In testing only what no prediction needs may: classifiers of identities.

    Args:
        model: State dict of the whole model.
        found: Tensors of the checkpoint, without ``module.`` prefixes.
        source: Origin of the weights, for error messages.
        testing: Refuse a checkpoint without the model's neck and heads: they would predict by chance.

    Raises:
        DataError: Counts what does not fit and names the first entry.
    """
    parts = PARTS if testing or any(name.startswith('neck.') for name in found) else PARTS[:1]
    lines = misfits(
        {name: value for name, value in model.items() if name.startswith(parts)},
        {name: value for name, value in found.items() if name.startswith(parts)},
    )
    if testing:
        lines += misfits(*({name: v for name, v in state.items() if predicts(name)} for state in (model, found)))
    if lines:
        raise DataError(
            f'{source} does not fit the model: {len(lines)} entries differ, the first {lines[0]}. '
            'Give the config that the checkpoint was trained with'
        )
