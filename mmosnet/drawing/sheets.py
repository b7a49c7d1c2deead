"""Parts of a sheet of pictures: text, badges, cards of people, rows, and the image file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmosnet.io.files import whole_file

Color = tuple[int, int, int]
# BGR. Green and red also differ in brightness, for people who confuse the two, and never stand without a badge.
WHITE, GRAY, BLACK = (255, 255, 255), (225, 225, 225), (40, 40, 40)
GREEN, RED, BLUE = (95, 140, 0), (0, 60, 210), (190, 110, 0)
#: Frame of a card: the person of the query, somebody else, unknown.
FRAME_COLORS = {True: GREEN, False: RED, None: BLUE}
# All in pixels. Font sizes of text and of titles.
TEXT_SIZE, TITLE_SIZE = 12, 15
# Side of a badge.
MARK = 16
# Height and width of the picture of a card, and the frame around it.
CELL = (160, 80)
FRAME = 4
# Height of a line beside a picture, where badges stand in front, of a line below it, and of a line of the title.
LINE, CAPTION_LINE, TITLE_LINE = 18, 15, 24
# Space around text.
MARGIN = 4
# Between a query and its ranked list.
QUERY_GAP = 32
# Width of a value in front of a line.
VALUE = 34
# Letters stay sharp. OpenCV's default of 95 makes files half as large again.
JPEG_QUALITY = 90


def blank(height: int, width: int, color: Color = WHITE) -> np.ndarray:
    """Return an empty part of a sheet, ``(height, width, 3)`` uint8."""
    return np.full((height, width, 3), color, np.uint8)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # The font of the figures, which comes with matplotlib. OpenCV's fonts differ between its versions.
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
    color: Color = BLACK,
    size: int = TEXT_SIZE,
) -> None:
    """Write a line of text. Text that would reach beyond the picture's right edge is cut and ends in dots.

    Args:
        picture: ``(H, W, 3)`` uint8, changed in place.
        text: Text of one line.
        left: Left edge of the text in pixels.
        bottom: Baseline of the text in pixels.
        color: BGR.
        size: Font size in pixels.
    """
    text = printable(text)
    while len(text) > 4 and left + text_width(text, size) > picture.shape[1]:
        text = text[:-4] + '...'
    strip = picture[max(0, bottom - 2 * size) : bottom + size]
    written = Image.fromarray(strip)
    position = (left, min(bottom, 2 * size))
    ImageDraw.Draw(written).text(position, text, fill=color, font=_font(size), anchor='ls')
    strip[:] = np.asarray(written)


def mark(picture: np.ndarray, right: bool, left: int, top: int) -> None:
    """Draw a badge: a tick on green for right, a cross on red for wrong.

    Args:
        picture: ``(H, W, 3)`` uint8, changed in place.
        right: True draws the tick, False the cross.
        left: Left edge of the badge in pixels. It is :data:`MARK` pixels wide and high.
        top: Top edge of the badge in pixels.
    """
    # Drawn at four times the size and reduced, so that the edges of its thin lines are smooth.
    large = np.ascontiguousarray(np.repeat(np.repeat(picture[top : top + MARK, left : left + MARK], 4, 0), 4, 1))
    height, width = large.shape[:2]
    cv2.rectangle(large, (0, 0), (width - 1, height - 1), GREEN if right else RED, -1)
    strokes = [[(12, 34), (26, 48), (52, 18)]] if right else [[(16, 16), (47, 47)], [(47, 16), (16, 47)]]
    cv2.polylines(large, [np.array(stroke, np.int32) for stroke in strokes], False, WHITE, 7, cv2.LINE_AA)
    shrunk = cv2.resize(large, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    picture[top : top + MARK, left : left + MARK] = shrunk


def lengthened(picture: np.ndarray, height: int) -> np.ndarray:
    """Return a part of a sheet, extended with white below to a height in pixels."""
    return np.vstack([picture, blank(height - picture.shape[0], picture.shape[1])])


def beside(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return parts of a sheet side by side; lower ones are extended with white below."""
    height = max(part.shape[0] for part in parts)
    return np.hstack([lengthened(part, height) for part in parts])


def stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return parts of a sheet one below the other; narrower ones are extended with white on the right."""
    width = max(part.shape[1] for part in parts)
    return np.vstack([np.hstack([part, blank(part.shape[0], width - part.shape[1])]) for part in parts])


def grid(cards: Sequence[np.ndarray], columns: int, gap: int) -> np.ndarray:
    """Return cards in rows.

    Args:
        cards: One or more, all of one width.
        columns: Cards per row.
        gap: Pixels between rows.
    """
    rows = [beside(cards[start : start + columns]) for start in range(0, len(cards), columns)]
    return stacked([lengthened(row, row.shape[0] + gap) for row in rows])


def titled(title: Sequence[str], height: int, width: int) -> np.ndarray:
    """Return the head of a sheet: lines of title, and white below them.

    Args:
        title: Lines of text.
        height: Height of the white part in pixels.
        width: Width in pixels; larger where the title needs it.
    """
    widths = [2 * MARGIN + text_width(line, TITLE_SIZE) for line in title]
    head = blank(TITLE_LINE * len(title) + height, max([width, *widths]))
    for number, line in enumerate(title, 1):
        write(head, line, MARGIN, TITLE_LINE * number - 7, size=TITLE_SIZE)
    return head


def fitted(image: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
    """Return an image, scaled in proportion, in the middle of a gray cell.

    Args:
        image: ``(H, W, 3)`` uint8.
        cell: Height and width of the cell in pixels.
    """
    scale = min(cell[0] / image.shape[0], cell[1] / image.shape[1])
    height, width = (max(1, round(scale * side)) for side in image.shape[:2])
    shrunk = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    picture = blank(*cell, GRAY)
    top, left = (cell[0] - height) // 2, (cell[1] - width) // 2
    picture[top : top + height, left : left + width] = shrunk
    return picture


@dataclass(frozen=True)
class Line:
    """A line of text on a card.

    Attributes:
        text: The text.
        color: Color of the text, BGR.
        value: Short text in a column of its own in front, such as a score.
        right: Badge in front of the line: a tick (True), a cross (False), or none (None).
        indented: Leave room for a badge even where there is none.
        struck: Strike the text through.
    """

    text: str
    color: Color = BLACK
    value: str = ''
    right: bool | None = None
    indented: bool = False
    struck: bool = False

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self._start + text_width(self.text)

    @property
    def _start(self) -> int:
        """Pixels in front of the text."""
        return (MARK + 6) * (self.indented or self.right is not None) + VALUE * bool(self.value)

    def draw(self, picture: np.ndarray, left: int, bottom: int) -> None:
        """Write the line.

        Args:
            picture: ``(H, W, 3)`` uint8, changed in place.
            left: Left edge of the line in pixels.
            bottom: Baseline of the text in pixels.
        """
        start = left + self._start
        if self.right is not None:
            mark(picture, self.right, left, bottom - MARK + 3)
        if self.value:
            write(picture, self.value, start - VALUE, bottom, self.color)
        write(picture, self.text, start, bottom, self.color)
        if self.struck:
            end = min(start + text_width(self.text), picture.shape[1] - 1)
            cv2.line(picture, (start, bottom - 4), (end, bottom - 4), BLACK, 1)


def person_card(
    image: np.ndarray | None,
    lines: Sequence[Line],
    cell: tuple[int, int] = CELL,
    text_beside: int = 0,
    framed: bool = False,
    same: bool | None = None,
    gap: int = 0,
    absent: Sequence[str] = (),
) -> np.ndarray:
    """Draw a person with lines of text, below the picture or beside it.

    Args:
        image: ``(H, W, 3)`` uint8, BGR. None draws a gray cell.
        lines: The lines of text. Lines that are too long are cut.
        cell: Height and width of the picture in pixels.
        text_beside: Width of the text on the right of the picture in pixels; 0 puts it below.
        framed: Draw a frame around the picture.
        same: Color of the frame, and the badge on it: the person of the query (True), somebody else (False), or unknown
            (None, without a badge).
        gap: White pixels on the right of the picture, into which text below it may reach.
        absent: Lines of text in the cell where there is no image.

    Returns:
        ``(H, W, 3)`` uint8, BGR.
    """
    picture = blank(*cell, GRAY) if image is None else fitted(image, cell)
    for number, text in enumerate(absent if image is None else ()):
        write(picture, text, 10, cell[0] // 2 + LINE * number)
    if framed:
        frame = blank(cell[0] + 2 * FRAME, cell[1] + 2 * FRAME, FRAME_COLORS[same])
        frame[FRAME:-FRAME, FRAME:-FRAME] = picture
        picture = frame
        if same is not None:
            mark(picture, same, FRAME + cell[1] - MARK, FRAME)
    picture = np.hstack([picture, blank(picture.shape[0], gap)])
    line_height = LINE if text_beside else CAPTION_LINE
    text = blank(line_height * len(lines) + MARGIN, text_beside or picture.shape[1])
    for number, line in enumerate(lines, 1):
        line.draw(text[:, :-MARGIN], MARGIN, line_height * number - 4)
    return beside([picture, text]) if text_beside else np.vstack([picture, text])


def ranked_rows(rows: Sequence[tuple[np.ndarray, Sequence[np.ndarray]]], head: np.ndarray, columns: int) -> np.ndarray:
    """Lay out queries with their ranked lists, below the names of the columns.

    Args:
        rows: The card of each query, with :data:`QUERY_GAP` pixels on its right, and the cards of its ranked list.
        head: Head of the sheet; the names are written at its lower edge.
        columns: Number of columns of the lists.
    """
    width = CELL[1] + 2 * FRAME
    head = stacked([head, blank(0, QUERY_GAP + (columns + 1) * width)])
    for column in range(columns + 1):
        left = QUERY_GAP + column * width if column else 0
        write(head, f'rank {column}' if column else 'query', left + MARGIN, head.shape[0] - 5)
    return stacked([head, *(beside([query, *cards]) for query, cards in rows)])


def save_sheet(sheet: np.ndarray, path: str | Path) -> Path:
    """Write a sheet into an image file; create its folder.

    Args:
        sheet: ``(H, W, 3)`` uint8, BGR.
        path: The file. Its suffix names the format.

    Raises:
        OSError: OpenCV cannot write this format, or the file cannot be written.
    """
    path = Path(path)
    # OpenCV ends the process at names that are not UTF-8.
    if not cv2.haveImageWriter(os.fsencode(path.name).decode('utf-8', 'replace')):
        raise OSError(f'{path}: cannot encode a picture of this kind')
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix.lower() in ('.jpg', '.jpeg') else []
    # imwrite cannot open every path.
    picture = cv2.imencode(path.suffix, sheet, options)[1].tobytes()
    with whole_file(path) as draft:
        draft.write_bytes(picture)
    return path
