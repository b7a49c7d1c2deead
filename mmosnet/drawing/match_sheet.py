"""A picture of searches: a query per row, the images found beside it, framed by whether they show the same person.

:mod:`mmosnet.visualization.ranked_list_sheet` draws the results of a test, where it is known who is who.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmosnet.visualization.sheet import BLUE, GREEN, GREY, MARK, RED, blank, fitted, mark, save, text_width, write

# Height and width of a person, thickness of the frame, height of a line of text, gap behind the query: pixels.
CELL = (160, 80)
FRAME = 4
LINE = 18
LINES = 4
GAP = 16
FRAMES = {True: GREEN, False: RED, None: BLUE}


@dataclass(frozen=True)
class ShownImage:
    """An image of a sheet.

    Attributes:
        image: ``(H, W, 3)`` uint8, BGR; None where it is not there any more, which its place says.
        lines: What stands below, four lines at most.
        same: The frame: green with a tick for the person of the query, red with a cross for somebody else, blue (None)
            for queries and where nobody knows.
    """

    image: np.ndarray | None
    lines: Sequence[str]
    same: bool | None = None


def draw_matches(searches: Sequence[tuple[ShownImage, Sequence[ShownImage]]], threshold: float | None) -> np.ndarray:
    """Draw the sheet.

    Args:
        searches: Each query, with what was found for it.
        threshold: The distance up to which two images count as one person, for the text; None where there is none.

    Returns:
        ``(H, W, 3)`` uint8, BGR.
    """
    columns = max((len(matches) for _, matches in searches), default=0)
    meaning = 'No threshold.' if threshold is None else f'Ticked: same person, at most {threshold:.4g} away.'
    text = f'Below: rank and distance, person, camera, seconds. {meaning}'
    width = GAP + (columns + 1) * (CELL[1] + 2 * FRAME)
    header = blank(2 * LINE + 4, max(width, text_width(text) + 8))
    write(header, text, 4, LINE - 4)
    write(header, 'query', 4, 2 * LINE - 4)
    rows = [header]
    for query, matches in searches:
        row = np.hstack([_cell(query), blank(_height(), GAP), *map(_cell, matches)])
        rows.append(np.hstack([row, blank(_height(), header.shape[1] - row.shape[1])]))
    return np.vstack(rows)


def save_matches(
    searches: Sequence[tuple[ShownImage, Sequence[ShownImage]]], threshold: float | None, path: str | Path
) -> Path:
    """Draw the sheet into an image file; arguments of :func:`draw_matches`.

    Raises:
        OSError: The file cannot be written.
    """
    return save(draw_matches(searches, threshold), path)


def _cell(shown: ShownImage) -> np.ndarray:
    framed = blank(CELL[0] + 2 * FRAME, CELL[1] + 2 * FRAME, FRAMES[shown.same])
    if shown.image is None:
        inside = blank(*CELL, GREY)
        for number, text in enumerate(('image is', 'not there'), 1):
            write(inside, text, 10, CELL[0] // 2 + LINE * (number - 1))
    else:
        inside = fitted(shown.image, CELL)
    framed[FRAME:-FRAME, FRAME:-FRAME] = inside
    if shown.same is not None:
        mark(framed, shown.same, FRAME + CELL[1] - MARK, FRAME)
    text = blank(LINE * LINES + 4, framed.shape[1])
    for number, line in enumerate(shown.lines, 1):
        write(text[:, :-2], line, 2, LINE * number - 4)
    return np.vstack([framed, text])


def _height() -> int:
    return CELL[0] + 2 * FRAME + LINE * LINES + 4
