"""State dicts of the authors' released OSNet, OSNet-IBN and OSNet-AIN (torchreid), renamed to ours and back.

The released code writes the three networks in two manners: OSNet and OSNet-IBN name their streams ``conv2a`` to
``conv2d`` and put the transition into the stage, OSNet-AIN numbers its streams and has ``pool2`` and ``pool3``. Widths
and numbers of classes are read off the tensors.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmosnet.errors import DataError
from mmosnet.models.checkpoint_file import AIN_KEY, PLAIN_KEY, find_osnet
from mmosnet.models.checkpoint_fit import misfits
from mmosnet.models.osnet import OSNet

BATCH_NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
AFFINE = ('weight', 'bias')
NUM_STREAMS = 4
# Tells OSNet-IBN from OSNet.
IBN_KEY = 'conv2.0.IN.weight'


@dataclass(frozen=True)
class ReleasedModel:
    """What a released state dict holds.

    Attributes:
        arch: ``'osnet'``, ``'osnet_ibn'`` or ``'osnet_ain'``.
        widen_factor: Width multiplier.
        embedding_size: Outputs of the embedding layer; None if there is none.
        num_classes: Outputs of the classifier; None if there is none.
    """

    arch: str
    widen_factor: float
    embedding_size: int | None
    num_classes: int | None

    def __str__(self) -> str:
        name = {'osnet': 'OSNet', 'osnet_ibn': 'OSNet-IBN', 'osnet_ain': 'OSNet-AIN'}[self.arch]
        return f'{name} x{self.widen_factor}'


def released_layout(arch: str) -> OrderedDict[str, str]:
    """Return our entry names of a released model by released name, in the released order.

    Args:
        arch: ``'osnet'``, ``'osnet_ibn'`` or ``'osnet_ain'``.
    """
    return OrderedDict(_layout(arch))


def _layout(arch: str) -> Iterator[tuple[str, str]]:
    settings = OSNet.arch_settings[arch]
    norms = settings.get('instance_norms', ((None, None),) * 3)
    yield from _conv_norm('conv1', 'backbone.stem.0', settings.get('stem_instance_norm', False))
    for stage, blocks in enumerate(norms):
        for block, norm in enumerate(blocks):
            yield from _block(
                arch, f'conv{stage + 2}.{block}', f'backbone.stages.{stage}.{block}', norm, shortcut=block == 0
            )
        if stage < len(norms) - 1:
            released = f'pool{stage + 2}.0' if arch == 'osnet_ain' else f'conv{stage + 2}.{len(blocks)}.0'
            yield from _conv_norm(released, f'backbone.transitions.{stage}')
    yield from _conv_norm('conv5', 'backbone.final_conv')
    yield from _entries('fc.0', 'neck.fc', AFFINE)
    yield from _entries('fc.1', 'neck.norm', BATCH_NORM)
    yield from _entries('classifier', 'head.classifier', AFFINE)


def _block(arch: str, released: str, ours: str, norm: str | None, shortcut: bool) -> Iterator[tuple[str, str]]:
    yield from _conv_norm(f'{released}.conv1', f'{ours}.reduce')
    for stream in range(NUM_STREAMS):
        for depth in range(stream + 1):
            if arch == 'osnet_ain':
                lite = f'{released}.conv2.{stream}.layers.{depth}'
            else:
                # The first stream is one layer, without an index.
                lite = f'{released}.conv2{"abcd"[stream]}' + (f'.{depth}' if stream else '')
            yield from _entries(f'{lite}.conv1', f'{ours}.streams.{stream}.{depth}.pointwise', AFFINE[:1])
            yield from _entries(f'{lite}.conv2', f'{ours}.streams.{stream}.{depth}.depthwise.conv', AFFINE[:1])
            yield from _entries(f'{lite}.bn', f'{ours}.streams.{stream}.{depth}.depthwise.bn', BATCH_NORM)
    yield from _entries(f'{released}.gate.fc1', f'{ours}.gate.squeeze', AFFINE)
    yield from _entries(f'{released}.gate.fc2', f'{ours}.gate.excite', AFFINE)
    if norm == 'branch':
        yield from _entries(f'{released}.conv3.conv', f'{ours}.expand.conv', AFFINE[:1])
    else:
        yield from _conv_norm(f'{released}.conv3', f'{ours}.expand')
    if shortcut:
        yield from _conv_norm(f'{released}.downsample', f'{ours}.shortcut')
    if norm == 'branch':
        yield from _entries(f'{released}.IN', f'{ours}.expand.in', AFFINE)
    elif norm == 'sum':
        yield from _entries(f'{released}.IN', f'{ours}.sum_norm', AFFINE)


def _conv_norm(released: str, ours: str, instance_norm: bool = False) -> Iterator[tuple[str, str]]:
    yield f'{released}.conv.weight', f'{ours}.conv.weight'
    if instance_norm:
        yield from _entries(f'{released}.bn', f'{ours}.in', AFFINE)
    else:
        yield from _entries(f'{released}.bn', f'{ours}.bn', BATCH_NORM)


def _entries(released: str, ours: str, kinds: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for kind in kinds:
        yield f'{released}.{kind}', f'{ours}.{kind}'


def describe_released(state_dict: Mapping[str, Tensor]) -> ReleasedModel:
    """Tell which network a released state dict belongs to; it has no ``module.`` prefixes.

    Raises:
        DataError: It is none of the three networks.
    """
    if AIN_KEY in state_dict:
        arch = 'osnet_ain'
    elif PLAIN_KEY in state_dict:
        arch = 'osnet_ibn' if IBN_KEY in state_dict else 'osnet'
    else:
        first = next(iter(state_dict), 'nothing')
        raise DataError(f'this is no released OSNet, OSNet-IBN or OSNet-AIN: it starts with {first!r}')
    if 'conv5.conv.weight' not in state_dict:
        raise DataError('conv5.conv.weight is missing: the file is incomplete')
    embedding, classifier = state_dict.get('fc.0.weight'), state_dict.get('classifier.weight')
    return ReleasedModel(
        arch=arch,
        widen_factor=_width(len(state_dict['conv5.conv.weight']), OSNet.arch_settings[arch]['channels'][-1]),
        embedding_size=None if embedding is None else len(embedding),
        num_classes=None if classifier is None else len(classifier),
    )


def _width(channels: int, full: int) -> float:
    """Return the shortest decimal width that results in this number of channels."""
    for digits in range(1, 5):
        width = math.ceil(channels / full * 10**digits) / 10**digits
        if int(width * full) == channels:
            return width
    return channels / full


def from_torchreid(
    state_dict: Mapping[str, Tensor], keep_classifier: bool = False
) -> tuple[OrderedDict[str, Tensor], ReleasedModel]:
    """Rename a released state dict to the keys of an mmosnet re-identification model.

    Args:
        state_dict: As released, or as :func:`~mmosnet.models.checkpoint_file.find_osnet` finds it in a checkpoint.
        keep_classifier: Keep the classifier too. Its identities (or ImageNet's categories) are not those of another
            data set.

    Returns:
        The same tensors under our names, and what they are.

    Raises:
        DataError: An entry is unknown, missing or of the wrong shape; it is named.
    """
    found = find_osnet(state_dict)
    state_dict = found.state if found else state_dict
    model = describe_released(state_dict)
    layout = released_layout(model.arch)
    unknown = [key for key in state_dict if key not in layout]
    if unknown:
        raise DataError(f'{model}: {len(unknown)} unknown entries, the first {unknown[0]!r}')
    # The embedding layer and the classifier may be missing, but only whole.
    needed = {
        key
        for key in layout
        if not (key.startswith('fc.') and model.embedding_size is None)
        and not (key.startswith('classifier.') and model.num_classes is None)
    }
    missing = [key for key in layout if key in needed and key not in state_dict]
    if missing:
        raise DataError(f'{model}: {len(missing)} entries are missing, the first {missing[0]!r}')
    renamed = OrderedDict((layout[key], state_dict[key]) for key in layout if key in state_dict)
    lines = misfits(_expected(model, renamed), renamed)
    if lines:
        raise DataError(f'{model}: {len(lines)} entries of the wrong shape, the first {lines[0]}')
    if not keep_classifier:
        renamed = OrderedDict((name, value) for name, value in renamed.items() if not name.startswith('head.'))
    return renamed, model


def _expected(model: ReleasedModel, renamed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of the whole model that the entries belong to, without allocating memory."""
    channels = [len(renamed['backbone.stem.0.conv.weight'])]
    channels += [len(renamed[f'backbone.stages.{stage}.0.expand.conv.weight']) for stage in range(3)]
    embedding, size = model.embedding_size, model.embedding_size or channels[-1]
    # Shapes alone are wanted: the meta device allocates nothing.
    with torch.device('meta'):
        parts = {'backbone': OSNet(arch=dict(OSNet.arch_settings[model.arch], channels=channels))}
        if embedding is not None:
            parts |= {'neck.fc': nn.Linear(channels[-1], embedding), 'neck.norm': nn.BatchNorm1d(embedding)}
        if model.num_classes is not None:
            parts['head.classifier'] = nn.Linear(size, model.num_classes)
    return {f'{part}.{name}': value for part, module in parts.items() for name, value in module.state_dict().items()}


def to_torchreid(state_dict: Mapping[str, Tensor]) -> tuple[OrderedDict[str, Tensor], ReleasedModel]:
    """Rename a state dict to the released keys; the exact inverse of :func:`from_torchreid`.

    Args:
        state_dict: Weights of a model with default stem, streams and fusion; embedding and classifier may be missing.

    Returns:
        The same tensors under their released names in the released order, and what they are.

    Raises:
        DataError: The released networks have no place for an entry; it is named.
    """
    if 'head.bnneck.weight' in state_dict:
        raise DataError('the model has a BNNeck, which the released networks lack: its embeddings cannot be kept')
    arch = 'osnet'
    if 'backbone.stages.0.0.sum_norm.weight' in state_dict:
        arch = 'osnet_ibn'
    elif 'backbone.stages.0.0.expand.in.weight' in state_dict:
        arch = 'osnet_ain'
    layout = released_layout(arch)
    unknown = sorted(set(state_dict) - set(layout.values()))
    if unknown:
        raise DataError(f'{len(unknown)} entries have no place in a released {arch}, the first {unknown[0]!r}')
    released = OrderedDict((key, state_dict[name]) for key, name in layout.items() if name in state_dict)
    # The way back checks that nothing is missing.
    return released, from_torchreid(released)[1]
