"""How a test pipeline reads and resizes images, as an exported file says it."""

from __future__ import annotations

from typing import Any

from mmcv.transforms import BaseTransform, CenterCrop, LoadImageFromFile, Resize
from mmpretrain.datasets import ResizeEdge

from mmosnet.apis.inputs import ImagePreparation
from mmosnet.datasets import LoadPersonImage
from mmosnet.runtime.description import INTERPOLATIONS


def pipeline_facts(preparation: ImagePreparation) -> dict[str, Any]:
    """Return what the runtime needs to reproduce a pipeline, and the transforms that it cannot reproduce.

    Args:
        preparation: The pipeline.

    Returns:
        ``read_by_opencv``, ``resize`` and ``other_transforms`` of a
        :class:`~mmosnet.runtime.ModelDescription`. Where there are others, there are no steps of resizing.
    """
    load, others, steps = preparation.load, [], []
    by_opencv = type(load) is LoadImageFromFile
    plain = by_opencv and (load.color_type, load.imdecode_backend, load.to_float32) == ('color', 'cv2', False)
    if not plain and type(load) not in (LoadPersonImage, type(None)):
        others.append(type(load).__name__)
    # The last one packs.
    for transform in preparation.transforms.transforms[:-1]:
        step = resize_step(transform)
        if step is None:
            others.append(type(transform).__name__)
        else:
            steps.append(step)
    return dict(read_by_opencv=by_opencv, resize=() if others else tuple(steps), other_transforms=tuple(others))


def resize_step(transform: BaseTransform) -> dict | None:
    """Convert a transform to a step of :mod:`mmosnet.runtime.description`; None if there is no such step."""
    kind = type(transform)
    if kind is CenterCrop and not transform.auto_pad:
        width, height = transform.crop_size
        return dict(type='CenterCrop', width=width, height=height)
    if kind not in (Resize, ResizeEdge):
        return None
    if transform.backend == 'cv2' and transform.interpolation not in INTERPOLATIONS:
        return None
    method = dict(interpolation=transform.interpolation, backend=transform.backend)
    if kind is ResizeEdge:
        return dict(type='ResizeEdge', scale=transform.scale, edge=transform.edge, **method)
    if transform.scale is None:
        return None
    width, height = transform.scale
    return dict(type='Resize', width=width, height=height, keep_ratio=transform.keep_ratio, **method)
