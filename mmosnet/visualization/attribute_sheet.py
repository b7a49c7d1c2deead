"""What an attribute model says of people: a picture with right, wrong and missed attributes, and a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmosnet.datasets.person_image import read_image
from mmosnet.evaluation.attribute_metric import AttributeRow, ShownAttributes
from mmosnet.evaluation.attribute_scores import THRESHOLD
from mmosnet.visualization.sheet import BLACK, GREEN, RED, blank, fitted, save, text_width, write

# Height and width of a person, height of a line, width of the text beside the person, gap between people: pixels.
CELL = (160, 80)
LINE = 18
TEXT = 190
GAP = 16
# Width of a score in front of a name.
SCORE = 36


def draw_attribute_sheet(shown: Sequence[ShownAttributes], columns: int = 4) -> np.ndarray:
    """Draw people with the attributes that they have or are predicted to have.

    A predicted attribute is green if the person has it and red with a cross if not. One that is missed is struck
    through. Attributes that are rightly not predicted are left out.

    Args:
        shown: People with scores and labels.
        columns: People in a row.

    Returns:
        ``(H, W, 3)`` uint8, BGR.
    """
    cells = [_cell(person) for person in shown]
    cells += [blank(1, cells[0].shape[1])] * (-len(cells) % columns)
    rows = []
    for start in range(0, len(cells), columns):
        row = cells[start : start + columns]
        height = max(cell.shape[0] for cell in row) + GAP
        rows.append(np.hstack([_lengthened(cell, height) for cell in row]))
    return np.vstack([_legend(rows[0].shape[1]), *rows])


def save_attribute_sheet(shown: Sequence[ShownAttributes], path: str | Path, columns: int = 4) -> Path:
    """Draw the sheet into an image file.

    Raises:
        OSError: The file cannot be written.
    """
    return save(draw_attribute_sheet(shown, columns), path)


def per_attribute_table(rows: Sequence[AttributeRow]) -> str:
    """Lay out the scores of all attributes, a line each; what is not defined is left empty.

    Returns:
        The lines, joined.
    """
    width = max(len(row.name) for row in rows)
    titles = ('positives', 'TPR', 'TNR', 'AP')
    lines = [f'{"":{width}s}' + ''.join(f' | {title:>9s}' for title in titles)]
    lines.append('-' * width + '-+----------' * len(titles))
    for row in rows:
        values = (getattr(row, title) for title in titles)
        cells = (f' | {"" if value is None else f"{value:.4f}":>9s}' for value in values)
        lines.append(f'{row.name:{width}s}' + ''.join(cells))
    return '\n'.join(lines)


def _cell(person: ShownAttributes) -> np.ndarray:
    """A person, and lines of text on the right: the predicted attributes, then the missed ones."""
    entries = [
        (score, name, score >= THRESHOLD, present)
        for name, present, score in zip(person.names, person.gt, person.scores, strict=True)
        if present or score >= THRESHOLD
    ]
    # Surest first.
    entries.sort(key=lambda entry: -entry[0])
    text = blank(max(CELL[0], LINE * len(entries) + 4), TEXT)
    if not entries:
        write(text, 'none', 6, LINE - 4)
    for line, (score, name, predicted, present) in enumerate(entries, 1):
        _write_attribute(text, line * LINE - 4, f'{score:.2f}', name, predicted, present)
    picture = fitted(read_image(person.img_path), CELL)
    return np.hstack([_lengthened(picture, text.shape[0]), text])


def _write_attribute(picture: np.ndarray, bottom: int, score: str, name: str, predicted: bool, present: bool) -> None:
    """Score and name in the colour of right or wrong, a missed name struck through, a wrong one behind a cross."""
    color = GREEN if predicted and present else RED
    write(picture, score, 6, bottom, color)
    left = 6 + SCORE
    if not present:
        cv2.line(picture, (left, bottom - 7), (left + 7, bottom), RED, 1, cv2.LINE_AA)
        cv2.line(picture, (left, bottom), (left + 7, bottom - 7), RED, 1, cv2.LINE_AA)
        left += 12
    write(picture, name, left, bottom, color)
    if not predicted:
        right = min(left + text_width(name), picture.shape[1] - 4)
        cv2.line(picture, (left, bottom - 4), (right, bottom - 4), BLACK, 1)


def _legend(width: int) -> np.ndarray:
    """What the marks mean, in the marks themselves."""
    header = blank(LINE + GAP, width)
    left = 6
    for name, predicted, present in (
        ('predicted, right', True, True),
        ('predicted, wrong', True, False),
        ('missed', False, True),
    ):
        part = header[:, left:]
        _write_attribute(part, LINE - 4, '0.00', name, predicted, present)
        left += SCORE + text_width(name) + 40
    return header


def _lengthened(picture: np.ndarray, height: int) -> np.ndarray:
    return np.vstack([picture, blank(height - picture.shape[0], picture.shape[1])])
