"""A picture of searches: one query per row, with the found images, framed by whether they show the same person.

The frames of :mod:`mmosnet.visualization.ranked_list_sheet` tell right from wrong, which in a search nobody knows, and
that module needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features.read_person import read_person
from mmosnet.gallery.gallery_report import camera_of, known_time, person_of
from mmosnet.gallery.match import Match
from mmosnet.visualization.sheet import BLUE, GREEN, GREY, MARK, RED, blank, fitted, mark, save, write

# Height and width of a person, thickness of the frame, height of a line of text, gap behind the query: pixels.
CELL = (160, 80)
FRAME = 4
LINE = 18
LINES = 4
GAP = 16
FRAMES = {True: GREEN, False: RED, None: BLUE}


def draw_matches(searches: Sequence[tuple[str, Sequence[Match]]], threshold: float | None) -> np.ndarray:
    """Draw the sheet.

    A match within the threshold has a green frame with a tick, another a red one with a cross.

    Args:
        searches: Paths of queries, with what was found for each. Where a path has no image any more, its place says so.
        threshold: Threshold of the gallery; without one all frames are blue, like those of queries.

    Returns:
        ``(H, W, 3)`` uint8, BGR.
    """
    columns = max((len(matches) for _, matches in searches), default=0)
    meaning = 'No threshold.' if threshold is None else f'Ticked: same person, at most {threshold:.4g} away.'
    width = CELL[1] + 2 * FRAME
    header = blank(2 * LINE + 4, max(GAP + (columns + 1) * width, 560))
    write(header, f'Below: rank and distance, person, camera, seconds. {meaning}', 4, LINE - 4)
    write(header, 'query', 4, 2 * LINE - 4)
    rows = [header]
    for query, matches in searches:
        cells = [_cell(query, [Path(query).name], None), blank(_height(), GAP)]
        for rank, match in enumerate(matches, 1):
            person, camera = match.name or f'pid {person_of(match) or "unknown"}', camera_of(match)
            lines = [f'{rank}: {match.distance:.3f}', person]
            lines += [match.camera or (camera and f'camera {camera}'), known_time(match.time)]
            cells.append(_cell(match.path, lines, match.same_person))
        row = np.hstack(cells)
        rows.append(np.hstack([row, blank(_height(), header.shape[1] - row.shape[1])]))
    return np.vstack(rows)


def save_matches(searches: Sequence[tuple[str, Sequence[Match]]], threshold: float | None, path: str | Path) -> Path:
    """Draw the sheet into an image file.

    Raises:
        OSError: The file cannot be written.
    """
    return save(draw_matches(searches, threshold), path)


def _cell(path: str, lines: Sequence[str], same: bool | None) -> np.ndarray:
    framed = blank(CELL[0] + 2 * FRAME, CELL[1] + 2 * FRAME, FRAMES[same])
    try:
        inside = fitted(read_person(path), CELL)
    except (DataError, FileNotFoundError):
        # A gallery outlives its images.
        inside = blank(*CELL, GREY)
        for number, text in enumerate(('image is', 'not there'), 1):
            write(inside, text, 10, CELL[0] // 2 + LINE * (number - 1))
    framed[FRAME:-FRAME, FRAME:-FRAME] = inside
    if same is not None:
        mark(framed, same, FRAME + CELL[1] - MARK, FRAME)
    text = blank(LINE * LINES + 4, framed.shape[1])
    for number, line in enumerate(lines, 1):
        write(text[:, :-2], line, 2, LINE * number - 4)
    return np.vstack([framed, text])


def _height() -> int:
    return CELL[0] + 2 * FRAME + LINE * LINES + 4
