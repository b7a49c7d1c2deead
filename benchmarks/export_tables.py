"""Accuracy of exported files: parity of each network with its model, and scores of a trained one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path

import torch
from mmengine.config import Config
from torch import nn

from mmosnet.export.export import export_model
from mmosnet.export.parity import ExportedPredictor, scores_on_test_set
from mmosnet.export.prepare import ModelImages
from mmosnet.models.build import build_model, find_config
from mmosnet.runtime.model import ExportedModel

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
        width: Factor by which the numbers of channels are multiplied.
        task: ``'reid'``, ``'attributes'``, ``'category'`` or ``'multitask'``, which is all three.
        size: Height and width of the images that its test pipeline returns.
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
    """Export networks and compare each file with its model, from JPEG files on, at batches of 1, 2 and 7 images.

    Yields:
        Network and task, and for each of :data:`FORMATS` the largest difference, as a share of the output's largest
        number.

    Raises:
        DataError: A file disagrees with its model.
    """
    for arch, width, task in product(archs, widths, tasks):
        model, differences = build_variant(arch, width, task, size), []
        for suffix in FORMATS.values():
            with tempfile.TemporaryDirectory() as folder:
                parities = export_model(model, Path(folder) / f'model{suffix}')
            differences.append(max(parity.difference for parity in parities))
        yield f'{arch} x{width:g}, {task}', differences


# Suffix and precision of the file, and whether it is run in bfloat16.
WAYS = {
    'ONNX Runtime, fp32': ('.onnx', 'fp32', False),
    'ONNX Runtime, fp16': ('.onnx', 'fp16', False),
    'ONNX Runtime, int8': ('.onnx', 'int8', False),
    'OpenVINO, fp32': ('.xml', 'fp32', False),
    'OpenVINO, fp16': ('.xml', 'fp16', False),
    'OpenVINO, bf16': ('.xml', 'fp32', True),
    'OpenVINO, int8': ('.xml', 'int8', False),
    'TorchScript, fp32': ('.pt', 'fp32', False),
}


def score_rows(
    cfg: Config, model: nn.Module, images: str | Path, calibration_images: int
) -> Iterator[tuple[str, float, dict[str, float]]]:
    """Score the model, and each way of exporting it, on the config's test set.

    Args:
        cfg: A config with a test set.
        model: The config's model, trained.
        images: Folder of images to calibrate int8 on.
        calibration_images: Number of them that are used at most.

    Yields:
        Name, megabytes of the file (0 for the model itself), and the scores.

    Raises:
        DataError, FileNotFoundError: No test set, no images, or a file that disagrees with the model.
    """
    yield 'PyTorch, fp32', 0.0, scores_on_test_set(cfg, model)
    rgb = ModelImages(model).rgb
    for name, (suffix, precision, bf16) in WAYS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f'model{suffix}'
            export_model(model, path, precision, images=images, calibration_images=calibration_images)
            size = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
            exported = ExportedModel(path, bf16=bf16)
            yield name, size, scores_on_test_set(cfg, ExportedPredictor(exported, model, rgb))
