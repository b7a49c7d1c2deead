"""What is an image in memory: ``(H, W, 3)`` uint8, BGR, as OpenCV has it."""

from __future__ import annotations

import numpy as np

GREY_REMEDY = 'a grey image becomes one by cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)'
REMEDIES = {
    1: GREY_REMEDY,
    4: 'drop the fourth channel: cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)',
}


def image_fault(image: np.ndarray) -> str:
    """What is wrong with an array, and the remedy; empty if it is an image."""
    wanted = 'give (H, W, 3) uint8, BGR as cv2.imread reads'
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        remedy = REMEDIES.get(image.shape[2], wanted) if image.ndim == 3 else wanted
        if image.ndim == 2:
            remedy = GREY_REMEDY
        elif image.ndim == 3 and image.shape[0] == 3:
            remedy = 'channels come last: image.transpose(1, 2, 0)'
        return f'an array of shape {image.shape}, not of (H, W, 3): {remedy}'
    if image.dtype != np.uint8:
        scaled = '; of values from 0 to 1 make (255 * image).round().astype(np.uint8)' * (image.dtype.kind == 'f')
        return f'an array of {image.dtype}: {wanted}{scaled}'
    return ''
