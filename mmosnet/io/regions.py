"""Paths that name a region of an image or a frame of a video, and boxes of people.

``frames/0017.jpg#xywh=120,80,64,190`` names left, top, width and height in pixels, as in W3C's Media Fragments;
``video.mp4#frame=120&xywh=120,80,64,190`` a region of a frame, counted from 0. A crop thus has a path of its own, and
whatever reads an image again by its path gets the crop and not the frame: pictures of ranked lists, ``RandomPatch``,
``bad_images='skip'``. Two people in one frame are two images, in reports and as keys.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

from mmosnet.errors import DataError

REGION = re.compile(r'(.+)#xywh=(\d+),(\d+),(\d+),(\d+)', re.DOTALL)
FRAME = re.compile(r'(.+)#frame=(\d+)(?:&xywh=(\d+),(\d+),(\d+),(\d+))?', re.DOTALL)
# No image is that wide.
LARGEST = 10**9
# Fewer boxes may reach beyond their frames by chance.
FEWEST_BOXES = 4


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


def frame_path(path: str, frame: int, box: Box) -> str:
    """Return the path of a region of a frame; :func:`split_frame` is the inverse."""
    return f'{path}#frame={frame}&xywh={box.left},{box.top},{box.width},{box.height}'


def split_frame(path: str) -> tuple[str, int | None, Box | None]:
    """Split a path into the file, the frame if it names one, and the region if it names one."""
    match = FRAME.fullmatch(path)
    if match is None:
        return path, None, None
    file, frame, *box = match.groups()
    return file, int(frame), None if box[0] is None else Box(*map(int, box))


def box_with_margin(bbox: list, frame_size: tuple[int, int], margin: float, place: str) -> tuple[Box, bool]:
    """Enlarge an annotated box, round it outwards and clip it to its frame.

    Args:
        bbox: COCO's ``[left, top, width, height]`` in pixels, fractions allowed.
        frame_size: Height and width of the frame.
        margin: Added on each side, as a share of the box's width and height.
        place: File and annotation, for error messages.

    Returns:
        The region, and whether the box itself, without its margin, reached beyond the frame.

    Raises:
        DataError: The box does not have four numbers, has no area, is in shares of the frame, or is wholly outside it.
    """
    numbers = isinstance(bbox, list) and len(bbox) == 4 and all(type(value) in (int, float) for value in bbox)
    # The comparison also refuses NaN, infinity and integers of any length.
    if not numbers or not all(abs(value) <= LARGEST for value in bbox):
        raise DataError(f'{place}: bbox {bbox!r} is not [left, top, width, height] in pixels')
    left, top, width, height = bbox
    if width <= 0 or height <= 0:
        raise DataError(f'{place}: bbox {bbox!r} has no area; correct or remove the annotation')
    if width <= 1 and height <= 1:
        raise DataError(
            f'{place}: bbox {bbox!r} is one pixel at most: these look like shares of the image; give pixels'
        )
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


class BoxCounts:
    """Counts the boxes of one source, and recognizes boxes that are given as corners.

    Attributes:
        number: Number of boxes.
        beyond: Number of boxes that reach beyond their frames.
    """

    def __init__(self) -> None:
        self.number = self.beyond = 0
        self._first = ''
        self._may_be_corners = True

    def add(self, bbox: list, frame_size: tuple[int, int], place: str, is_clipped: bool) -> None:
        """Count a box; takes the arguments and the result of :func:`box_with_margin`."""
        self.number += 1
        self.beyond += is_clipped
        self._first = self._first or f'{place}: bbox {bbox}'
        left, top, right, bottom = bbox
        height, width = frame_size
        self._may_be_corners &= 0 <= left < right <= width and 0 <= top < bottom <= height

    def refuse_corners(self) -> None:
        """Refuse boxes that look like corner coordinates, once all boxes are counted.

        Raises:
            DataError: At least half reach beyond their frames, and as corners none would; names the first.
        """
        if self._may_be_corners and self.number >= FEWEST_BOXES and 2 * self.beyond >= self.number:
            raise DataError(
                f'{self._first} and {self.number - 1} others look like left, top, right, bottom: as left, top, width, '
                f'height {self.beyond} reach beyond their frames. Convert them'
            )
