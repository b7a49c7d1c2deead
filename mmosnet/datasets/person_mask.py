"""Masks of people, as COCO files have them: polygons and run lengths, and crops without their background."""

from __future__ import annotations

import math

import numpy as np
from pycocotools import mask as coco_mask

from mmosnet.datasets.crop_person import cut, split_region
from mmosnet.errors import DataError

# ImageNet's mean colour, which preprocessing makes nearly 0: BGR.
BACKGROUND = (104, 116, 124)


def compressed_mask(segmentation: list | dict | None, frame_size: tuple[int, int], place: str) -> dict:
    """Convert a COCO segmentation to compressed RLE.

    Args:
        segmentation: A list of polygons ``[[x1, y1, x2, y2, ...], ...]``, whose union counts, or run lengths
            ``dict(size=[height, width], counts=...)``, uncompressed (numbers) or compressed (text).
        frame_size: Height and width of the frame.
        place: File and annotation, for the error's text.

    Returns:
        Compressed run lengths, as ``pycocotools.mask`` takes them.

    Raises:
        DataError: None of these, of another size than the frame, or without a pixel.
    """
    height, width = frame_size
    if isinstance(segmentation, dict):
        rle = _run_lengths(segmentation, frame_size, place)
    elif isinstance(segmentation, list) and segmentation and all(map(_is_polygon, segmentation)):
        # pycocotools clips polygons to the frame, but walks their sides pixel by pixel first.
        if max(abs(value) for points in segmentation for value in points) > 2 * max(frame_size):
            raise DataError(f'{place}: the segmentation has points far outside its frame of {width}x{height}')
        rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    else:
        raise DataError(
            f'{place}: mask_background=True needs a segmentation, polygons [[x1, y1, x2, y2, x3, y3, ...], ...] or run '
            f'lengths {{"size": [height, width], "counts": ...}}; found {str(segmentation)[:60]}'
        )
    if not coco_mask.area(rle):
        raise DataError(f'{place}: the segmentation has no pixel; draw it again, or set mask_background=False')
    return rle


def _is_polygon(points: object) -> bool:
    return (
        isinstance(points, list)
        and len(points) >= 6
        and len(points) % 2 == 0
        and all(type(value) in (int, float) and math.isfinite(value) for value in points)
    )


def _run_lengths(segmentation: dict, frame_size: tuple[int, int], place: str) -> dict:
    height, width = frame_size
    size, counts = segmentation.get('size'), segmentation.get('counts')
    if size != list(frame_size):
        raise DataError(f'{place}: the segmentation has size {size}, its frame {list(frame_size)} (height, width)')
    if isinstance(counts, str):
        # Runs beyond the frame are found when the crop is read: only decoding finds them, pixel by pixel.
        return dict(size=size, counts=counts.encode())
    if isinstance(counts, list) and all(type(n) is int and n >= 0 for n in counts) and sum(counts) == height * width:
        return coco_mask.frPyObjects(segmentation, height, width)
    raise DataError(f'{place}: the run lengths of the segmentation do not add up to its size {size}; draw it again')


def without_background(crop: np.ndarray, rle: dict, path: str) -> np.ndarray:
    """Paint everything but the person in ImageNet's mean color.

    Args:
        crop: ``(height, width, 3)`` uint8, BGR.
        rle: From :func:`compressed_mask`, of the whole frame.
        path: Region of the crop, as :func:`region_path` returns it.

    Raises:
        DataError: The run lengths are damaged, or leave nothing of the crop.
    """
    _, box = split_region(path)
    try:
        mask = coco_mask.decode(rle)
    except ValueError as e:
        raise DataError(f'{path}: the run lengths of the segmentation are damaged ({e}); draw it again') from e
    mask = cut(mask, box, path)
    if not mask.any():
        raise DataError(f'{path}: the segmentation lies wholly outside its box; draw it again')
    return np.where(mask[:, :, None] == 0, np.array(BACKGROUND, np.uint8), crop)
