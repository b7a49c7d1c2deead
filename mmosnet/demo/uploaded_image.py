"""Pictures that people give to the page: read as pixels, turned upright, or refused with a reason."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmosnet.errors import DataError
from mmosnet.runtime.image_reading import decode_image

# What browsers show too. Fewer decoders, fewer mistakes in them.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP')
MAX_BYTES = 10 * 2**20
# Pixels: 120 MB when decoded. A small file can hold many more.
MAX_PIXELS = 40_000_000
MIN_SIDE = 8


def read_uploaded(path: str | Path) -> np.ndarray:
    """Read a picture as its viewer sees it (:func:`mmosnet.runtime.image_reading.decode_image`).

    Args:
        path: A file in the page's temporary folder; its name is not shown.

    Returns:
        ``(H, W, 3)`` uint8, BGR.

    Raises:
        DataError: Gone, too large, or no picture; a sentence for the page.
    """
    try:
        size = Path(path).stat().st_size
    except OSError as e:
        raise DataError('The picture is no longer there: choose it again.') from e
    if size > MAX_BYTES:
        raise DataError(f'The file has {size / 2**20:.0f} MiB, more than the {MAX_BYTES >> 20} MiB that are read.')
    try:
        with warnings.catch_warnings():
            # Pillow warns where MAX_PIXELS is checked below.
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as picture:
                _check_size(picture.width, picture.height)
            return decode_image(Path(path).read_bytes())
    except Image.DecompressionBombError as e:
        raise DataError(_too_large('Its header promises far more')) from e
    except UnidentifiedImageError as e:
        raise DataError(f'This is no picture that can be read: give a file in {", ".join(FORMATS)} format.') from e
    # Pillow's decoders report damage by any of these.
    except (OSError, SyntaxError, ValueError) as e:
        if isinstance(e, DataError):
            raise
        raise DataError(f'The picture is damaged ({e}): give another copy of it.') from e


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise DataError(_too_large(f'It has {width} x {height} pixels'))
    if min(width, height) < MIN_SIDE:
        raise DataError(f'The picture has {width} x {height} pixels: too few to see anybody.')


def _too_large(what: str) -> str:
    return f'The picture is too large. {what}; {MAX_PIXELS // 10**6} million are read: crop the person out of it.'
