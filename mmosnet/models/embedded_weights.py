"""Weights that come with the package: everything can be tried without a training and without a download.

Registers the checkpoint scheme ``mmosnet://NAME``, for ``load_from``, for ``init_cfg=dict(type='Pretrained', ...)``
and for every tool that takes a checkpoint. One network is embedded, ``osnet_x0_25_multitask_synthetic``: OSNet x0.25
trained on drawn people and objects (``configs/osnet_multitask_synthetic.py``). It shows what the tools do; what it says
of photographs of people means nothing.

The file was made by::

    OMP_NUM_THREADS=1 mmosnet train osnet_multitask_synthetic
    python -c "from mmosnet.models.embedded_weights import write_embedded_weights; write_embedded_weights(
        'work_dirs/osnet_multitask_synthetic/epoch_20.pth', 'osnet_x0_25_multitask_synthetic')"
"""

from __future__ import annotations

from pathlib import Path

import torch

from mmosnet.io.files import whole_file
from mmosnet.models.checkpoint_file import load_file, loads_scheme, read_checkpoint
from mmosnet.models.checkpoint_fit import PARTS, predicts
from mmosnet.version import __version__

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
