"""Reading person images, strictly: a damaged file is an error that names it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mmosnet.errors import DataError
from mmosnet.registry import TRANSFORMS


def read_image(path: str | Path) -> np.ndarray:
    """Decode an image file.

    Pillow and not OpenCV: OpenCV fills the missing part of a truncated JPEG with grey and says nothing.

    Args:
        path: The file.

    Returns:
        ``(H, W, 3)`` uint8, BGR as mmcv has it.

    Raises:
        DataError: Missing, empty, truncated or no image; names the file and the option that skips such files.
    """
    try:
        with Image.open(io.BytesIO(Path(path).read_bytes())) as image:
            rgb = np.asarray(image.convert('RGB'))
    # Pillow's decoders report damage by any of these.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as e:
        raise DataError(
            f"{path}: unreadable image ({e}). Replace the file, or set bad_images='skip' in the data set to "
            'leave such files out'
        ) from e
    return np.ascontiguousarray(rgb[:, :, ::-1])


@TRANSFORMS.register_module()
class LoadPersonImage(BaseTransform):
    """:func:`read_image` as a transform; mmcv's ``LoadImageFromFile`` lets truncated files pass and does not
    name unreadable ones.

    **Required Keys:** img_path

    **Added Keys:** img, img_shape, ori_shape
    """

    def transform(self, results: dict) -> dict:
        image = read_image(results['img_path'])
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results
