"""Reading images, strictly and with the same pixels everywhere: a damaged file is an error that names it.

Training, testing, exported models, features, the demo and all pictures read by these functions. Images are turned
upright, as their EXIF data says, so that boxes, regions and sizes count in the picture that a viewer shows. Pillow
decodes; OpenCV whole JPEGs, which have the same pixels by both and take half the time. docs/own_data.md lists what
becomes of each kind of pixels.
"""

from __future__ import annotations

import io
import math
import re
import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mmosnet.errors import DataError
from mmosnet.runtime.image_region import cut, split_region

JPEG_START, JPEG_END = b'\xff\xd8', b'\xff\xd9'
# Start of frame of the usual JPEGs: baseline, extended, progressive (ITU-T T.81, table B.1).
FRAME_MARKERS = (0xC0, 0xC1, 0xC2)
# The segment that EXIF data and XMP are in.
METADATA_MARKER = 0xE1
# Markers that do not follow the start of the frame in those: all but tables, scans, restarts and the end.
STRAY_MARKER = re.compile(rb'\xff[\x01-\xc3\xc5-\xcf\xd8\xdc\xde-\xfe]')
# EXIF's orientation, and how to turn an array (H, W, 3) upright.
ORIENTATION = 0x0112
TURNS = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    8: lambda image: np.rot90(image),
}
SWAPS_SIDES = (5, 6, 7, 8)
# Tags of TIFF files: sides, bits per sample, whether 0 is white, kind of numbers.
WIDTH, HEIGHT = 256, 257
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
WHITE_IS_ZERO = 0
SIGNED, FLOAT = 2, 3
# Pillow's own text names a buffer in memory.
UNKNOWN = 'no image format that Pillow knows'

# What Pillow's parser raises for damaged data.
DAMAGED_EXIF = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError),
    struct.error,
)


def _orientation(picture: Image.Image) -> int:
    """How a picture is to be turned, 1 to 8, by its EXIF data alone, as browsers and OpenCV do.

    Pillow's ``getexif`` also asks XMP, in some versions. Damaged EXIF data turn nothing.
    """
    exif = Image.Exif()
    try:
        exif.load(picture.info.get('exif', b''))
        found = exif.get(ORIENTATION)
        return found if found in TURNS else 1
    except DAMAGED_EXIF:
        return 1


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an image ``(H, W, 3)`` as EXIF's orientation, 1 to 8, says."""
    return np.ascontiguousarray(TURNS[orientation](image)) if orientation in TURNS else image


def _jpeg_frame(data: bytes) -> tuple[int, int, int, int, bool] | None:
    """Read the frame header of a JPEG: height, width, number of components, where it begins, whether EXIF data precede.

    None where the file starts in an unusual way.
    """
    position, metadata = len(JPEG_START), False
    while position + 10 <= len(data) and data[position] == 0xFF:
        if data[position + 1] in FRAME_MARKERS:
            return *struct.unpack_from('>HHB', data, position + 5), position, metadata
        metadata |= data[position + 1] == METADATA_MARKER
        # The segment's length counts itself, not its marker.
        position += 2 + struct.unpack_from('>H', data, position + 2)[0]
    return None


def decode_whole_jpeg(data: bytes) -> np.ndarray | None:
    """Decode a JPEG with OpenCV, which has Pillow's decoder and takes half its time: the pixels are the same.

    OpenCV fills the place of what is missing with grey and says nothing, in 4.x for truncated files too: these have no
    marker of the image's end. Damage within the compressed pixels often leaves a stray marker, an error for Pillow.

    Returns:
        ``(H, W, 3)`` uint8, BGR, upright; None where this is no JPEG of one or three components (others are converted
        differently) within Pillow's limit to the size (a small file can fill the memory), or looks damaged. Pillow may
        tell why.
    """
    if not (data.startswith(JPEG_START) and data.endswith(JPEG_END)):
        return None
    height, width, components, position, metadata = _jpeg_frame(data) or (0, 0, 0, 0, False)
    if components not in (1, 3) or height * width > (Image.MAX_IMAGE_PIXELS or math.inf):
        return None
    if STRAY_MARKER.search(data, position + 2):
        return None
    orientation = 1
    if metadata:
        # Reads the header alone. OpenCV's own reader of EXIF data differs from Pillow's where they are odd.
        with Image.open(io.BytesIO(data)) as picture:
            orientation = _orientation(picture)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if image is None else upright(image, orientation)


