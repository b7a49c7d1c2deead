"""Weights: whether they fit a model, their digest, and those that are embedded.

Whether a checkpoint belongs to a network: mmengine loads what fits, warns about the rest and goes on.

A short name of a model's weights: embeddings are comparable where it is the same.

Weights that come with the package: everything can be tried without a training and without a download.

Registers the checkpoint scheme ``mmosnet://NAME``, for ``load_from``, for ``init_cfg=dict(type='Pretrained', ...)``
and for every tool that takes a checkpoint. One network is embedded, ``osnet_x0_25_multitask_synthetic``: OSNet x0.25
trained on drawn people and objects (``configs/osnet_multitask_synthetic.py``). It shows what the tools do; what it says
of photographs of people means nothing.

The file was made by::

    OMP_NUM_THREADS=1 mmosnet train osnet_multitask_synthetic
    python -c "from mmosnet.models.weights import write_embedded_weights; write_embedded_weights(
        'work_dirs/osnet_multitask_synthetic/epoch_20.pth', 'osnet_x0_25_multitask_synthetic')"
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mmosnet.errors import DataError
from mmosnet.io.files import whole_file
from mmosnet.models.checkpoints import load_file, loads_scheme, read_checkpoint
from mmosnet.models.deploy import FoldedConv2d
from mmosnet.version import __version__

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


DIGITS = 16


def weights_digest(model: nn.Module) -> str:
    """Return a digest of all weights behind an embedding: backbone, neck and BNNecks, not classifiers.

    Extracted features and exported files carry it, and a gallery refuses embeddings of other weights.

    Args:
        model: An ``ImageClassifier`` in its training form, as :func:`~mmosnet.models.build.load_model` gives
            it: folding changes the numbers.

    Returns:
        16 hexadecimal digits of a SHA-256; the same on every machine and device.

    Raises:
        ValueError: The model has been folded by :func:`~mmosnet.models.deploy.switch_to_deploy`.
    """
    if any(isinstance(module, FoldedConv2d) for module in model.modules()):
        raise ValueError('the model has been folded for prediction: take the digest before switch_to_deploy')
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        part = name.split('.')
        inside = part[0] in ('backbone', 'neck') or (part[0] == 'head' and 'bnneck' in part)
        # The counter of batches has no part in predictions.
        if inside and part[-1] != 'num_batches_tracked':
            # Plain memory order, whatever the model's, and low byte first.
            numbers = value.detach().to('cpu', torch.float32).contiguous().numpy().astype('<f4')
            found.update(f'{name} {tuple(value.shape)}\n'.encode())
            found.update(numbers.tobytes())
    return found.hexdigest()[:DIGITS]


SCHEME = 'mmosnet://'
WEIGHTS_FOLDER = Path(__file__).resolve().parents[1] / 'weights'
SUFFIX = '.pth'
# What predictions are called; the names of people in the training set are nobody's business.
KEPT_NAMES = ('attributes', 'classes')


def embedded_names() -> list[str]:
    """Return the names of the embedded weights, sorted."""
    return sorted(path.stem for path in WEIGHTS_FOLDER.glob(f'*{SUFFIX}'))


def embedded_file(name: str) -> Path:
    """Return the file of embedded weights.

    Args:
        name: One of :func:`embedded_names`.

    Raises:
        FileNotFoundError: No such weights; names those that there are.
    """
    # Compared, not joined: a name cannot lead out of the folder.
    if name not in embedded_names():
        raise FileNotFoundError(
            f'{SCHEME}{name}: no such embedded weights; there are {", ".join(embedded_names()) or "none"}'
        )
    return WEIGHTS_FOLDER / f'{name}{SUFFIX}'


@loads_scheme(SCHEME)
def load_from_embedded(filename: str, map_location: str | torch.device | None = None) -> dict:
    """Load embedded weights; the loader behind ``mmosnet://NAME``.

    Args:
        filename: ``mmosnet://`` and one of :func:`embedded_names`.
        map_location: Same as in :func:`torch.load`.

    Returns:
        ``state_dict``, and ``meta`` with the names of attributes and categories, as of a training checkpoint.

    Raises:
        FileNotFoundError: No such weights.
    """
    path = embedded_file(filename.removeprefix(SCHEME))
    return load_file(path, map_location)


def write_embedded_weights(checkpoint: str, name: str, folder: Path = WEIGHTS_FOLDER) -> Path:
    """Write what predictions need of a checkpoint: float32 weights, and the names of what is predicted.

    Classifiers of identities, losses, optimiser, schedules and log are left out.

    Args:
        checkpoint: File that a training left.
        name: Name of the weights.
        folder: Folder to write to.

    Returns:
        The file.

    Raises:
        FileNotFoundError: No such checkpoint.
        DataError: It holds no weights.
    """
    state, dataset_meta = read_checkpoint(checkpoint)
    # Cloned and contiguous: a view would bring its whole storage along, and channels-last strides their order.
    kept = {
        key: (value.float() if value.is_floating_point() else value).contiguous().clone()
        for key, value in state.items()
        if key.startswith(PARTS) or predicts(key)
    }
    names = {key: list(dataset_meta[key]) for key in KEPT_NAMES if key in dataset_meta}
    path = Path(folder) / f'{name}{SUFFIX}'
    with whole_file(path) as draft:
        torch.save(dict(meta=dict(mmosnet_version=__version__, dataset_meta=names), state_dict=kept), draft)
    return path
