"""People cut out of whole frames: paths that name a region of an image, and boxes with a margin.

A crop has a path of its own, ``frames/0017.jpg#xywh=120,80,64,190``: left, top, width and height in pixels, as W3C's
Media Fragments write them. So whatever reads an image again by its path gets the crop and not the frame: the picture
of ranked lists, ``RandomPatch``, ``bad_images='skip'``. Two people in one frame are two images, in reports and as keys.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

from mmosnet.errors import DataError

REGION = re.compile(r'(.+)#xywh=(\d+),(\d+),(\d+),(\d+)', re.DOTALL)


class Box(NamedTuple):
    """A region of an image, in whole pixels."""

    left: int
    top: int
    width: int
    height: int


def region_path(path: str, box: Box) -> str:
    """The path of a region of an image; :func:`split_region` is the inverse."""
    return f'{path}#xywh={box.left},{box.top},{box.width},{box.height}'


def split_region(path: str) -> tuple[str, Box | None]:
    """The image file that a path names, and the region if it names one."""
    match = REGION.fullmatch(path)
    if match is None:
        return path, None
    return match[1], Box(*map(int, match.groups()[1:]))


def cut(frame: np.ndarray, box: Box, path: str) -> np.ndarray:
    """Cut a region out of an image.

    Args:
        frame: ``(H, W, 3)``.
        box: Within the frame.
        path: For the error's text.

    Returns:
        ``(height, width, 3)``, a view.

    Raises:
        DataError: The region is empty or reaches beyond the frame.
    """
    height, width = frame.shape[:2]
    if 0 in (box.width, box.height) or box.left + box.width > width or box.top + box.height > height:
        raise DataError(f'{path}: no such region in an image of {width}x{height}: correct the box or replace the image')
    return frame[box.top : box.top + box.height, box.left : box.left + box.width]


def box_with_margin(bbox: list, frame_size: tuple[int, int], margin: float, place: str) -> tuple[Box, bool]:
    """Enlarge an annotated box, round it outwards and clip it to its frame.

    Args:
        bbox: COCO's ``[left, top, width, height]`` in pixels, fractions allowed.
        frame_size: Height and width of the frame.
        margin: Added on each side, as a share of the box's width and height.
        place: File and annotation, for the error's text.

    Returns:
        The region, and whether the box itself, without its margin, reached beyond the frame.

    Raises:
        DataError: The box is no four numbers, has no area, or lies wholly outside its frame.
    """
    numbers = isinstance(bbox, list) and len(bbox) == 4 and all(type(value) in (int, float) for value in bbox)
    if not numbers or not all(map(math.isfinite, bbox)):
        raise DataError(f'{place}: bbox {bbox!r} is not [left, top, width, height] in pixels')
    left, top, width, height = bbox
    if width <= 0 or height <= 0:
        raise DataError(f'{place}: bbox {bbox!r} has no area; correct or remove the annotation')
    frame_height, frame_width = frame_size
    if left >= frame_width or top >= frame_height or left + width <= 0 or top + height <= 0:
        raise DataError(
            f'{place}: bbox {bbox!r} lies wholly outside its frame of {frame_width}x{frame_height}; correct or remove '
            'the annotation'
        )
    clipped = left < 0 or top < 0 or left + width > frame_width or top + height > frame_height
    first_x, first_y = max(0, math.floor(left - margin * width)), max(0, math.floor(top - margin * height))
    last_x = min(frame_width, math.ceil(left + width + margin * width))
    last_y = min(frame_height, math.ceil(top + height + margin * height))
    return Box(first_x, first_y, last_x - first_x, last_y - first_y), clipped
