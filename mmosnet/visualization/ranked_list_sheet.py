"""A picture of ranked lists: one query a row, its first gallery images framed green (right) or red (wrong)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmosnet.datasets.person_image import read_image
from mmosnet.evaluation.reid_metric import ShownQuery
from mmosnet.visualization.sheet import BLUE, GREEN, RED, blank, save, write

# Height and width of a person, thickness of the frame, height of the caption, gap behind the query: pixels.
CELL = (160, 80)
FRAME = 4
CAPTION = 22
GAP = 16


def draw_ranked_lists(shown: Sequence[ShownQuery], columns: int = 10) -> np.ndarray:
    """Draw the sheet.

    Args:
        shown: Queries with their ranked lists.
        columns: Gallery images a row.

    Returns:
        ``(H, W, 3)`` uint8, BGR.
    """
    header = _caption('query', GAP + (columns + 1) * (CELL[1] + 2 * FRAME))
    for column in range(columns):
        left = (column + 1) * (CELL[1] + 2 * FRAME) + GAP
        write(header, f'rank {column + 1}', left + 4, CAPTION - 7)
    rows = [header]
    for query in shown:
        cells = [_cell(query.img_path, f'id {query.pid}', BLUE), _blank(GAP)]
        for path, pid, distance, match in query.gallery[:columns]:
            cells.append(_cell(path, f'{distance:.3g}  id {pid}', GREEN if match else RED))
        cells += [_blank(CELL[1] + 2 * FRAME)] * (columns - len(query.gallery))
        rows.append(np.hstack(cells))
    return np.vstack(rows)


def save_ranked_lists(shown: Sequence[ShownQuery], path: str | Path, columns: int = 10) -> Path:
    """Draw the sheet into an image file.

    Raises:
        OSError: The file cannot be written.
    """
    return save(draw_ranked_lists(shown, columns), path)


def _cell(path: str, text: str, color: tuple[int, int, int]) -> np.ndarray:
    image = cv2.resize(read_image(path), CELL[::-1], interpolation=cv2.INTER_AREA)
    framed = cv2.copyMakeBorder(image, FRAME, FRAME, FRAME, FRAME, cv2.BORDER_CONSTANT, value=color)
    return np.vstack([framed, _caption(text, framed.shape[1])])


def _blank(width: int) -> np.ndarray:
    return blank(CELL[0] + 2 * FRAME + CAPTION, width)


def _caption(text: str, width: int) -> np.ndarray:
    strip = blank(CAPTION, width)
    write(strip, text, 4, CAPTION - 7)
    return strip
