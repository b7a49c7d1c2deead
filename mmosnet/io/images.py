"""Read images strictly and with the same pixels everywhere: a damaged file is an error that names it.

An image in memory is ``(H, W, 3)`` uint8, BGR, as in OpenCV, or a picture of Pillow. Training, testing, exported
models, features and the demo all read by these functions. Images are turned upright according to their EXIF data, so
that boxes, regions and sizes count in the picture that a viewer shows. docs/own_data.md lists how each kind of pixels
is converted.

simplejpeg decodes JPEGs and Pillow all other kinds. Both yield the same pixels for a JPEG; simplejpeg takes 0.3 ms for
256x128 pixels and 16 ms for 1080p, Pillow 0.7 and 120 ms (2 shared cores), and it reports damage that Pillow and OpenCV
ignore. Of 200 damaged copies of a JPEG (baseline, progressive, gray, with restart markers) the following numbers are
refused:

=====================================================  ==========  ========
damage                                                 simplejpeg  Pillow
=====================================================  ==========  ========
cut off, or zeros from somewhere to the end            200         200
zeros or nothing from somewhere to the end marker      198 to 200  0 to 7
a sector (512 bytes) of zeros                          200         0 to 6
a scan of a progressive JPEG missing, any of ten       170         26
one bit flipped within the pixels                      24 to 85    0 to 15
the last scans of a progressive JPEG missing           0           0
=====================================================  ==========  ========

So a changed bit may pass as other pixels, and a progressive JPEG without its last scans as a blurred image. Without
simplejpeg, Pillow decodes JPEGs. In a PNG every changed bit is refused, because Pillow compares all checksums.
"""

from __future__ import annotations

import errno
import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mmosnet.errors import DataError
from mmosnet.io.media import CONVERT, HEAD_BYTES, RAW, image_kind
from mmosnet.io.regions import cut, split_region

try:
    import simplejpeg
except ImportError:
    # A device for which there is no wheel: Pillow decodes JPEGs, and reports less of the damage within the pixels.
    simplejpeg = None

TAKEN = 'give a path, an array (H, W, 3) uint8, BGR as cv2.imread reads, or a PIL image'

GRAY_REMEDY = 'a gray image becomes one by cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)'
REMEDIES = {
    1: GRAY_REMEDY,
    4: 'drop the fourth channel: cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)',
}

# First bytes of EXIF data in a JPEG.
EXIF_HEADER = b'Exif\0\0'
# Colors of JPEGs that Pillow converts; simplejpeg only checks these for damage.
FOUR_COLORS = ('CMYK', 'YCCK')
# EXIF tag of the orientation, and functions that turn an array (H, W, 3) upright.
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
# Tags of TIFF files: sides, bits per sample, whether 0 is white, kind of numbers, samples, sides of tiles.
WIDTH, HEIGHT = 256, 257
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
SAMPLES, TILE_WIDTH, TILE_HEIGHT = 277, 322, 323
WHITE_IS_ZERO = 0
SIGNED, FLOAT = 2, 3
# Tags and values of raw photos: a thumbnail, cells of the sensor, a version of DNG.
SUBFILE, SMALLER, DNG_VERSION = 254, 1, 50706
SENSOR_CELLS = (32803, 34892)

# Allowed pixels of a file, and how many more per byte of it. A solid color has 344 per byte in PNG, a photo below 20.
FREE_PIXELS, PIXELS_PER_BYTE = 2**25, 256
# A progressive JPEG has about ten scans, and each takes as long as decoding a usual JPEG.
START_OF_SCAN, MAX_SCANS = b'\xff\xda', 200
# Errors of libjpeg that mean damage. After other errors, as for unsupported kinds, Pillow tries to read the file.
DAMAGED_JPEG = re.compile(r'Corrupt JPEG data|Inconsistent progression')
# Some cameras pad to whole words before the end of an image.
SPARE_BYTES = re.compile(r'Corrupt JPEG data: [1-8] extraneous bytes before marker 0xd9')
# Errors that Pillow's parsers raise for damaged data.
DAMAGED = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError),
    *(RuntimeError, struct.error, zlib.error),
)
# Errors of the machine that do not depend on the file: no image may be skipped because of them.
_MACHINE = ('EIO', 'EMFILE', 'ENFILE', 'ENOMEM', 'ESTALE', 'ETIMEDOUT', 'EREMOTEIO', 'ENOTCONN', 'EHOSTDOWN', 'ENXIO')
MACHINE_FAULTS = {getattr(errno, name) for name in _MACHINE if hasattr(errno, name)}


