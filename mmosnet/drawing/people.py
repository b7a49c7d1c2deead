"""Sheets of people: ranked lists, attributes, predictions, matches.

What an attribute model says of people: a picture with right, wrong and missed attributes, and a table.

A picture of ranked lists: one query per row, its first gallery images framed green (right) or red (wrong).

Pictures of predictions: images, each with its category and attributes beside.

A picture of searches: a query per row, the images found beside it, framed by whether they show the same person.

:mod:`mmosnet.drawing.people` draws the results of a test, where it is known who is who.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mmosnet.datasets.transforms import read_image
from mmosnet.drawing.sheets import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    MARK,
    RED,
    TEXT_SIZE,
    TITLE_SIZE,
    blank,
    fitted,
    lengthened,
    mark,
    save,
    text_width,
    write,
)
from mmosnet.evaluation.attributes import THRESHOLD
from mmosnet.evaluation.metrics import AttributeRow, ShownAttributes
from mmosnet.evaluation.ranking import ShownQuery
from mmosnet.io.text_tables import number_text, text_table

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


FRAME = 4
CAPTION = 15
RANKED_LIST_SHEET_GAP = 32
# Below each image: identity, camera, and a distance or the query's figures.
LINES = 3
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
    header = _ranked_list_sheet_header(RANKED_LIST_SHEET_GAP + (columns + 1) * cell_width, title)
    for column in range(columns + 1):
        left = column * cell_width + (RANKED_LIST_SHEET_GAP if column else 0)
        write(header, f'rank {column}' if column else 'query', left + MARGIN, header.shape[0] - 5)
    rows = [header]
    for query in shown:
        lines = [f'id {query.pid}' if query.pid >= 0 else '', _camera(query.camid), _found(query, columns)]
        cells = [_ranked_list_sheet_cell(query.img_path, lines, None, RANKED_LIST_SHEET_GAP)]
        camids = query.camids or [-1] * len(query.gallery)
        cells += [
            _ranked_list_sheet_cell(path, [f'id {pid}', _camera(camid), f'{distance:#.3g}'], match)
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


def _ranked_list_sheet_cell(path: str, lines: Sequence[str], match: bool | None, gap: int = 0) -> np.ndarray:
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


def _ranked_list_sheet_header(width: int, title: Sequence[str]) -> np.ndarray:
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


PREDICTION_SHEET_TEXT = 230
PREDICTION_SHEET_GAP = 12
COLUMNS = 4
PER_SHEET = 32
STEM = 'predictions_'


def told_attributes(result: Mapping) -> list[tuple[str, float]]:
    """Return the attributes that a person is predicted to have, surest first, with their scores."""
    told = [(name, score) for name, score in result.get('attributes', {}).items() if score >= THRESHOLD]
    return sorted(told, key=lambda entry: -entry[1])


class PredictionSheets:
    """Draws results as they come, 32 on a sheet, into files numbered on from those in the folder.

    mmpretrain's ``UniversalVisualizer`` writes over the image, which a person's crop is too small for, and a file an
    image.

    Args:
        folder: Made if it is missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        numbers = [path.stem.removeprefix(STEM) for path in self.folder.glob(f'{STEM}*.jpg')]
        self.number = max((int(number) for number in numbers if number.isdecimal()), default=0)
        self.cells: list[np.ndarray] = []

    def add(self, image: np.ndarray | None, result: Mapping) -> None:
        """Add an image ``(H, W, 3)``, BGR, with an entry of :class:`~mmosnet.apis.PersonInferencer`'s results.

        The category is blue, attributes are black.

        Args:
            image: Image; None if it could not be read.
            result: Prediction for the image.
        """
        lines = [(str(result['img_path'] or 'array').rpartition('/')[2], BLACK)]
        if 'error' in result:
            lines.append(('no image', BLACK))
        if 'category' in result:
            lines.append((f'{result["category"]["score"]:.2f} {result["category"]["name"]}', BLUE))
        lines += [(f'{score:.2f} {name}', BLACK) for name, score in told_attributes(result)]
        text = blank(max(CELL[0], LINE * len(lines) + 4), PREDICTION_SHEET_TEXT)
        for number, (line, color) in enumerate(lines, 1):
            write(text[:, :-6], line, 6, LINE * number - 4, color)
        picture = blank(*CELL, GREY) if image is None else fitted(image, CELL)
        self.cells.append(np.hstack([lengthened(picture, text.shape[0]), text]))
        if len(self.cells) == PER_SHEET:
            self.finish()

    def finish(self) -> None:
        """Write the last sheet, if it holds anything.

        Raises:
            OSError: The file cannot be written.
        """
        if not self.cells:
            return
        rows = []
        for start in range(0, len(self.cells), COLUMNS):
            row = self.cells[start : start + COLUMNS]
            row += [blank(1, row[0].shape[1])] * (min(COLUMNS, len(self.cells)) - len(row))
            height = max(cell.shape[0] for cell in row) + PREDICTION_SHEET_GAP
            rows.append(np.hstack([lengthened(cell, height) for cell in row]))
        self.number += 1
        save(np.vstack(rows), self.folder / f'{STEM}{self.number:05d}.jpg')
        self.cells = []


MATCH_SHEET_LINES = 4
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
        row = np.hstack([_match_sheet_cell(query), blank(_height(), GAP), *map(_match_sheet_cell, matches)])
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


def _match_sheet_cell(shown: ShownImage) -> np.ndarray:
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
    text = blank(LINE * MATCH_SHEET_LINES + 4, framed.shape[1])
    for number, line in enumerate(shown.lines, 1):
        write(text[:, :-2], line, 2, LINE * number - 4)
    return np.vstack([framed, text])


def _height() -> int:
    return CELL[0] + 2 * FRAME + LINE * MATCH_SHEET_LINES + 4
