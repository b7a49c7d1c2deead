"""Paths that name a region of an image, such as ``frames/0017.jpg#xywh=120,80,64,190``.

The numbers are left, top, width and height in pixels, as in W3C's Media Fragments.
"""

from __future__ import annotations

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
    """Return the path of a region of an image; :func:`split_region` is the inverse."""
    return f'{path}#xywh={box.left},{box.top},{box.width},{box.height}'


def split_region(path: str) -> tuple[str, Box | None]:
    """Split a path into the image file and the region, if it names one."""
    match = REGION.fullmatch(path)
    if match is None:
        return path, None
    return match[1], Box(*map(int, match.groups()[1:]))


def cut(frame: np.ndarray, box: Box, path: str) -> np.ndarray:
    """Cut a region out of an image.

    Args:
        frame: ``(H, W, 3)``.
        box: Within the frame.
        path: Path to name in errors.

    Returns:
        ``(height, width, 3)``, a view.

    Raises:
        DataError: The region is empty or reaches beyond the frame.
    """
    height, width = frame.shape[:2]
    if 0 in (box.width, box.height) or box.left + box.width > width or box.top + box.height > height:
        raise DataError(f'{path}: no such region in an image of {width}x{height}: correct the box or replace the image')
    return frame[box.top : box.top + box.height, box.left : box.left + box.width]