def is_machine_fault(error: BaseException) -> bool:
    """Return whether reading failed for a reason outside the file, such as a disk or network error."""
    return isinstance(error, OSError) and error.errno in MACHINE_FAULTS


def _orientation(picture: Image.Image) -> int:
    """Return the orientation of a picture, 1 to 8, from its EXIF data alone, as browsers and OpenCV do.

    Some versions of Pillow's ``getexif`` also read XMP. Damaged EXIF data count as orientation 1.
    """
    exif = Image.Exif()
    try:
        exif.load(picture.info.get('exif', b''))
        orientation = exif.get(ORIENTATION)
        return orientation if orientation in TURNS else 1
    except DAMAGED:
        return 1


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Rotate and mirror an image ``(H, W, 3)`` as its EXIF orientation, 1 to 8, says."""
    return np.ascontiguousarray(TURNS[orientation](image)) if orientation in TURNS else image


def decode_whole_jpeg(data: bytes) -> np.ndarray | None:
    """Decode a usual JPEG without Pillow, by the same decoder: the pixels are the same.

    Returns:
        ``(H, W, 3)`` uint8, BGR, upright; None if Pillow must decode the image: it has four components, which Pillow
        converts differently, is of an unusual kind, or there is no simplejpeg.

    Raises:
        ValueError: The decoder reports damage, or the image is too large.
    """
    if simplejpeg is None:
        return None
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (KeyError, ValueError):
        # KeyError: -1 if the header is truncated.
        return None
    _check_pixels(width, height, len(data))
    image = _decode_strictly(data, 'CMYK' if colors in FOUR_COLORS else 'BGR')
    if image is None or colors in FOUR_COLORS:
        return None
    if EXIF_HEADER not in data:
        return image
    # Pillow reads the header alone. OpenCV treats unusual EXIF data differently.
    with _opened(io.BytesIO(data), 'JPEG') as picture:
        return upright(image, _orientation(picture))


def _decode_strictly(data: bytes, colors: str) -> np.ndarray | None:
    """Decode a JPEG; return None for a kind that libjpeg-turbo's simple interface lacks."""
    try:
        return simplejpeg.decode_jpeg(data, colors, strict=True)
    except ValueError as e:
        if SPARE_BYTES.match(str(e)):
            return simplejpeg.decode_jpeg(data, colors, strict=False)
        if DAMAGED_JPEG.match(str(e)):
            raise ValueError(f'damaged inside: {str(e).removeprefix("Corrupt JPEG data: ")}') from e
        return None


def _check_pixels(width: int, height: int, file_bytes: int, share: float = 1) -> None:
    """Refuse an image that would fill the memory, before anything is decoded.

    Args:
        width: Width in pixels that the header states.
        height: Height in pixels that the header states.
        file_bytes: Size of the file. A small file that promises a large image was made to fill the memory.
        share: Memory per pixel, relative to an image of 8 bits.

    Raises:
        ValueError: There are more pixels than twice ``PIL.Image.MAX_IMAGE_PIXELS``, 179 million, or than a file of this
            size can hold.
    """
    if Image.MAX_IMAGE_PIXELS is None:
        return
    pixels, most = width * height * max(1, share), 2 * Image.MAX_IMAGE_PIXELS
    if pixels > most:
        raise ValueError(
            f'{width} x {height} pixels, which exceeds the limit of {most / 10**6:.0f} million: make it smaller'
        )
    if pixels > FREE_PIXELS + PIXELS_PER_BYTE * file_bytes:
        raise ValueError(
            f'{width} x {height} pixels in a file of {file_bytes:,} bytes, which exceeds the limit of '
            f'{FREE_PIXELS / 10**6:.0f} million and {PIXELS_PER_BYTE} for each byte: it was made to fill the memory'
        )


def _check_opened(picture: Image.Image, file_bytes: int) -> None:
    """Refuse an image that cannot be read or would fill the memory, by its header alone.

    Raises:
        ValueError: A raw photo, numbers without a known black and white, or too many pixels.
    """
    tags = getattr(picture, 'tag_v2', {})
    width, height = picture.size
    bits = _numbers(tags)[0]
    if picture.format == 'TIFF':
        if DNG_VERSION in tags or tags.get(PHOTOMETRIC) in SENSOR_CELLS or tags.get(SUBFILE, 0) & SMALLER:
            raise ValueError(RAW)
        # A tile may be larger than its image.
        width, height = max(width, tags.get(TILE_WIDTH, 0)), max(height, tags.get(TILE_HEIGHT, 0))
    # Pillow keeps four bytes for each pixel.
    _check_pixels(width, height, file_bytes, bits * tags.get(SAMPLES, 1) / 32)
    _check_numbers(picture)


