"""Sheets of people as a model sees them: ranked lists of a test, attributes, predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmosnet.datasets.transforms import read_image
from mmosnet.drawing.sheets import (
    BLACK,
    BLUE,
    CAPTION_LINE,
    GREEN,
    LINE,
    MARGIN,
    MARK,
    QUERY_GAP,
    RED,
    TEXT_SIZE,
    TITLE_LINE,
    Line,
    grid,
    mark,
    person_card,
    ranked_rows,
    save_sheet,
    stacked,
    text_width,
    titled,
    write,
)
from mmosnet.evaluation.attributes import THRESHOLD
from mmosnet.io.text_tables import number_text, text_table

if TYPE_CHECKING:
    from mmosnet.evaluation.metrics import AttributeRow, ShownAttributes
    from mmosnet.evaluation.ranking import ShownQuery

# All in pixels. Width of the text beside a person, for attributes and for predictions.
ATTRIBUTE_TEXT, PREDICTION_TEXT = 190, 230
# Between the rows of people with text beside them; between entries of a legend.
ROW_GAP, LEGEND_GAP = 14, 20
RANKED_NOTE = "Below: identity, camera, distance; AP, shown / all images of the query's person"
# Sheets of predictions: cards per row and per sheet, and the beginning of a file's name.
COLUMNS, PER_SHEET, STEM = 4, 32, 'predictions_'


def _camera(camid: int) -> str:
    return f'camera {camid}' if camid >= 0 else ''


def draw_ranked_lists(shown: Sequence[ShownQuery], columns: int = 10, title: Sequence[str] = ()) -> np.ndarray:
    """Draw ranked lists, one row per query.

    Images of the query's person have a green frame with a tick, others a red one with a cross. The text below says
    identity, camera and distance; below the query, its average precision and how many of the gallery's images of the
    person are shown.

    Args:
        shown: Queries with their ranked lists.
        columns: Gallery images per row.
        title: Lines above.

    Returns:
        ``(H, W, 3)`` uint8, BGR.
    """
    rows = []
    for query in shown:
        figures = ''
        if query.ap is not None:
            figures = f'AP {query.ap:.2f}, {sum(match for *_, match in query.gallery[:columns])}/{query.num_matches}'
        lines = [f'id {query.pid}' if query.pid >= 0 else '', _camera(query.camid), figures]
        card = person_card(read_image(query.img_path), list(map(Line, lines)), framed=True, gap=QUERY_GAP)
        camids = query.camids or [-1] * len(query.gallery)
        cards = []
        for (path, pid, distance, match), camid in zip(query.gallery[:columns], camids, strict=False):
            lines = [f'id {pid}', _camera(camid), f'{distance:#.3g}']
            cards.append(person_card(read_image(path), list(map(Line, lines)), framed=True, same=match))
        rows.append((card, cards))
    return ranked_rows(rows, _ranked_head(title), columns)


def _ranked_head(title: Sequence[str]) -> np.ndarray:
    """Draw the title and what the badges mean, and leave room for the names of the columns."""
    legend, left = [], MARGIN
    for right, text in ((True, 'same person'), (False, 'another person')):
        legend.append((right, text, left))
        left += MARK + 6 + text_width(text) + LEGEND_GAP
    head = titled(title, 2 * MARGIN + MARK + CAPTION_LINE + MARGIN, left + text_width(RANKED_NOTE) + MARGIN)
    top = TITLE_LINE * len(title) + MARGIN
    for right, text, start in legend:
        mark(head, right, start, top)
        write(head, text, start + MARK + 6, top + 1 + TEXT_SIZE)
    write(head, RANKED_NOTE, left, top + 1 + TEXT_SIZE)
    return head


def save_ranked_lists(
    shown: Sequence[ShownQuery], path: str | Path, columns: int = 10, title: Sequence[str] = ()
) -> Path:
    """Write the sheet of :func:`draw_ranked_lists` into an image file.

    Raises:
        OSError: The file cannot be written.
    """
    return save_sheet(draw_ranked_lists(shown, columns, title), path)


def draw_attribute_sheet(shown: Sequence[ShownAttributes], columns: int = 4, title: Sequence[str] = ()) -> np.ndarray:
    """Draw people with the attributes that they have or are predicted to have.

    A predicted attribute is green with a tick if the person has it and red with a cross if not. An attribute that is
    missed is red and struck through. True negatives are left out. Where the labels are unknown, predicted attributes
    are black.

    Args:
        shown: One or more people with scores, and with labels if they are known.
        columns: People per row.
        title: Lines above.

    Returns:
        ``(H, W, 3)`` uint8, BGR.
    """
    cards = [_attribute_card(person) for person in shown]
    head = _attribute_head(title, any(person.gt is not None for person in shown))
    return stacked([head, grid(cards, columns, ROW_GAP)])


def _attribute_line(name: str, score: str, predicted: bool, present: bool | None) -> Line:
    return Line(
        name,
        BLACK if present is None else GREEN if predicted and present else RED,
        value=score,
        right=present if predicted else None,
        indented=present is not None,
        struck=not predicted,
    )


def _attribute_card(person: ShownAttributes) -> np.ndarray:
    """Draw a person with predicted and missed attributes, the highest score first."""
    labels = [None] * len(person.names) if person.gt is None else person.gt
    entries = sorted(zip(person.scores, person.names, labels, strict=True), key=lambda entry: -entry[0])
    lines = [
        _attribute_line(name, f'{score:.2f}', score >= THRESHOLD, present)
        for score, name, present in entries
        if present or score >= THRESHOLD
    ]
    return person_card(read_image(person.img_path), lines or [Line('none')], text_beside=ATTRIBUTE_TEXT)


def _attribute_head(title: Sequence[str], with_legend: bool) -> np.ndarray:
    """Draw the title and a legend of colors and badges."""
    entries = (('predicted, right', True, True), ('predicted, wrong', True, False), ('missed', False, True))
    legend = [_attribute_line(name, '0.00', *states) for name, *states in entries] if with_legend else []
    head = titled(title, (LINE + ROW_GAP) * with_legend, sum(line.width + 2 * LEGEND_GAP for line in legend))
    left = MARGIN
    for line in legend:
        line.draw(head, left, head.shape[0] - ROW_GAP - 4)
        left += line.width + 2 * LEGEND_GAP
    return head


def save_attribute_sheet(
    shown: Sequence[ShownAttributes], path: str | Path, columns: int = 4, title: Sequence[str] = ()
) -> Path:
    """Write the sheet of :func:`draw_attribute_sheet` into an image file.

    Raises:
        OSError: The file cannot be written.
    """
    return save_sheet(draw_attribute_sheet(shown, columns, title), path)


def per_attribute_table(rows: Sequence[AttributeRow]) -> str:
    """Lay out the scores of all attributes, one row each. Cells of undefined scores are empty.

    Returns:
        The lines, joined.
    """
    titles = ('positives', 'TPR', 'TNR', 'AP')
    return text_table(
        ('', *titles), [(row.name, *(number_text(getattr(row, title)) for title in titles)) for row in rows]
    )


def predicted_attributes(result: Mapping) -> list[tuple[str, float]]:
    """Return names and scores of the attributes that a person is predicted to have, the highest score first.

    Args:
        result: A result of :class:`~mmosnet.apis.PersonInferencer`.
    """
    predicted = [(name, score) for name, score in result.get('attributes', {}).items() if score >= THRESHOLD]
    return sorted(predicted, key=lambda entry: -entry[1])


class PredictionSheets:
    """Draw predictions as they come, :data:`PER_SHEET` per sheet, into files numbered on from those in the folder.

    mmpretrain's ``UniversalVisualizer`` writes text over the image, for which crops of people are too small, and makes
    one file per image.

    Args:
        folder: Folder of the files; created if it is missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        numbers = [path.stem.removeprefix(STEM) for path in self.folder.glob(f'{STEM}*.jpg')]
        self.number = max((int(number) for number in numbers if number.isdecimal()), default=0)
        self.cards: list[np.ndarray] = []

    def add(self, image: np.ndarray | None, result: Mapping) -> None:
        """Add an image with its category (blue) and its attributes (black).

        Args:
            image: ``(H, W, 3)`` uint8, BGR; None if it could not be read.
            result: Result of :class:`~mmosnet.apis.PersonInferencer` for the image.
        """
        lines = [Line(str(result['img_path'] or 'array').rpartition('/')[2])]
        if 'error' in result:
            lines.append(Line('no image'))
        if 'category' in result:
            lines.append(Line(f'{result["category"]["score"]:.2f} {result["category"]["name"]}', BLUE))
        lines += [Line(f'{score:.2f} {name}') for name, score in predicted_attributes(result)]
        self.cards.append(person_card(image, lines, text_beside=PREDICTION_TEXT))
        if len(self.cards) == PER_SHEET:
            self.finish()

    def finish(self) -> None:
        """Write the last sheet unless it is empty.

        Raises:
            OSError: The file cannot be written.
        """
        if not self.cards:
            return
        self.number += 1
        save_sheet(grid(self.cards, COLUMNS, ROW_GAP), self.folder / f'{STEM}{self.number:05d}.jpg')
        self.cards = []
