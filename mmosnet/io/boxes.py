"""Boxes of people in one frame: read from any array, checked, and rounded to whole pixels."""

from __future__ import annotations

import numpy as np

from mmosnet.errors import DataError

EXPECTED = 'give (N, 4): left, top, right, bottom in pixels'


def as_boxes(boxes: object) -> np.ndarray:
    """Convert boxes to an array, and check them.

    Args:
        boxes: ``(N, 4)`` left, top, right, bottom in pixels, fractions allowed: a NumPy array, a tensor on any device,
            nested lists, or an object with such an array as ``xyxy``, like ``supervision.Detections``.

    Returns:
        ``(N, 4)`` float64.

    Raises:
        DataError: Not such an array, numbers that look like shares of the frame, or a box with a number that is not
            finite or with swapped corners; names its row.
    """
    values = _array(getattr(boxes, 'xyxy', boxes))
    if values.dtype.kind not in 'iuf':
        raise DataError(f'boxes are a {type(boxes).__name__} of {values.dtype}: {EXPECTED}')
    if values.shape == (0,):
        values = values.reshape(0, 4)
    if values.ndim != 2 or values.shape[1] != 4:
        remedy = EXPECTED
        if values.shape == (4,):
            remedy += ', for one box boxes[None]'
        elif values.ndim == 2 and values.shape[1] > 4:
            remedy += ', boxes[:, :4] without scores and classes'
        raise DataError(f'boxes are an array of shape {values.shape}: {remedy}')
    values = values.astype(np.float64)
    for fault, rows in (
        ('a number that is not finite', ~np.isfinite(values).all(1)),
        (
            'swapped corners: give left, top, right, bottom, not width and height',
            (values[:, 2:] < values[:, :2]).any(1),
        ),
    ):
        if rows.any():
            row = int(rows.argmax())
            raise DataError(f'boxes[{row}] is {values[row].tolist()}, with {fault}')
    if len(values) and values.min() >= 0 and values.max() <= 1 and (values % 1).any():
        raise DataError(f'boxes[0] is {values[0].tolist()}, and all look like shares of the frame: {EXPECTED}')
    return values


def pixel_boxes(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Round boxes outwards and clip them to their frame, as :func:`~mmosnet.io.regions.box_with_margin` does.

    Args:
        boxes: ``(N, 4)`` left, top, right, bottom in pixels, finite and ordered.
        height: Height of the frame in pixels.
        width: Width of the frame in pixels.

    Returns:
        ``(N, 4)`` int64: left, top, right, bottom, the last two exclusive; zeros for a box without a pixel, because it
        lies outside the frame or has no area.
    """
    limits = np.array([width, height])
    corners, ends = boxes[:, :2], boxes[:, 2:]
    inside = np.all((ends > corners) & (corners < limits) & (ends > 0), axis=1, keepdims=True)
    rounded = np.hstack([np.floor(corners).clip(0), np.minimum(np.ceil(ends), limits)])
    return np.where(inside, rounded, 0).astype(np.int64)


def _array(value: object) -> np.ndarray:
    if isinstance(value, (list, tuple)) and any(hasattr(row, 'detach') for row in value):
        value = [_array(row) for row in value]
    if hasattr(value, 'detach'):
        # float64 holds every box, and NumPy has no bfloat16.
        value = value.detach().cpu().double().numpy()
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as e:
        raise DataError(f'boxes are a {type(value).__name__} that is no array ({e}): {EXPECTED}') from e
