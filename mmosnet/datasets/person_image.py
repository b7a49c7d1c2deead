"""Reading person images, strictly: a damaged file is an error that names it. Crops are cut out of their frames."""

from __future__ import annotations

import io
import math
import re
import struct
from pathlib import Path

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mmosnet.datasets.crop_person import cut, split_region
from mmosnet.datasets.person_mask import without_background
from mmosnet.errors import DataError
from mmosnet.registry import TRANSFORMS

JPEG_START, JPEG_END = b'\xff\xd8', b'\xff\xd9'
# Start of frame of the usual JPEGs: baseline, extended, progressive (ITU-T T.81, table B.1).
FRAME_MARKERS = (0xC0, 0xC1, 0xC2)
# Markers that do not follow the start of the frame in those: all but tables, scans, restarts and the end.
STRAY_MARKER = re.compile(rb'\xff[\x01-\xc3\xc5-\xcf\xd8\xdc\xde-\xfe]')


def _jpeg_frame(data: bytes) -> tuple[int, int, int, int] | None:
    """Height, width and number of components from the frame header of a JPEG, and where that header begins.

    None where the file starts in an unusual way.
    """
    position = len(JPEG_START)
    while position + 10 <= len(data) and data[position] == 0xFF:
        if data[position + 1] in FRAME_MARKERS:
            return *struct.unpack_from('>HHB', data, position + 5), position
        # The segment's length counts itself, not its marker.
        position += 2 + struct.unpack_from('>H', data, position + 2)[0]
    return None


def _decode_whole_jpeg(data: bytes) -> np.ndarray | None:
    """Decode a JPEG with OpenCV, which has Pillow's decoder and takes half its time: the pixels are the same.

    OpenCV fills the place of what is missing with grey and says nothing, in 4.x for truncated files too: these have no
    marker of the image's end. Damage within the compressed pixels often leaves a stray marker, an error for Pillow.

    Returns:
        ``(H, W, 3)`` uint8, BGR; None where this is no JPEG of one or three components (others are converted
        differently) within Pillow's limit to the size (a small file can fill the memory), or looks damaged. Pillow may
        tell why.
    """
    if not (data.startswith(JPEG_START) and data.endswith(JPEG_END)):
        return None
    height, width, components, position = _jpeg_frame(data) or (0, 0, 0, 0)
    if components not in (1, 3) or height * width > (Image.MAX_IMAGE_PIXELS or math.inf):
        return None
    if STRAY_MARKER.search(data, position + 2):
        return None
    # Pillow does not turn images as their EXIF data says.
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)


def _decode(data: bytes) -> np.ndarray:
    """Decode any image to ``(H, W, 3)`` uint8, BGR.

    Raises:
        OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError: Pillow's decoders report damage by any of
            these.
    """
    image = _decode_whole_jpeg(data)
    if image is None:
        with Image.open(io.BytesIO(data)) as picture:
            image = cv2.cvtColor(np.asarray(picture.convert('RGB')), cv2.COLOR_RGB2BGR)
    return image


def read_image(path: str | Path) -> np.ndarray:
    """Decode an image file, or the region of one that a path like ``frame.jpg#xywh=120,80,64,190`` names.

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
        image = _decode(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as e:
        raise DataError(
            f"{file}: unreadable image ({e}). Replace the file, or set bad_images='skip' in the data set to "
            'leave such files out'
        ) from e
    return image if box is None else np.ascontiguousarray(cut(image, box, str(path)))


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
