"""What is an image in memory: ``(H, W, 3)`` uint8, BGR, as OpenCV has it, or a picture of Pillow's."""

from __future__ import annotations

import numpy as np
from PIL import Image

from mmosnet.errors import DataError
from mmosnet.runtime.image_reading import from_pillow

TAKEN = 'give a path, an array (H, W, 3) uint8, BGR as cv2.imread reads, or a PIL image'

GREY_REMEDY = 'a grey image becomes one by cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)'
REMEDIES = {
    1: GREY_REMEDY,
    4: 'drop the fourth channel: cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)',
}


def image_fault(image: np.ndarray) -> str:
    """Return what is wrong with an array, and the remedy; empty if it is an image."""
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


def as_image(value: object, name: str) -> np.ndarray:
    """Convert what a user gives for an image to an array.

    Args:
        value: An array ``(H, W, 3)`` uint8, BGR, or a picture of Pillow's, which is converted as a file is: to BGR,
            16 bits to 8, without transparency, and turned upright where it carries EXIF data that say so.
        name: Name for error messages.

    Returns:
        ``(H, W, 3)`` uint8, BGR.

    Raises:
        DataError: Neither; says what it is and what is taken.
    """
    if isinstance(value, Image.Image):
        try:
            value = from_pillow(value)
        # A picture is only decoded now.
        except (OSError, SyntaxError, ValueError) as e:
            raise DataError(f'{name} is a PIL image that cannot be used: {e}') from e
    if isinstance(value, np.ndarray):
        fault = image_fault(value)
        if fault:
            raise DataError(f'{name} is {fault}')
        return value
    kind = f'{type(value).__module__.partition(".")[0]}.{type(value).__name__}'.removeprefix('builtins.')
    hint = ' (of a tensor (3, H, W): tensor.permute(1, 2, 0).numpy())' if kind == 'torch.Tensor' else ''
    raise DataError(f'{name} is a {kind}: {TAKEN}{hint}')
