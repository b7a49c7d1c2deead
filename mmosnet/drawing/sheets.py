"""What the sheets of pictures share: lines of text, marks, pictures in cells, image files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmosnet.io.files import whole_file

# BGR. Green and red also differ in brightness, for those who do not tell them apart, and never stand without a mark.
WHITE, GREY, BLACK = (255, 255, 255), (225, 225, 225), (40, 40, 40)
GREEN, RED, BLUE = (95, 140, 0), (0, 60, 210), (190, 110, 0)
# Height of a line of text, and of a title, in pixels.
TEXT_SIZE, TITLE_SIZE = 12, 15
# Side of a mark in pixels.
MARK = 16
# Letters stay sharp; OpenCV's 95 takes half as much again.
JPEG_QUALITY = 90


def blank(height: int, width: int, color: tuple[int, int, int] = WHITE) -> np.ndarray:
    """Return an empty part of a sheet, ``(height, width, 3)`` uint8."""
    return np.full((height, width, 3), color, np.uint8)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # The font of the figures, which comes with matplotlib. OpenCV's differ between its versions.
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')), size)


def printable(text: str) -> str:
    """Return text that can be drawn: on one line, without lone surrogates of file names that are not UTF-8."""
    return ''.join(c if c.isprintable() else ' ' if c.isspace() else '?' for c in text)


def text_width(text: str, size: int = TEXT_SIZE) -> int:
    """Return the width of a line of text in pixels."""
    return round(_font(size).getlength(printable(text)) + 0.5)


def write(
    picture: np.ndarray,
    text: str,
    left: int,
    bottom: int,
    color: tuple[int, int, int] = BLACK,
    size: int = TEXT_SIZE,
) -> None:
    """Write a line of text, cut with dots where it would reach beyond the picture's right edge.

    Args:
        picture: Changed in place.
        text: Text of one line.
        left: Left edge of the text in pixels.
        bottom: The line that letters stand on.
        color: BGR.
        size: Font size in pixels.
    """
    text = printable(text)
    while len(text) > 4 and left + text_width(text, size) > picture.shape[1]:
        text = text[:-4] + '...'
    strip = picture[max(0, bottom - 2 * size) : bottom + size]
    drawn = Image.fromarray(strip)
    place = (left, min(bottom, 2 * size))
    ImageDraw.Draw(drawn).text(place, text, fill=color, font=_font(size), anchor='ls')
    strip[:] = np.asarray(drawn)


def mark(picture: np.ndarray, right: bool, left: int, top: int) -> None:
    """Draw a badge: a tick on green for right, a cross on red for wrong.

    Args:
        picture: Changed in place.
        right: True draws the tick, False the cross.
        left: Left edge of the badge, which is :data:`MARK` pixels wide and high.
        top: Top edge of the badge.
    """
    # On four times the size: lines of two pixels end in steps otherwise.
    large = np.ascontiguousarray(np.repeat(np.repeat(picture[top : top + MARK, left : left + MARK], 4, 0), 4, 1))
    height, width = large.shape[:2]
    cv2.rectangle(large, (0, 0), (width - 1, height - 1), GREEN if right else RED, -1)
    ways = [[(12, 34), (26, 48), (52, 18)]] if right else [[(16, 16), (47, 47)], [(47, 16), (16, 47)]]
    cv2.polylines(large, [np.array(way, np.int32) for way in ways], False, WHITE, 7, cv2.LINE_AA)
    shrunk = cv2.resize(large, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    picture[top : top + MARK, left : left + MARK] = shrunk


def lengthened(picture: np.ndarray, height: int) -> np.ndarray:
    """Return a part of a sheet extended with white below."""
    return np.vstack([picture, blank(height - picture.shape[0], picture.shape[1])])


def fitted(image: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
    """Return an image scaled in proportion into the middle of a gray cell (height, width)."""
    scale = min(cell[0] / image.shape[0], cell[1] / image.shape[1])
    height, width = (max(1, round(scale * side)) for side in image.shape[:2])
    shrunk = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    picture = blank(*cell, GREY)
    top, left = (cell[0] - height) // 2, (cell[1] - width) // 2
    picture[top : top + height, left : left + width] = shrunk
    return picture


def save(sheet: np.ndarray, path: str | Path) -> Path:
    """Write a sheet into an image file; create its folder.

    Raises:
        OSError: No kind of picture that can be written, or the file cannot be.
    """
    path = Path(path)
    if not cv2.haveImageWriter(path.name):
        raise OSError(f'{path}: cannot encode a picture of this kind')
    # imencode: imwrite cannot open every path. Other kinds of picture pass over the quality.
    picture = cv2.imencode(path.suffix, sheet, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    with whole_file(path) as draft:
        draft.write_bytes(picture)
    return path
