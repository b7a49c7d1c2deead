"""A picture of ranked lists: one query per row, its first gallery images framed green (right) or red (wrong)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmosnet.datasets.transforms import read_image
from mmosnet.evaluation.ranking import ShownQuery
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

# Height and width of a person, thickness of the frame, height of a line of text, gap behind the query: pixels. The
# query's figures reach into the gap.
CELL = (160, 80)
FRAME = 4
CAPTION = 15
GAP = 32
# Below each image: identity, camera, and a distance or the query's figures.
LINES = 3
# Height of a line of the title.
TITLE = 24
MARGIN = 4
NOTE = "Below: identity, camera, distance; AP, shown / all images of the query's person"


def draw_ranked_lists(shown: Sequence[ShownQuery], columns: int = 10, title: Sequence[str] = ()) -> np.ndarray:
    """Draw the sheet, one row per query.

    Images of the query's person have a green frame with a tick, others a red one with a cross. Below are identity,
    camera and distance; below the query its average precision and how many of the gallery's images of the person are
    shown.

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
        lines = [f'id {query.pid}' if query.pid >= 0 else '', _camera(query.camid), _found(query, columns)]
        cells = [_cell(query.img_path, lines, None, GAP)]
        camids = query.camids or [-1] * len(query.gallery)
        cells += [
            _cell(path, [f'id {pid}', _camera(camid), f'{distance:#.3g}'], match)
            for (path, pid, distance, match), camid in zip(query.gallery[:columns], camids, strict=False)
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


def _camera(camid: int) -> str:
    return f'camera {camid}' if camid >= 0 else ''


def _found(query: ShownQuery, columns: int) -> str:
    """Return the query's figures; an empty text where they are unknown."""
    if query.ap is None:
        return ''
    return f'AP {query.ap:.2f}, {sum(match for *_, match in query.gallery[:columns])}/{query.num_matches}'


def _cell(path: str, lines: Sequence[str], match: bool | None, gap: int = 0) -> np.ndarray:
    """Draw a person in a frame with lines of text below, and a mark on the frame unless right and wrong are unknown.

    Args:
        path: The image.
        lines: The lines of text.
        match: Whether it shows the query's person; None for the query, and where this is unknown.
        gap: Pixels on the right that only text reaches.
    """
    framed = blank(CELL[0] + 2 * FRAME, CELL[1] + 2 * FRAME, BLUE if match is None else GREEN if match else RED)
    framed[FRAME:-FRAME, FRAME:-FRAME] = fitted(read_image(path), CELL)
    if match is not None:
        mark(framed, match, FRAME + CELL[1] - MARK, FRAME)
    framed = np.hstack([framed, blank(framed.shape[0], gap)])
    text = blank(CAPTION * LINES + MARGIN, framed.shape[1])
    for number, line in enumerate(lines, 1):
        write(text, line, MARGIN, CAPTION * number - 4)
    return np.vstack([framed, text])


def _empty(width: int) -> np.ndarray:
    return blank(CELL[0] + 2 * FRAME + LINES * CAPTION + MARGIN, width)


def _header(width: int, title: Sequence[str]) -> np.ndarray:
    """Draw the title, what the marks mean, and room for the columns' names; as wide as its text at least."""
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
