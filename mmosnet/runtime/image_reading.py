"""Reading images, strictly and with the same pixels everywhere: a damaged file is an error that names it.

Training, testing and exported models read by these functions. Pillow decodes, OpenCV whole JPEGs, which have the same
pixels by both and take half the time. Without Pillow, as on a small device, OpenCV also decodes PNGs that it cannot get
wrong; other files are refused.
"""

from __future__ import annotations

import io
import math
import re
import struct
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from mmosnet.errors import DataError
from mmosnet.runtime.image_region import cut, split_region
from mmosnet.runtime.plain_png import is_plain_png

if find_spec('PIL') is None:
    Image = None
else:
    from PIL import Image

JPEG_START, JPEG_END = b'\xff\xd8', b'\xff\xd9'
# Start of frame of the usual JPEGs: baseline, extended, progressive (ITU-T T.81, table B.1).
FRAME_MARKERS = (0xC0, 0xC1, 0xC2)
# Markers that do not follow the start of the frame in those: all but tables, scans, restarts and the end.
STRAY_MARKER = re.compile(rb'\xff[\x01-\xc3\xc5-\xcf\xd8\xdc\xde-\xfe]')
# Pillow's limit, where there is no Pillow: a quarter of a GiB of pixels.
MAX_PIXELS = 1024**3 // 4 // 3
# Pillow does not turn images as their EXIF data says.
FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


class NeedsPillow(ValueError):
    """An image that only Pillow decodes safely, or the reason that it would give."""


def _most_pixels() -> float:
    if Image is None:
        return MAX_PIXELS
    return Image.MAX_IMAGE_PIXELS or math.inf


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


def decode_whole_jpeg(data: bytes) -> np.ndarray | None:
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
    if components not in (1, 3) or height * width > _most_pixels():
        return None
    if STRAY_MARKER.search(data, position + 2):
        return None
    return cv2.imdecode(np.frombuffer(data, np.uint8), FLAGS)


def _decode_without_pillow(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), FLAGS) if is_plain_png(data, _most_pixels()) else None
    if image is None:
        raise NeedsPillow(
            'damaged, or neither an RGB or grey JPEG nor a PNG of 8 bits without transparency, all that is read '
            'without Pillow; for other kinds: pip install pillow'
        )
    return image


def decode_image(data: bytes) -> np.ndarray:
    """Decode any image to ``(H, W, 3)`` uint8, BGR.

    Raises:
        OSError, SyntaxError, ValueError: Pillow's decoders report damage by any of these; without Pillow
            :class:`NeedsPillow`, a ``ValueError``.
    """
    image = decode_whole_jpeg(data)
    if image is not None:
        return image
    if Image is None:
        return _decode_without_pillow(data)
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return cv2.cvtColor(np.asarray(picture.convert('RGB')), cv2.COLOR_RGB2BGR)
    except Image.DecompressionBombError as e:
        raise ValueError(str(e)) from e


def read_image(path: str | Path, remedy: str = 'Replace the file', by_opencv: bool = False) -> np.ndarray:
    """Decode an image file, or the region of one that a path like ``frame.jpg#xywh=120,80,64,190`` names.

    Args:
        path: The file, or a region of it (:mod:`mmosnet.runtime.image_region`).
        remedy: What to do about an unreadable file, for the error's text.
        by_opencv: Give what OpenCV makes of an undamaged file, as mmcv's ``LoadImageFromFile`` does: turned as its EXIF
            data says.

    Returns:
        ``(H, W, 3)`` uint8, BGR as mmcv has it.

    Raises:
        DataError: Missing, empty, truncated or no image; names the file. Or the image has no such region.
    """
    file, box = split_region(str(path))
    try:
        data = Path(file).read_bytes()
        image = decode_image(data)
        if by_opencv:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, SyntaxError, ValueError) as e:
        raise DataError(f'{file}: unreadable image ({e}). {remedy}') from e
    if image is None:
        raise DataError(f'{file}: unreadable image (OpenCV does not know its format). {remedy}')
    return image if box is None else np.ascontiguousarray(cut(image, box, str(path)))
