"""The figure of a confusion matrix: how often each category is predicted as each other one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmosnet.errors import DataError
from mmosnet.visualization.figure import TITLE_SIZE, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Categories that one figure can show readably.
MOST_CATEGORIES = 30
# With no more than these, cells are large enough for the count too.
MOST_WITH_COUNTS = 16
# Inches: side of a cell in a small and in a large matrix, width of the names, height of title and names.
LARGE_CELL, SMALL_CELL, NAMES, TITLE = 0.58, 0.36, 2.2, 1.0
# Inches; the title needs them where categories are few.
MIN_WIDTH = 6.5
NAME_LENGTH = 24
OTHERS = 'others'


def save_confusion_matrix(confusion: np.ndarray, classes: Sequence[str], path: str | Path, data: str = '') -> Path:
    """Draw the figure into an image file.

    Args:
        confusion: ``(C, C)`` numbers of samples, a row each true category, a column each predicted one.
        classes: Names of the C categories.
        path: The file; its suffix says which kind.
        data: Name of the data set in the title.

    Raises:
        DataError: Names and matrix differ in number.
    """
    return save_figure(draw_confusion_matrix(confusion, classes, data), path)


def draw_confusion_matrix(confusion: np.ndarray, classes: Sequence[str], data: str = '') -> Figure:
    """Draw the figure: percentages of each row, with counts below them where there is room.

    Of more than 30 categories it shows the 30 with the largest confusions, those confused with each other side by
    side; what is predicted besides is in the last column. mmpretrain's ``ConfusionMatrix.plot`` colours by counts, so
    that frequent categories hide the others, and is illegible from some 30 categories on.

    Args:
        confusion: Same as in :func:`save_confusion_matrix`.
        classes: Same as in :func:`save_confusion_matrix`.
        data: Same as in :func:`save_confusion_matrix`.
    """
    confusion = np.asarray(confusion)
    if confusion.shape != (len(classes), len(classes)):
        raise DataError(f'a confusion matrix of shape {confusion.shape} does not fit {len(classes)} names')
    shown = np.arange(len(classes))
    if len(classes) > MOST_CATEGORIES:
        shown = most_confused(confusion, MOST_CATEGORIES)
    counts = confusion[np.ix_(shown, shown)]
    columns = rows = [_short(classes[int(i)]) for i in shown]
    totals = confusion[shown].sum(1)
    if len(shown) < len(classes):
        counts = np.hstack([counts, (totals - counts.sum(1))[:, None]])
        columns = [*rows, OTHERS]
    cell = LARGE_CELL if len(rows) <= MOST_WITH_COUNTS else SMALL_CELL
    figure = new_figure(max(MIN_WIDTH, NAMES + cell * len(columns)), TITLE + NAMES / 2 + cell * len(rows))
    figure.suptitle(_title(confusion, len(shown), data), fontsize=TITLE_SIZE)
    axes = figure.add_subplot()
    _draw_cells(axes, counts, totals, with_counts=cell == LARGE_CELL)
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha='right', rotation_mode='anchor', fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    if len(columns) > len(rows):
        axes.axvline(len(rows) - 0.5, color='black', linewidth=1)
    axes.set_xlabel('predicted', fontsize=9)
    axes.set_ylabel('true', fontsize=9)
    return figure


def most_confused(confusion: np.ndarray, number: int) -> np.ndarray:
    """Return the categories of the largest confusions, pair by pair in descending order.

    Args:
        confusion: ``(C, C)`` counts.
        number: Number of categories, at most C.

    Returns:
        ``(number,)`` indices. A pair counts what is taken for each other in both directions; equal pairs come in the
        order of their categories, and categories without any confusion last.
    """
    chosen = dict.fromkeys(most_confused_pairs(confusion).ravel().tolist())
    chosen |= dict.fromkeys(range(len(confusion)))
    return np.array(list(chosen)[:number])


def most_confused_pairs(confusion: np.ndarray) -> np.ndarray:
    """Return the pairs of confused categories, the most frequent first, ``(number, 2)``.

    Args:
        confusion: ``(C, C)`` counts.
    """
    both = np.triu(confusion + confusion.T, 1)
    first, second = np.nonzero(both)
    order = np.argsort(-both[first, second], kind='stable')
    return np.stack([first, second], 1)[order]


def _title(confusion: np.ndarray, shown: int, data: str) -> str:
    number, right = int(confusion.sum()), int(np.trace(confusion))
    share = f'{right / number:.1%}' if number else 'none'
    title = f'{data}: ' if data else ''
    title += f'{share} of {number:,} images right. Cells: per cent of the images of a true category'
    if shown < len(confusion):
        title += f'\nThe {shown} of {len(confusion):,} categories with the largest confusions'
    return title


def _draw_cells(axes: Axes, counts: np.ndarray, totals: np.ndarray, with_counts: bool) -> None:
    # A category without images has an empty row.
    shares = counts / np.maximum(totals, 1)[:, None]
    axes.imshow(shares, cmap='Blues', vmin=0, vmax=1, aspect='auto')
    for row, column in zip(*np.nonzero(counts), strict=True):
        share = shares[row, column]
        text = f'{100 * share:.0f}' if share >= 0.005 else '<1'
        if with_counts:
            text += f'\n({counts[row, column]:,})'
        # Legible on the dark end of the colour map.
        colour = 'white' if share > 0.45 else 'black' if row == column else '#a03020'
        axes.text(column, row, text, ha='center', va='center', fontsize=8 if with_counts else 7, color=colour)
    # Lines between the cells.
    axes.set_xticks(np.arange(counts.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(counts.shape[0] + 1) - 0.5, minor=True)
    axes.grid(which='minor', color='#e0e0e0', linewidth=0.5)
    axes.tick_params(which='both', length=0)


def _short(name: str) -> str:
    """Return a name that fits beside the matrix: the first of ImageNet's synonyms, cut if needed."""
    name = str(name).split(',')[0]
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 3] + '...'
