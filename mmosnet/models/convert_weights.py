"""Released files to mmosnet checkpoints and back, file to file (``mmosnet convert``)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mmosnet.io.files import whole_file
from mmosnet.models.checkpoint_file import read_state_dict
from mmosnet.models.released_files import SCHEME, find_released, read_released
from mmosnet.models.torchreid_weights import to_torchreid
from mmosnet.version import __version__

TORCHREID_NETWORKS = [
    f'{arch}_{width}' for arch in ('osnet', 'osnet_ain') for width in ('x1_0', 'x0_75', 'x0_5', 'x0_25')
] + ['osnet_ibn_x1_0']


def convert_from_torchreid(source: str, destination: str, keep_classifier: bool, force: bool) -> list[str]:
    """Write a released file as a checkpoint for ``mmosnet test``, ``load_from`` and ``Pretrained``.

    Args:
        source: Released file, or its short name (:func:`~mmosnet.models.released_files.find_released`).
        destination: File to write.
        keep_classifier: Keep the classifier too.
        force: Overwrite an existing file.

    Returns:
        A report, line by line.

    Raises:
        DataError: The source is none of the released networks, or not whole.
        FileNotFoundError: No source.
        FileExistsError: The destination exists.
    """
    _check_destination(destination, force)
    source = source.removeprefix(SCHEME)
    state_dict, model = read_released(source, keep_classifier)
    path = find_released(source)
    meta = dict(
        mmosnet_version=__version__,
        source=path.name,
        arch=model.arch,
        widen_factor=model.widen_factor,
        num_classes=model.num_classes,
    )
    _write(dict(meta=meta, state_dict=state_dict), destination)
    dtypes = sorted({str(t.dtype).removeprefix('torch.') for t in state_dict.values() if t.is_floating_point()})
    if model.num_classes is None:
        classifier = 'none in the file'
    else:
        classifier = f'{model.num_classes} classes, {"kept" if keep_classifier else "left out (--keep-classifier)"}'
    return [
        f"network     {model}: backbone=dict(type='OSNet', arch='{model.arch}', widen_factor={model.widen_factor})",
        f'used        {len(state_dict)} entries, {", ".join(dtypes)}',
        f'embedding   {model.embedding_size or "none"}',
        f'classifier  {classifier}',
        f'written     {destination}',
    ]


def convert_to_torchreid(source: str, destination: str, force: bool) -> list[str]:
    """Write an mmosnet re-identification checkpoint under the released names, for torchreid, boxmot and others.

    Raises:
        DataError: The released networks have no place for an entry.
        FileNotFoundError: No source.
        FileExistsError: The destination exists.
    """
    _check_destination(destination, force)
    released, model = to_torchreid(_contiguous(read_state_dict(source)))
    _write(released, destination)
    name = f'{model.arch}_x{str(model.widen_factor).replace(".", "_")}'
    if name in TORCHREID_NETWORKS and model.embedding_size == 512:
        build = f"torchreid.models.build_model('{name}', num_classes={model.num_classes or 1})"
    else:
        build = 'torchreid has no ready-made network of this kind; its OSNet class takes the same channels'
    return [
        f'network     {model}: {build}',
        f'used        {len(released)} entries',
        f'written     {destination}',
    ]


def _contiguous(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Make weights contiguous: channels-last ones would slow down networks in another format."""
    return {name: tensor.contiguous() for name, tensor in state_dict.items()}


def _check_destination(path: str, force: bool) -> None:
    if Path(path).is_dir():
        raise FileExistsError(f'{path} is a folder; DST is the file to write')
    if Path(path).exists() and not force:
        raise FileExistsError(f'{path} exists; --force overwrites it')


def _write(checkpoint: dict, path: str) -> None:
    """Write a checkpoint completely or not at all."""
    # Serialized before: torch reports a full disk as an error of its own.
    content = io.BytesIO()
    torch.save(checkpoint, content)
    with whole_file(path) as draft:
        draft.write_bytes(content.getbuffer())