def _check_numbers(picture: Image.Image) -> None:
    kind = _numbers(getattr(picture, 'tag_v2', {}))[1]
    if kind in (SIGNED, FLOAT) or (picture.mode in ('I', 'F') and not _has_sixteen_bits(picture)):
        what = 'floating-point numbers' if picture.mode == 'F' else 'integers of 32 bits or with a sign'
        raise ValueError(f'its pixels are {what}, of which no range is black to white: save it with 8 or 16 bits')


def _numbers(tags: Mapping) -> tuple[int, int]:
    """Return the bits per number of a TIFF file and its sample format; 16 bits, unsigned, for other files."""
    # The samples of a pixel may differ.
    bits, kind = (int(max(np.ravel(tags.get(tag, default)))) for tag, default in ((BITS, 16), (SAMPLE_FORMAT, 1)))
    return bits, kind


def _has_sixteen_bits(picture: Image.Image) -> bool:
    # 16-bit gray PNG and PGM are mode I in some versions of Pillow.
    return picture.mode.startswith('I;16') or (picture.mode == 'I' and picture.format in ('PNG', 'PPM'))


def _rgb(picture: Image.Image) -> np.ndarray:
    """Return the pixels of a checked picture, for animations the first frame: ``(H, W, 3)`` uint8, RGB."""
    picture.load()
    if _has_sixteen_bits(picture):
        tags = getattr(picture, 'tag_v2', {})
        # The upper 8 bits, as all decoders do for 16-bit colors.
        gray = (np.asarray(picture).astype(np.int64) >> (_numbers(tags)[0] - 8)).clip(0, 255).astype(np.uint8)
        gray = 255 - gray if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else gray
        return np.repeat(gray[:, :, None], 3, 2)
    if picture.mode == 'P':
        # Avoids a warning about transparency, which is dropped here as from all other kinds.
        picture = picture.convert('RGBA')
    return np.asarray(picture if picture.mode == 'RGB' else picture.convert('RGB'))


@contextmanager
def _opened(file: str | Path | io.BytesIO, kind: str) -> Iterator[Image.Image]:
    """Open a picture with the decoder of its kind; any error for damage becomes a ``ValueError``."""
    try:
        with warnings.catch_warnings():
            # _check_pixels decides which sizes are refused.
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            picture = Image.open(file, formats=(kind,))
        with picture:
            yield picture
    except UnidentifiedImageError as e:
        # Pillow's message names a buffer in memory.
        raise ValueError(f'{kind}, but damaged or of a variant that Pillow does not read') from e
    except MemoryError as e:
        raise ValueError('more pixels than there is memory for: make it smaller') from e
    except (*DAMAGED, Image.DecompressionBombError) as e:
        if is_machine_fault(e):
            raise
        if kind not in Image.OPEN:
            raise ValueError(f'{kind}, which this version of Pillow does not read: {CONVERT}') from e
        raise ValueError(str(e) or f'damaged: {e!r}') from e


def from_pillow(picture: Image.Image) -> np.ndarray:
    """Return an opened picture's pixels, ``(H, W, 3)`` uint8, BGR, upright, as if read from its file.

    Raises:
        OSError, SyntaxError, ValueError: Pillow's decoders report damage by any of these, or by others.
    """
    _check_numbers(picture)
    image = cv2.cvtColor(_rgb(picture), cv2.COLOR_RGB2BGR)
    # Read after decoding, because EXIF data may follow the pixels. Pillow has turned TIFF files itself.
    return image if picture.format == 'TIFF' else upright(image, _orientation(picture))


def image_fault(image: np.ndarray) -> str:
    """Return what is wrong with an array, and the remedy; empty if it is an image."""
    expected = 'give (H, W, 3) uint8, BGR as cv2.imread reads'
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        remedy = REMEDIES.get(image.shape[2], expected) if image.ndim == 3 else expected
        if image.ndim == 2:
            remedy = GRAY_REMEDY
        elif image.ndim == 3 and image.shape[0] == 3:
            remedy = 'channels come last: image.transpose(1, 2, 0)'
        return f'an array of shape {image.shape}, not of (H, W, 3): {remedy}'
    if image.dtype != np.uint8:
        scaled = '; of values from 0 to 1 make (255 * image).round().astype(np.uint8)' * (image.dtype.kind == 'f')
        return f'an array of {image.dtype}: {expected}{scaled}'
    return ''


