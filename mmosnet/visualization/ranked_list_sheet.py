"""A picture of ranked lists: one query per row, its first gallery images framed green (right) or red (wrong)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmosnet.datasets.person_image import read_image
from mmosnet.evaluation.shown_query import ShownQuery
from mmosnet.visualization.sheet import (
    BLACK,
    BLUE,
    GREEN,
    MARK,
    RED,
    TEXT_SIZE,
    TITLE_SIZE,
    blank,
    fitted,
    mark,
    save,
    text_width,
    write,
)

# Height and width of a person, thickness of the frame, height of a line of text, gap behind the query: pixels.
CELL = (160, 80)
FRAME = 4
CAPTION = 18
GAP = 16
# Height of a line of the title.
TITLE = 24
MARGIN = 4
NOTE = "Below: identity, distance; AP, shown / all images of the query's person"


def draw_ranked_lists(shown: Sequence[ShownQuery], columns: int = 10, title: Sequence[str] = ()) -> np.ndarray:
    """Draw the sheet.

    Images of the query's person have a green frame with a tick, others a red one with a cross. Below are identity and
    distance; below the query its average precision and how many of the gallery's images of the person are shown.

    Args:
        shown: Queries with their ranked lists.
        columns: Gallery images per row.
        title: Lines above.

    Returns:
        ``(H, W, 3)`` uint8, BGR.
    """
    cell_width = CELL[1] + 2 * FRAME
    header = _header(GAP + (columns + 1) * cell_width, title)
    for column in range(columns + 1):
        left = column * cell_width + (GAP if column else 0)
        write(header, f'rank {column}' if column else 'query', left + MARGIN, header.shape[0] - 5)
    rows = [header]
    for query in shown:
        cells = [_cell(query.img_path, [f'id {query.pid}' if query.pid >= 0 else '', _found(query, columns)], None)]
        cells.append(_empty(GAP))
        cells += [
            _cell(path, [f'id {pid}', f'{distance:#.3g}'], match)
            for path, pid, distance, match in query.gallery[:columns]
        ]
        row = np.hstack(cells)
        rows.append(np.hstack([row, _empty(header.shape[1] - row.shape[1])]))
    return np.vstack(rows)


def save_ranked_lists(
    shown: Sequence[ShownQuery], path: str | Path, columns: int = 10, title: Sequence[str] = ()
) -> Path:
    """Draw the sheet into an image file.

    Raises:
        OSError: The file cannot be written.
    """
    return save(draw_ranked_lists(shown, columns, title), path)


def _found(query: ShownQuery, columns: int) -> str:
    """Return the query's scores, as far as they are known."""
    if query.ap is None:
        return ''
    return f'AP {query.ap:.2f}, {sum(match for *_, match in query.gallery[:columns])}/{query.num_matches}'


def _cell(path: str, lines: Sequence[str], match: bool | None) -> np.ndarray:
    """Draw a framed person with lines of text; the frame has a mark unless right and wrong are unknown."""
    framed = blank(CELL[0] + 2 * FRAME, CELL[1] + 2 * FRAME, BLUE if match is None else GREEN if match else RED)
    framed[FRAME:-FRAME, FRAME:-FRAME] = fitted(read_image(path), CELL)
    if match is not None:
        mark(framed, match, FRAME + CELL[1] - MARK, FRAME)
    text = blank(CAPTION * len(lines) + MARGIN, framed.shape[1])
    for number, line in enumerate(lines, 1):
        write(text, line, MARGIN, CAPTION * number - 4)
    return np.vstack([framed, text])


def _empty(width: int) -> np.ndarray:
    return blank(CELL[0] + 2 * FRAME + 2 * CAPTION + MARGIN, width)


def _header(width: int, title: Sequence[str]) -> np.ndarray:
    """Draw title, legend of the marks and room for the column names; widened to its text."""
    top = TITLE * len(title)
    marked, left = [], MARGIN
    for right, text in ((True, 'same person'), (False, 'another person')):
        marked.append((right, text, left))
        left += MARK + 6 + text_width(text) + 20
    widths = [text_width(text, TITLE_SIZE) for text in title] + [left - MARGIN + text_width(NOTE)]
    header = blank(top + TITLE + CAPTION + MARGIN, max(width, 2 * MARGIN + max(widths)))
    for line, text in enumerate(title, 1):
        write(header, text, MARGIN, TITLE * line - 7, BLACK, TITLE_SIZE)
    for right, text, start in marked:
        mark(header, right, start, top + 3)
        write(header, text, start + MARK + 6, top + 4 + TEXT_SIZE)
    write(header, NOTE, left, top + 4 + TEXT_SIZE)
    return header
