"""Every network, task and format: how near the exported file comes to the model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path

import torch
from torch import nn

from mmosnet.engine.trained_model import build_model, find_config
from mmosnet.export.model_export import export_model

ARCHS = ('osnet', 'osnet_ibn', 'osnet_ain')
WIDTHS = (1.0, 0.75, 0.5, 0.25)
FORMATS = dict(onnx='.onnx', openvino='.xml', torchscript='.pt')
# With as many outputs as Market-1501, PA-100K and ImageNet have.
HEADS = dict(
    reid=dict(type='mmosnet.ReIDHead', num_classes=751),
    attributes=dict(type='mmosnet.AttributeHead', num_classes=26),
    category=dict(type='LinearClsHead', num_classes=1000, in_channels=512),
)
TASKS = (*HEADS, 'multitask')
BASE = 'osnet-x1.0_reid-market1501'


def build_variant(arch: str, width: float, task: str, size: Sequence[int] = (256, 128)) -> nn.Module:
    """Build a network with random weights.

    Args:
        arch: ``'osnet'``, ``'osnet_ibn'`` or ``'osnet_ain'``.
        width: Factor of the channels.
        task: ``'reid'``, ``'attributes'``, ``'category'`` or ``'multitask'``, which is all three.
        size: Height and width that its test pipeline gives images.
    """
    cfg, _ = find_config(BASE)
    cfg.model.backbone.update(arch=arch, widen_factor=width)
    cfg.model.backbone.pop('init_cfg', None)
    cfg.model.neck.in_channels = int(512 * width)
    cfg.model.head = HEADS.get(task) or dict(type='mmosnet.JointHead', heads=HEADS)
    for transform in cfg.test_dataloader.dataset.pipeline:
        if transform['type'] == 'Resize':
            transform['scale'] = (size[1], size[0])
    torch.manual_seed(0)
    return build_model(cfg)


def parity_rows(
    archs: Iterable[str] = ARCHS,
    widths: Iterable[float] = WIDTHS,
    tasks: Iterable[str] = TASKS,
    size: Sequence[int] = (256, 128),
) -> Iterator[tuple[str, list[float]]]:
    """Export networks and compare each file with its model, from JPEGs, at batches of 1, 2 and 7 images.

    Yields:
        Network and task, and for each of :data:`FORMATS` the largest difference, as a share of the output's largest
        number.

    Raises:
        DataError: A file disagrees with its model.
    """
    for arch, width, task in product(archs, widths, tasks):
        model, found = build_variant(arch, width, task, size), []
        for suffix in FORMATS.values():
            with tempfile.TemporaryDirectory() as folder:
                parities = export_model(model, Path(folder) / f'model{suffix}')
            found.append(max(parity.difference for parity in parities))
        yield f'{arch} x{width:g}, {task}', found
