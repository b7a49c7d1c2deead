"""Reading images, strictly: a damaged file is an error that names it. Crops are cut out of their frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio

from mmosnet.errors import DataError
from mmosnet.io import images as image_reading
from mmosnet.io.coco import without_background
from mmosnet.registry import TRANSFORMS

REMEDY = "Replace the file, or set bad_images='skip' in the data set to leave such files out"


def read_image(path: str | Path) -> np.ndarray:
    """Read an image by :func:`mmosnet.runtime.read_image`; errors name the option that skips damaged files.

    Whole images may also lie in a remote storage (``s3://bucket/image.jpg``), which mmengine reads.
    """
    if '://' not in str(path):
        return image_reading.read_image(path, REMEDY)
    try:
        return image_reading.decode_image(fileio.get(str(path)))
    except (OSError, SyntaxError, ValueError) as e:
        if image_reading.is_machine_fault(e):
            raise
        raise DataError(f'{path}: unreadable image ({e}). {REMEDY}') from e


@TRANSFORMS.register_module()
class LoadPersonImage(BaseTransform):
    """:func:`read_image` as a transform, for images of people and of anything else.

    mmcv's ``LoadImageFromFile`` lets truncated files pass and does not name unreadable ones. Of a region only the crop
    is kept; where the record has its mask (``CocoPerson`` with ``mask_background``), the background is painted over.

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
