"""OSNet weights released by the paper's authors (torchreid), read by renaming.

Registers the checkpoint scheme ``torchreid://NAME``: ``load_from='torchreid://osnet_x1_0_imagenet'`` takes the
file ``osnet_x1_0_imagenet.pth`` from the folder named by the environment variable ``MMOSNET_WEIGHTS``, else from
``checkpoints/`` below the working directory. Nothing is ever downloaded.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from mmosnet.errors import DataError

SCHEME = 'torchreid://'
WEIGHTS_FOLDER_VARIABLE = 'MMOSNET_WEIGHTS'
DEFAULT_WEIGHTS_FOLDER = 'checkpoints'
MODEL_ZOO = 'https://kaiyangzhou.github.io/deep-person-reid/MODEL_ZOO'

# (released prefix, our prefix) as regular expressions; the first that matches renames the key. Released stages
# are conv2..conv4, ours stages.0..2; released streams conv2a..conv2d, ours streams.0..3, stream a being one
# layer without an index.
_RENAMES = (
    (r'conv1\.', r'backbone.stem.0.'),
    (r'conv([234])\.2\.0\.', r'backbone.transitions.{0}.'),
    (r'conv([234])\.([01])\.conv1\.', r'backbone.stages.{0}.{1}.reduce.'),
    (r'conv([234])\.([01])\.conv2(a)\.conv1\.', r'backbone.stages.{0}.{1}.streams.{2}.0.pointwise.'),
    (r'conv([234])\.([01])\.conv2(a)\.conv2\.', r'backbone.stages.{0}.{1}.streams.{2}.0.depthwise.conv.'),
    (r'conv([234])\.([01])\.conv2(a)\.bn\.', r'backbone.stages.{0}.{1}.streams.{2}.0.depthwise.bn.'),
    (
        r'conv([234])\.([01])\.conv2([bcd])\.([0-3])\.conv1\.',
        r'backbone.stages.{0}.{1}.streams.{2}.{3}.pointwise.',
    ),
    (
        r'conv([234])\.([01])\.conv2([bcd])\.([0-3])\.conv2\.',
        r'backbone.stages.{0}.{1}.streams.{2}.{3}.depthwise.conv.',
    ),
    (
        r'conv([234])\.([01])\.conv2([bcd])\.([0-3])\.bn\.',
        r'backbone.stages.{0}.{1}.streams.{2}.{3}.depthwise.bn.',
    ),
    (r'conv([234])\.([01])\.gate\.fc1\.', r'backbone.stages.{0}.{1}.gate.squeeze.'),
    (r'conv([234])\.([01])\.gate\.fc2\.', r'backbone.stages.{0}.{1}.gate.excite.'),
    (r'conv([234])\.([01])\.conv3\.', r'backbone.stages.{0}.{1}.expand.'),
    (r'conv([234])\.([01])\.downsample\.', r'backbone.stages.{0}.{1}.shortcut.'),
    (r'conv5\.', r'backbone.final_conv.'),
    (r'fc\.0\.', r'neck.fc.'),
    (r'fc\.1\.', r'neck.norm.'),
    (r'classifier\.', r'head.classifier.'),
)


def rename_released_key(key: str) -> str:
    """The name in an mmosnet re-identification model of one entry of a released OSNet state dict.

    Raises:
        DataError: The key belongs to no plain OSNet.
    """
    for pattern, replacement in _RENAMES:
        match = re.match(pattern, key)
        if match:
            groups = match.groups()
            indices = [int(groups[0]) - 2, *map(_index, groups[1:])] if groups else []
            return replacement.format(*indices) + key[match.end() :]
    raise DataError(f'{key!r} is no entry of a released OSNet checkpoint')


def _index(name: str) -> int:
    """The index of a block or layer (a digit), or of a stream (a..d)."""
    return 'abcd'.index(name) if name.isalpha() else int(name)


def from_torchreid(state_dict: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """Rename a released OSNet state dict to the keys of an mmosnet re-identification model.

    Args:
        state_dict: As released, ``module.`` prefixes of data-parallel training allowed.

    Returns:
        The same tensors under our names. The classifier stays out: its identities (or ImageNet's categories)
        are not those of another data set.

    Raises:
        DataError: A key that no plain OSNet has, named.
    """
    renamed = OrderedDict()
    for key, value in state_dict.items():
        name = rename_released_key(key.removeprefix('module.'))
        if not name.startswith('head.'):
            renamed[name] = value
    return renamed


def released_weights_path(name: str) -> Path:
    """Where ``torchreid://NAME`` looks for its file.

    Raises:
        FileNotFoundError: The file is not there; tells how to get it and what works without it.
    """
    folder = Path(os.environ.get(WEIGHTS_FOLDER_VARIABLE, DEFAULT_WEIGHTS_FOLDER))
    path = folder / f'{name}.pth'
    if path.is_file():
        return path
    raise FileNotFoundError(
        f'{SCHEME}{name}: no file {path}. Download the weights by hand from {MODEL_ZOO}, save them under this '
        f'name (the environment variable {WEIGHTS_FOLDER_VARIABLE} names another folder), and start again; or '
        'train without them: configs/osnet_reid_market_scratch.py.'
    )


@CheckpointLoader.register_scheme(prefixes=SCHEME, force=True)
def load_from_torchreid(filename: str, map_location: str | torch.device | None = None) -> dict:
    """Load a released checkpoint under our names; the loader behind ``torchreid://NAME``.

    Args:
        filename: ``torchreid://`` and the name of the file without ``.pth``, for example
            ``torchreid://osnet_x1_0_imagenet``.
        map_location: As of :func:`torch.load`.

    Returns:
        ``dict(state_dict=...)``, as mmengine's loaders give it.
    """
    path = released_weights_path(filename.removeprefix(SCHEME))
    checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    return dict(state_dict=from_torchreid(checkpoint.get('state_dict', checkpoint)))
