"""Who was where, as pictures: frames with a labeled box per person, and a sheet per person. Needs no torch."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from mmosnet.drawing.sheets import (
    BLACK,
    CELL,
    FRAME,
    MARGIN,
    WHITE,
    Color,
    Line,
    blank,
    grid,
    person_card,
    stacked,
    text_width,
    titled,
    write,
)

# Neighboring pids get colors far apart on the color circle.
GOLDEN = 0.618034
# Cards per row of a person's sheet, white pixels between them, and between rows.
COLUMNS, GAP, ROW_GAP = 8, 40, 8
# Height of a frame, in pixels, from which on lines are a pixel thicker.
THICKER = 360
# Font size of labels as a share of the height of a frame, and its limits in pixels.
LABEL_SHARE, SMALLEST, LARGEST = 0.018, 10, 40


@dataclass(frozen=True)
class LabeledBox:
    """A person in a frame.

    Attributes:
        box: Left, top, width and height in pixels; may reach beyond the frame.
        text: Label above the box.
        pid: The person, which selects the color; -1 draws in gray.
    """

    box: Sequence[float]
    text: str
    pid: int = -1


def color_of(pid: int) -> Color:
    """Return the color of a person, BGR; gray for -1."""
    if pid < 0:
        return (128, 128, 128)
    # Brightness alternates too, for people who confuse red and green.
    value = 0.95 if pid % 2 else 0.7
    red, green, blue = colorsys.hsv_to_rgb(pid * GOLDEN % 1, 0.85, value)
    return round(255 * blue), round(255 * green), round(255 * red)


def draw_sightings(frame: np.ndarray, people: Sequence[LabeledBox], caption: str = '') -> None:
    """Draw the people of a frame into it.

    Args:
        frame: ``(H, W, 3)`` uint8, BGR, changed in place.
        people: The people; later ones are drawn over earlier ones.
        caption: Text in the upper left corner, such as camera and time; none by default.
    """
    height = frame.shape[0]
    size = round(min(max(LABEL_SHARE * height, SMALLEST), LARGEST))
    for person in people:
        left, top, right, bottom = (round(value) for value in _corners(person.box))
        color = color_of(person.pid)
        cv2.rectangle(frame, (left, top), (right, bottom), color, 1 + height // THICKER)
        _paste(frame, _label(person.text, color, size), left, top)
    if caption:
        label = _label(caption, BLACK, size)
        _paste(frame, label, 0, label.shape[0])


def person_sheet(title: Sequence[str], seen: Sequence[tuple[np.ndarray | None, Sequence[str]]]) -> np.ndarray:
    """Draw the sheet of a person: where and when they were seen.

    Args:
        title: Lines of text above.
        seen: The image of each sighting, ``(H, W, 3)`` uint8, BGR, and the lines of text below it.

    Returns:
        ``(H, W, 3)`` uint8, BGR.
    """
    lines = max((len(texts) for _, texts in seen), default=0)
    cards = [
        person_card(image, [*map(Line, texts), *[Line('')] * (lines - len(texts))], framed=True, gap=GAP)
        for image, texts in seen
    ]
    columns = min(COLUMNS, max(1, len(cards)))
    head = titled(title, MARGIN, columns * (CELL[1] + 2 * FRAME + GAP))
    return stacked([head, grid(cards, COLUMNS, ROW_GAP)]) if cards else head


def _corners(box: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, width, height = box
    return left, top, left + width, top + height


@lru_cache(512)
def _label(text: str, color: Color, size: int) -> np.ndarray:
    """Return a line of text on a colored ground."""
    label = blank(round(1.5 * size) + 2, text_width(text, size) + 2 * MARGIN, color)
    # Black on bright colors, else white.
    bright = np.dot(color, (0.114, 0.587, 0.299)) > 150
    write(label, text, MARGIN, round(1.2 * size), BLACK if bright else WHITE, size)
    return label


def _paste(frame: np.ndarray, label: np.ndarray, left: int, bottom: int) -> None:
    """Put a label into a frame, moved so far that it is inside; what is still too wide is cut."""
    height, width = frame.shape[:2]
    left = min(max(0, left), max(0, width - label.shape[1]))
    top = min(max(0, bottom - label.shape[0]), max(0, height - label.shape[0]))
    part = frame[top : top + label.shape[0], left : left + label.shape[1]]
    part[:] = label[: part.shape[0], : part.shape[1]]