def as_image(value: object, name: str) -> np.ndarray:
    """Convert an image in memory to an array.

    Args:
        value: An array ``(H, W, 3)`` uint8, BGR, or a picture of Pillow, which is converted as a file is: to BGR, 16
            bits to 8, without transparency, and turned upright according to its EXIF data.
        name: Name for error messages.

    Returns:
        ``(H, W, 3)`` uint8, BGR.

    Raises:
        DataError: The value is neither; names its type and what is accepted.
    """
    if isinstance(value, Image.Image):
        try:
            value = from_pillow(value)
        # Pillow decodes a picture only now.
        except (OSError, SyntaxError, ValueError) as e:
            raise DataError(f'{name} is a PIL image that cannot be used: {e}') from e
    if isinstance(value, np.ndarray):
        fault = image_fault(value)
        if fault:
            raise DataError(f'{name} is {fault}')
        return value
    type_name = f'{type(value).__module__.partition(".")[0]}.{type(value).__name__}'.removeprefix('builtins.')
    hint = ' (of a tensor (3, H, W): tensor.permute(1, 2, 0).numpy())' if type_name == 'torch.Tensor' else ''
    raise DataError(f'{name} is a {type_name}: {TAKEN}{hint}')


def decode_image(data: bytes) -> np.ndarray:
    """Decode any image to ``(H, W, 3)`` uint8, BGR, upright.

    Raises:
        ValueError: The image is damaged, too large, of a kind that is not read, or has numbers without a known black
            and white.
    """
    kind = image_kind(data)
    if kind == 'JPEG':
        if data.count(START_OF_SCAN) > MAX_SCANS:
            raise ValueError(f'more than {MAX_SCANS} scans: made to keep decoders busy')
        image = decode_whole_jpeg(data)
        if image is not None:
            return image
    if kind == 'PNG':
        # Pillow compares the checksums of the pixels only in verify(), after which it cannot decode.
        with _opened(io.BytesIO(data), kind) as picture:
            picture.verify()
    with _opened(io.BytesIO(data), kind) as picture:
        _check_opened(picture, len(data))
        return from_pillow(picture)


def read_size(path: str | Path) -> tuple[int, int]:
    """Read height and width of an image as :func:`read_image` returns it, upright, from its header alone.

    Raises:
        DataError: The file is missing or no image; names it.
        OSError: A disk or a network fails, or too many files are open.
    """
    try:
        with Path(path).open('rb') as file:
            kind = image_kind(file.read(HEAD_BYTES))
        with _opened(path, kind) as picture:
            _check_opened(picture, Path(path).stat().st_size)
            # For some TIFF files, some versions of Pillow return the size of the turned picture.
            tags = getattr(picture, 'tag_v2', {})
            size = tags.get(HEIGHT, picture.height), tags.get(WIDTH, picture.width)
            if picture.format == 'PNG' and b'eXIf' in Path(path).read_bytes():
                # EXIF data may follow the pixels.
                picture.load()
            orientation = tags.get(ORIENTATION, 1) if picture.format == 'TIFF' else _orientation(picture)
    except (OSError, ValueError) as e:
        if is_machine_fault(e):
            raise
        raise DataError(f'{path}: unreadable image ({e})') from e
    return size[::-1] if orientation in SWAPS_SIDES else size


def read_image(path: str | Path, remedy: str = 'Replace the file', by_opencv: bool = False) -> np.ndarray:
    """Decode an image file, or the region of one that a path like ``frame.jpg#xywh=120,80,64,190`` names.

    Args:
        path: The file, or a region of it (:mod:`mmosnet.io.regions`).
        remedy: Advice on an unreadable file, for error messages.
        by_opencv: Check the file as usual, but return the pixels that OpenCV decodes, as mmcv's ``LoadImageFromFile``
            does.

    Returns:
        ``(H, W, 3)`` uint8, BGR as in mmcv, turned upright according to its EXIF data; a region counts in that.

    Raises:
        DataError: The file is missing, empty, truncated, no image, or has pixels without a known black and white; names
            the file. Or the image has no such region.
        OSError: A disk or a network fails, or too many files are open; such images must not be skipped as damaged.
    """
    file, box = split_region(str(path))
    try:
        data = Path(file).read_bytes()
        image = decode_image(data)
        if by_opencv:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, ValueError) as e:
        if is_machine_fault(e):
            raise
        raise DataError(f'{file}: unreadable image ({e}). {remedy}') from e
    if image is None:
        raise DataError(f'{file}: unreadable image (OpenCV does not know its format). {remedy}')
    return image if box is None else np.ascontiguousarray(cut(image, box, str(path)))
