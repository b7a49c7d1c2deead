"""What an attribute model says of people: a picture with right, wrong and missed attributes, and a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmosnet.datasets.transforms import read_image
from mmosnet.evaluation.attributes import THRESHOLD
from mmosnet.evaluation.metrics import AttributeRow, ShownAttributes
from mmosnet.visualization.sheet import (
    BLACK,
    GREEN,
    MARK,
    RED,
    TITLE_SIZE,
    blank,
    fitted,
    lengthened,
    mark,
    save,
    text_width,
    write,
)
from mmosnet.visualization.text_table import number_text, text_table

# Height and width of a person, height of a line, width of the text beside the person, gap between people: pixels.
CELL = (160, 80)
LINE = 18
TEXT = 190
GAP = 16
# Height of a line of the title, widths of a score and of a mark in front of a name.
TITLE = 24
SCORE = 34
MARKED = MARK + 6


def draw_attribute_sheet(shown: Sequence[ShownAttributes], columns: int = 4, title: Sequence[str] = ()) -> np.ndarray:
    """Draw people with the attributes that they have or are predicted to have.

    A predicted attribute is green with a tick if the person has it and red with a cross if not. One that is missed is
    red and struck through. Attributes that are rightly not predicted are left out. Where nobody knows, predicted
    attributes are black.

    Args:
        shown: People with scores, and labels perhaps.
        columns: People in a row.
        title: Lines above.

    Returns:
        ``(H, W, 3)`` uint8, BGR.
    """
    cells = [_cell(person) for person in shown]
    columns = min(columns, len(cells))
    cells += [blank(1, cells[0].shape[1])] * (-len(cells) % columns)
    rows = []
    for start in range(0, len(cells), columns):
        row = cells[start : start + columns]
        height = max(cell.shape[0] for cell in row) + GAP
        rows.append(np.hstack([lengthened(cell, height) for cell in row]))
    header = _header(rows[0].shape[1], title, any(person.gt is not None for person in shown))
    # Titles may be wider than a few people.
    rows = [np.hstack([row, blank(row.shape[0], header.shape[1] - row.shape[1])]) for row in rows]
    return np.vstack([header, *rows])


def save_attribute_sheet(
    shown: Sequence[ShownAttributes], path: str | Path, columns: int = 4, title: Sequence[str] = ()
) -> Path:
    """Draw the sheet into an image file.

    Raises:
        OSError: The file cannot be written.
    """
    return save(draw_attribute_sheet(shown, columns, title), path)


def per_attribute_table(rows: Sequence[AttributeRow]) -> str:
    """Lay out the scores of all attributes, one line each; undefined scores are left empty.

    Returns:
        The lines, joined.
    """
    titles = ('positives', 'TPR', 'TNR', 'AP')
    return text_table(
        ('', *titles), [(row.name, *(number_text(getattr(row, title)) for title in titles)) for row in rows]
    )


def _cell(person: ShownAttributes) -> np.ndarray:
    """Draw a person with lines of text on the right: the predicted attributes, then the missed ones."""
    labels = [None] * len(person.names) if person.gt is None else person.gt
    entries = [
        (score, name, score >= THRESHOLD, present)
        for name, present, score in zip(person.names, labels, person.scores, strict=True)
        if present or score >= THRESHOLD
    ]
    # Surest first.
    entries.sort(key=lambda entry: -entry[0])
    text = blank(max(CELL[0], LINE * len(entries) + 4), TEXT)
    if not entries:
        write(text, 'none', 6, LINE - 4)
    for line, (score, name, predicted, present) in enumerate(entries, 1):
        _write_attribute(text[:, :-6], line * LINE - 4, f'{score:.2f}', name, predicted, present)
    picture = fitted(read_image(person.img_path), CELL)
    return np.hstack([lengthened(picture, text.shape[0]), text])


def _write_attribute(
    picture: np.ndarray, bottom: int, score: str, name: str, predicted: bool, present: bool | None
) -> None:
    """Draw mark, score and name in the color for right or wrong; a missed name is struck through."""
    color = BLACK if present is None else GREEN if predicted and present else RED
    left = 6
    if present is not None:
        if predicted:
            mark(picture, present, left, bottom - MARK + 3)
        left += MARKED
    write(picture, score, left, bottom, color)
    left += SCORE
    write(picture, name, left, bottom, color)
    if not predicted:
        right = min(left + text_width(name), picture.shape[1] - 1)
        cv2.line(picture, (left, bottom - 4), (right, bottom - 4), BLACK, 1)


def _header(width: int, title: Sequence[str], with_marks: bool) -> np.ndarray:
    """Draw the title and a legend of the marks."""
    marks = (('predicted, right', True, True), ('predicted, wrong', True, False), ('missed', False, True))
    needed = [6 + text_width(line, TITLE_SIZE) for line in title]
    if with_marks:
        needed.append(sum(MARKED + SCORE + text_width(name) + 40 for name, *_ in marks))
    header = blank(TITLE * len(title) + (LINE + GAP) * with_marks, max([width, *needed]))
    for line, text in enumerate(title, 1):
        write(header, text, 6, TITLE * line - 7, BLACK, TITLE_SIZE)
    left = 0
    for name, predicted, present in marks if with_marks else ():
        _write_attribute(header[:, left:], TITLE * len(title) + LINE - 4, '0.00', name, predicted, present)
        left += MARKED + SCORE + text_width(name) + 40
    return header