def _rgb(picture: Image.Image) -> np.ndarray:
    """The pixels of an opened picture, of an animation those of its first frame: ``(H, W, 3)`` uint8, RGB.

    Raises:
        ValueError: Numbers without a known black and white.
    """
    picture.load()
    tags = getattr(picture, 'tag_v2', {})
    # Samples of pixels may differ, in theory.
    bits, kind = (max(np.ravel(tags.get(tag, default))) for tag, default in ((BITS, 16), (SAMPLE_FORMAT, 1)))
    # 16-bit grey PNG and PGM are mode I in some versions of Pillow.
    sixteen = picture.mode.startswith('I;16') or (picture.mode == 'I' and picture.format in ('PNG', 'PPM'))
    if kind in (SIGNED, FLOAT) or (picture.mode in ('I', 'F') and not sixteen):
        what = 'floating-point numbers' if picture.mode == 'F' else 'integers of 32 bits or with a sign'
        raise ValueError(f'its pixels are {what}, of which no range is black to white: save it with 8 or 16 bits')
    if sixteen:
        # The upper 8 bits, as all decoders give of 16-bit colors.
        grey = (np.asarray(picture).astype(np.int64) >> (int(bits) - 8)).clip(0, 255).astype(np.uint8)
        grey = 255 - grey if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else grey
        return np.repeat(grey[:, :, None], 3, 2)
    if picture.mode == 'P':
        # Otherwise Pillow warns of transparency, which is dropped here as it is from all other kinds.
        picture = picture.convert('RGBA')
    return np.asarray(picture.convert('RGB'))


def decode_image(data: bytes) -> np.ndarray:
    """Decode any image to ``(H, W, 3)`` uint8, BGR, upright.

    Raises:
        OSError, SyntaxError, ValueError: Pillow's decoders report damage by any of these. ``ValueError`` also where the
            pixels are numbers without a known black and white.
    """
    try:
        image = decode_whole_jpeg(data)
        if image is not None:
            return image
        with Image.open(io.BytesIO(data)) as picture:
            image = cv2.cvtColor(_rgb(picture), cv2.COLOR_RGB2BGR)
            # Only now, as EXIF data may follow the pixels. TIFF files Pillow has turned itself.
            return image if picture.format == 'TIFF' else upright(image, _orientation(picture))
    except Image.DecompressionBombError as e:
        raise ValueError(str(e)) from e
    except UnidentifiedImageError as e:
        raise ValueError(UNKNOWN) from e


def read_size(path: str | Path) -> tuple[int, int]:
    """Height and width of an image file as :func:`read_image` gives it, upright, from its header alone.

    Raises:
        DataError: Missing, or no image; names the file.
    """
    try:
        with Image.open(path) as picture:
            # Pillow says of some TIFF files, in some versions, the size of the turned picture.
            tags = getattr(picture, 'tag_v2', {})
            size = tags.get(HEIGHT, picture.height), tags.get(WIDTH, picture.width)
            if picture.format == 'PNG' and b'eXIf' in Path(path).read_bytes():
                # EXIF data may follow the pixels.
                picture.load()
            orientation = tags.get(ORIENTATION, 1) if picture.format == 'TIFF' else _orientation(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as e:
        reason = UNKNOWN if isinstance(e, UnidentifiedImageError) else e
        raise DataError(f'{path}: unreadable image ({reason})') from e
    return size[::-1] if orientation in SWAPS_SIDES else size


def read_image(path: str | Path, remedy: str = 'Replace the file', by_opencv: bool = False) -> np.ndarray:
    """Decode an image file, or the region of one that a path like ``frame.jpg#xywh=120,80,64,190`` names.

    Args:
        path: The file, or a region of it (:mod:`mmosnet.runtime.image_region`).
        remedy: What to do about an unreadable file, for the error's text.
        by_opencv: Give what OpenCV makes of a file that this function reads, as mmcv's ``LoadImageFromFile`` does.

    Returns:
        ``(H, W, 3)`` uint8, BGR as mmcv has it, turned upright as its EXIF data says; a region counts in that.

    Raises:
        DataError: Missing, empty, truncated, no image, or of pixels without a known black and white; names the file. Or
            the image has no such region.
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
