"""Weights of a model: whether they fit it, their digest, and weights that come with the package.

The package has the weights of one network, ``osnet_x0_25_multitask_synthetic``: OSNet x0.25 trained on drawn people and
objects (``configs/osnet_multitask_synthetic.py``). They show what the commands do without a training and a download;
their predictions for photographs mean nothing. The module registers the checkpoint scheme ``mmosnet://NAME``, for
``load_from``, ``init_cfg=dict(type='Pretrained', ...)`` and every command that takes a checkpoint. The file was made
by::

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
from mmosnet.models.checkpoints import load_file, loads_scheme, read_checkpoint, write_checkpoint
from mmosnet.models.deploy import FoldedConv2d
from mmosnet.version import __version__

PARTS = ('backbone.', 'neck.')
# Hexadecimal digits of a digest.
DIGITS = 16
SCHEME = 'mmosnet://'
WEIGHTS_FOLDER = Path(__file__).resolve().parents[1] / 'weights'
SUFFIX = '.pth'
# Names of predictions that are written with embedded weights; names of people in the training set are left out.
KEPT_NAMES = ('attributes', 'classes')


def _stage(name: str) -> str:
    """Return ``stages.0`` for ``backbone.stages.0.1.gate.squeeze.weight``, ``head.heads.reid`` for a joint head."""
    parts = name.removeprefix('backbone.').split('.')
    if parts[:2] == ['head', 'heads']:
        return '.'.join(parts[:3])
    return '.'.join(parts[: 2 if parts[0] in ('stages', 'transitions') else 1])


def misfits(needed: Mapping[str, Tensor], loaded: Mapping[str, Tensor]) -> list[str]:
    """Compare names and shapes.

    Args:
        needed: State dict of the model, or of a part of it.
        loaded: Tensors of the checkpoint under the same names.

    Returns:
        One line, name and both shapes, for each needed entry that is missing or has another shape, and for each
        surplus entry in a stage of the model, such as weights of a gate for a network without gates. Surplus stages and
        parts are allowed: for a backbone that only returns early maps, or a joint model without the head of a task.
    """
    lines = []
    for name, tensor in needed.items():
        shape = tuple(loaded[name].shape) if name in loaded else None
        if shape != tuple(tensor.shape):
            lines.append(f'{name}: model {tuple(tensor.shape)}, checkpoint {"nothing" if shape is None else shape}')
    stages = {_stage(name) for name in needed}
    surplus = [name for name in loaded if name not in needed and _stage(name) in stages]
    return lines + [f'{name}: model nothing, checkpoint {tuple(loaded[name].shape)}' for name in surplus]


def predicts(name: str) -> bool:
    """Return whether an entry is needed for predictions: neither an identity classifier nor a loss."""
    return name.startswith('head.') and not {'classifier', 'loss_module', 'metric_loss'} & set(name.split('.'))


def check_fit(model: Mapping[str, Tensor], loaded: Mapping[str, Tensor], source: str, testing: bool = False) -> None:
    """Refuse a checkpoint of another network.

    The backbone must fit entirely, and the neck too if the checkpoint has one. In training heads may differ: other data
    sets have other identities. In testing only entries that no prediction needs may differ: classifiers of identities.

    Args:
        model: State dict of the whole model.
        loaded: Tensors of the checkpoint, without ``module.`` prefixes.
        source: Origin of the weights, for error messages.
        testing: Refuse a checkpoint without the model's neck and heads: they would predict by chance.

    Raises:
        DataError: Counts the entries that do not fit and names the first.
    """
    parts = PARTS if testing or any(name.startswith('neck.') for name in loaded) else PARTS[:1]
    lines = misfits(
        {name: value for name, value in model.items() if name.startswith(parts)},
        {name: value for name, value in loaded.items() if name.startswith(parts)},
    )
    if testing:
        lines += misfits(*({name: v for name, v in state.items() if predicts(name)} for state in (model, loaded)))
    if lines:
        raise DataError(
            f'{source} does not fit the model: {len(lines)} entries differ, the first {lines[0]}. '
            'Give the config that the checkpoint was trained with'
        )


def weights_digest(model: nn.Module) -> str:
    """Return a digest of all weights behind an embedding: backbone, neck and BNNecks, not classifiers.

    Extracted features and exported files carry it, and a gallery refuses embeddings of other weights.

    Args:
        model: An ``ImageClassifier`` in its training form, as :func:`~mmosnet.models.build.load_model` returns it:
            folding changes the numbers.

    Returns:
        16 hexadecimal digits of a SHA-256; the same on every machine and device.

    Raises:
        ValueError: The model has been folded by :func:`~mmosnet.models.deploy.switch_to_deploy`.
    """
    if any(isinstance(module, FoldedConv2d) for module in model.modules()):
        raise ValueError('the model has been folded for prediction: take the digest before switch_to_deploy')
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        part = name.split('.')
        inside = part[0] in ('backbone', 'neck') or (part[0] == 'head' and 'bnneck' in part)
        # Predictions do not depend on the counter of batches.
        if inside and part[-1] != 'num_batches_tracked':
            # Contiguous in memory, whatever the model's order, and low byte first.
            numbers = value.detach().to('cpu', torch.float32).contiguous().numpy().astype('<f4')
            digest.update(f'{name} {tuple(value.shape)}\n'.encode())
            digest.update(numbers.tobytes())
    return digest.hexdigest()[:DIGITS]


def embedded_names() -> list[str]:
    """Return the names of the embedded weights, sorted."""
    return sorted(path.stem for path in WEIGHTS_FOLDER.glob(f'*{SUFFIX}'))


def embedded_file(name: str) -> Path:
    """Return the file of embedded weights.

    Args:
        name: One of :func:`embedded_names`.

    Raises:
        FileNotFoundError: No such weights; lists the embedded ones.
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
        ``state_dict``, and ``meta`` with the names of attributes and categories, as in a training checkpoint.

    Raises:
        FileNotFoundError: No such weights.
    """
    path = embedded_file(filename.removeprefix(SCHEME))
    return load_file(path, map_location)


def write_embedded_weights(checkpoint: str, name: str, folder: Path = WEIGHTS_FOLDER) -> Path:
    """Write the parts of a checkpoint that predictions need: float32 weights, and names of attributes and categories.

    Classifiers of identities, losses, optimizer, schedules and log are left out.

    Args:
        checkpoint: Checkpoint of a training.
        name: Name of the weights.
        folder: Folder to write to.

    Returns:
        The file.

    Raises:
        FileNotFoundError: No such checkpoint.
        DataError: It holds no weights.
    """
    state, dataset_meta = read_checkpoint(checkpoint)
    # Cloned and contiguous: a view would be written with its whole storage, and channels-last weights in their order.
    kept = {
        key: (value.float() if value.is_floating_point() else value).contiguous().clone()
        for key, value in state.items()
        if key.startswith(PARTS) or predicts(key)
    }
    names = {key: list(dataset_meta[key]) for key in KEPT_NAMES if key in dataset_meta}
    path = Path(folder) / f'{name}{SUFFIX}'
    write_checkpoint(dict(meta=dict(mmosnet_version=__version__, dataset_meta=names), state_dict=kept), path)
    return path
