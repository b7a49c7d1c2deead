"""What an OSNet makes of images: where each stage responds, and what its gates weigh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mmosnet.errors import DataError
from mmosnet.models.osnet import OSNet
from mmosnet.visualization.activation_map import MappedImage, activation_maps
from mmosnet.visualization.gate_weights import recorded_gates


@dataclass(frozen=True)
class View:
    """One image through the network.

    Attributes:
        mapped: The image and its activation maps.
        gates: Gate weights ``(1, T, C)`` by OSBlock; empty where the fusion has no weights.
    """

    mapped: MappedImage
    gates: dict[str, Tensor]


def backbone_of(model: nn.Module) -> OSNet:
    """Return the backbone, which must be an OSNet.

    Raises:
        DataError: It is another one.
    """
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, OSNet):
        raise DataError(f"the config's backbone is {type(backbone).__name__}; this draws OSNet only")
    return backbone


def all_maps(backbone: OSNet, images: Tensor) -> dict[str, Tensor]:
    """Compute the maps of all stages and of the last convolution by name, whatever ``out_indices`` says."""
    names = [f'stages.{stage}' for stage in range(len(backbone.stages))]
    names += ['final_conv'] * (backbone.final_conv is not None)
    requested = backbone.out_indices
    backbone.out_indices = tuple(range(len(names)))
    try:
        return dict(zip(names, backbone(images), strict=True))
    finally:
        backbone.out_indices = requested


def view_image(model: nn.Module, pipeline: Callable[[dict], dict], record: dict) -> View:
    """Run one image through the test pipeline, the preprocessing and the backbone.

    One at a time: images need not have the same size.

    Args:
        model: Model in evaluation mode with an OSNet as backbone.
        pipeline: The test pipeline, ending in ``PackInputs``.
        record: Record with ``img_path``.

    Raises:
        DataError: The image is too small for the network.
    """
    backbone = backbone_of(model)
    item = pipeline(dict(record))
    batch = dict(inputs=item['inputs'][None], data_samples=[item['data_samples']])
    try:
        with torch.no_grad(), recorded_gates(backbone) as gates:
            found = all_maps(backbone, model.data_preprocessor(batch, training=False)['inputs'])
    except RuntimeError as e:
        height, width = item['inputs'].shape[1:]
        raise DataError(
            f'{record["img_path"]}, {height}x{width} after the pipeline, does not pass through the network: too small? '
            f'({str(e).splitlines()[0]})'
        ) from e
    maps = {name: activation_maps(feature_maps)[0] for name, feature_maps in found.items()}
    image = np.ascontiguousarray(item['inputs'].permute(1, 2, 0).numpy().clip(0, 255).astype(np.uint8))
    return View(MappedImage(record['img_path'], image, maps), gates)
