"""Reading person images, strictly: a damaged file is an error that names it. Crops are cut out of their frames."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mmosnet.datasets.crop_person import cut, split_region
from mmosnet.datasets.person_mask import without_background
from mmosnet.errors import DataError
from mmosnet.registry import TRANSFORMS


def read_image(path: str | Path) -> np.ndarray:
    """Decode an image file, or the region of one that a path like ``frame.jpg#xywh=120,80,64,190`` names.

    Pillow and not OpenCV: OpenCV fills the missing part of a truncated JPEG with grey and says nothing.

    Args:
        path: The file, or a region of it (:mod:`mmosnet.datasets.crop_person`).

    Returns:
        ``(H, W, 3)`` uint8, BGR as mmcv has it.

    Raises:
        DataError: Missing, empty, truncated or no image; names the file and the option that skips such files.
            Or the image has no such region.
    """
    file, box = split_region(str(path))
    try:
        with Image.open(io.BytesIO(Path(file).read_bytes())) as image:
            rgb = np.asarray(image.convert('RGB'))
    # Pillow's decoders report damage by any of these.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as e:
        raise DataError(
            f"{file}: unreadable image ({e}). Replace the file, or set bad_images='skip' in the data set to "
            'leave such files out'
        ) from e
    if box is not None:
        rgb = cut(rgb, box, str(path))
    return np.ascontiguousarray(rgb[:, :, ::-1])


@TRANSFORMS.register_module()
class LoadPersonImage(BaseTransform):
    """:func:`read_image` as a transform; mmcv's ``LoadImageFromFile`` lets truncated files pass and does not
    name unreadable ones. Of a region only the crop is kept; where the record has its mask (``CocoPerson`` with
    ``mask_background``), the background is painted over.

    **Required Keys:** img_path

    **Optional Keys:** segmentation (run lengths of the whole frame, with an ``img_path`` that names a region)

    **Added Keys:** img, img_shape, ori_shape
    """

    def transform(self, results: dict) -> dict:
        if 'img_path' not in results and 'img' in results:
            # mmpretrain's inferencers load by themselves.
            return results
        image = read_image(results['img_path'])
        if 'segmentation' in results:
            image = without_background(image, results['segmentation'], results['img_path'])
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results
