"""The steps by which images get the size that a model takes, as a test pipeline has them: the same numbers.

A step is a dict of plain values, so that it can stand in a file's metadata:

- ``{'type': 'Resize', 'width', 'height', 'keep_ratio', 'interpolation', 'backend'}``: to this size, or as large as fits
  into it either way round (mmcv's ``Resize``)
- ``{'type': 'ResizeEdge', 'scale', 'edge', 'interpolation', 'backend'}``: one edge to this length, the other in
  proportion (mmpretrain's ``ResizeEdge``)
- ``{'type': 'CenterCrop', 'width', 'height'}``: at most this much of the middle (mmcv's ``CenterCrop``)

``backend`` is ``'pillow'``, which averages where it makes images smaller, as the published figures were computed, or
``'cv2'``, which does not and is faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from PIL import Image

INTERPOLATIONS = dict(
    nearest=cv2.INTER_NEAREST,
    bilinear=cv2.INTER_LINEAR,
    bicubic=cv2.INTER_CUBIC,
    area=cv2.INTER_AREA,
    lanczos=cv2.INTER_LANCZOS4,
)


def resized(image: np.ndarray, steps: Sequence[Mapping]) -> np.ndarray:
    """Apply all steps.

    Args:
        image: ``(H, W, 3)`` uint8.
        steps: Steps as described above, in order.

    Raises:
        KeyError: A step of another type.
    """
    for step in steps:
        image = STEPS[step['type']](image, step)
    return image


def _resize(image: np.ndarray, step: Mapping) -> np.ndarray:
    size = step['width'], step['height']
    if step['keep_ratio']:
        sides = image.shape[1], image.shape[0]
        factor = min(max(size) / max(sides), min(size) / min(sides))
        size = int(sides[0] * factor + 0.5), int(sides[1] * factor + 0.5)
    return _to_size(image, size, step)


def _resize_edge(image: np.ndarray, step: Mapping) -> np.ndarray:
    height, width = image.shape[:2]
    edge, scale = step['edge'], step['scale']
    by_width = edge == 'width' or (edge == 'short' and width < height) or (edge == 'long' and width > height)
    size = (scale, int(scale * height / width)) if by_width else (int(scale * width / height), scale)
    return _to_size(image, size, step)


def _center_crop(image: np.ndarray, step: Mapping) -> np.ndarray:
    top, left = (
        # Half of an odd number to the even side, as Python rounds.
        max(0, round((size - wanted) / 2))
        for size, wanted in zip(image.shape[:2], (step['height'], step['width']), strict=True)
    )
    return image[top : top + step['height'], left : left + step['width']]


def _to_size(image: np.ndarray, size: tuple[int, int], step: Mapping) -> np.ndarray:
    if step['backend'] == 'pillow':
        return np.array(Image.fromarray(image).resize(size, Image.Resampling[step['interpolation'].upper()]))
    return cv2.resize(image, size, interpolation=INTERPOLATIONS[step['interpolation']])


STEPS = dict(Resize=_resize, ResizeEdge=_resize_edge, CenterCrop=_center_crop)
