"""What the sheets of pictures share: lines of text, pictures in cells, image files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

# BGR.
WHITE, GREY, BLACK = (255, 255, 255), (225, 225, 225), (40, 40, 40)
GREEN, RED, BLUE = (60, 160, 30), (50, 50, 220), (190, 120, 30)
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.4


def blank(height: int, width: int, color: tuple[int, int, int] = WHITE) -> np.ndarray:
    """A part of a sheet, ``(height, width, 3)`` uint8."""
    return np.full((height, width, 3), color, np.uint8)


def printable(text: str) -> str:
    """A text that OpenCV can draw: it ends the process at half characters, as of names of files that are not UTF-8."""
    return ''.join(c if c.isprintable() else ' ' if c.isspace() else '?' for c in text)


def text_width(text: str) -> int:
    """Width of a line of text in pixels."""
    return cv2.getTextSize(printable(text), FONT, FONT_SCALE, 1)[0][0]


def write(picture: np.ndarray, text: str, left: int, bottom: int, color: tuple[int, int, int] = BLACK) -> None:
    """Write a line of text, cut with dots where it would reach beyond the picture's right edge."""
    text = printable(text)
    while len(text) > 4 and left + text_width(text) > picture.shape[1]:
        text = text[:-4] + '...'
    cv2.putText(picture, text, (left, bottom), FONT, FONT_SCALE, color, 1, cv2.LINE_AA)


def fitted(image: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
    """An image in its own proportions in the middle of a grey cell (height, width)."""
    scale = min(cell[0] / image.shape[0], cell[1] / image.shape[1])
    height, width = (max(1, round(scale * side)) for side in image.shape[:2])
    shrunk = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    picture = blank(*cell, GREY)
    top, left = (cell[0] - height) // 2, (cell[1] - width) // 2
    picture[top : top + height, left : left + width] = shrunk
    return picture


def save(sheet: np.ndarray, path: str | Path) -> Path:
    """Write a sheet into an image file; its folder is made.

    Raises:
        OSError: No kind of picture that can be written, or the file cannot be.
    """
    path = Path(path)
    if not cv2.haveImageWriter(path.name):
        raise OSError(f'{path}: cannot encode a picture of this kind')
    path.parent.mkdir(parents=True, exist_ok=True)
    # imencode: imwrite cannot open every path.
    path.write_bytes(cv2.imencode(path.suffix, sheet)[1].tobytes())
    return path
