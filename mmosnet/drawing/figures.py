"""Figures of results.

What the figures share: canvas without display, colours and lines, files.

The figure of cumulative matching characteristics: how many queries have a match among the first k images.

The figures of verification: true match rate by false match rate (ROC), or the DET curve.

The figure of a threshold: distances of genuine and of impostor pairs, and the threshold between them.

The figure of a confusion matrix: how often each category is predicted as each other one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmosnet.io.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmosnet.drawing.tables import number_text, text_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mmosnet.evaluation.verification import MatchThreshold, MatchThresholds
from typing import TYPE_CHECKING

from mmosnet.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110
#: Okabe and Ito's colours, told apart by people of every colour vision, without yellow, which is pale on white.
COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#000000')
# Curves differ in their lines too.
DASHES = ('-', '--', '-.', ':')
# Points.
TEXT_SIZE, TITLE_SIZE = 9, 10
GRID_COLOR = '#e0e0e0'


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure that draws into files, whatever display there is.

    Args:
        width: Inches.
        height: Inches.
    """
    # Only now: matplotlib takes a third of a second, and comes with modules that every run imports.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Draw a figure into an image file of the kind that its suffix names; create its folder."""
    path = Path(path)
    with whole_file(path) as draft:
        figure.savefig(draft)
    return path


def line_style(number: int) -> dict[str, Any]:
    """Return color and dashes of the curve with a number, as arguments of ``Axes.plot``; 28 differ."""
    # Seven colours and four dashes share no divisor: both change from curve to curve.
    return dict(color=COLORS[number % len(COLORS)], linestyle=DASHES[number % len(DASHES)])


def plain_axes(axes: Axes, title: str = '', xlabel: str = '', ylabel: str = '') -> None:
    """Set up axes with a pale grid, without the upper and right side of the frame."""
    axes.set_title(title, fontsize=TITLE_SIZE)
    axes.set_xlabel(xlabel, fontsize=TEXT_SIZE)
    axes.set_ylabel(ylabel, fontsize=TEXT_SIZE)
    axes.tick_params(labelsize=TEXT_SIZE)
    axes.grid(color=GRID_COLOR, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)


# Ranks that the legend and the table give.
TOLD_RANKS = (1, 5, 10, 20)


@dataclass(frozen=True)
class CmcCurve:
    """One curve.

    Attributes:
        name: Name of the model.
        data: Name of the test data.
        mAP: Mean average precision.
        mINP: Mean inverse negative penalty.
        cmc: Share of queries whose first match has rank k or better, for k = 1, 2, ...
    """

    name: str
    data: str
    mAP: float
    mINP: float
    cmc: list[float]


def draw_cmc(curves: Sequence[CmcCurve]) -> Figure:
    """Draw the figure.

    Args:
        curves: One or more; shorter ones end earlier.
    """
    figure = new_figure(7.2, 4.6)
    axes = figure.add_subplot()
    data = dict.fromkeys(curve.data for curve in curves)
    plain_axes(axes, f'CMC: share of queries with a match among the first k\n{"; ".join(data)}', 'rank k', 'share')
    longest = max(len(curve.cmc) for curve in curves)
    for number, curve in enumerate(curves):
        style = line_style(number) | (dict(marker='o', markersize=3.5) if longest <= 50 else {})
        axes.plot(
            range(1, len(curve.cmc) + 1),
            curve.cmc,
            label=f'{curve.name}: Rank-1 {curve.cmc[0]:.3f}, mAP {curve.mAP:.3f}',
            linewidth=1.8,
            **style,
        )
    # From 0 on: a cut axis makes small differences look large, and pictures of two models could not be compared.
    axes.set_ylim(0, 1.005)
    axes.set_xlim(0.5, longest + 0.5)
    # From 1 on, and at round ranks.
    step = max(1, 5 * round(longest / 20))
    axes.set_xticks([1, *range(step, longest + 1, step)] if step > 1 else range(1, longest + 1))
    axes.legend(loc='lower right', fontsize=TEXT_SIZE)
    return figure


def cmc_table(curves: Sequence[CmcCurve]) -> str:
    """Lay out the curves, one line each."""
    ranks = [k for k in TOLD_RANKS if k <= max(len(curve.cmc) for curve in curves)]
    rows = []
    for curve in curves:
        values = [curve.mAP, *(curve.cmc[k - 1] if k <= len(curve.cmc) else None for k in ranks), curve.mINP]
        rows.append([curve.name, *map(number_text, values)])
    return text_table(['', 'mAP', *(f'Rank-{k}' for k in ranks), 'mINP'], rows)


# Corners of a curve that are kept: more than a figure has columns.
MOST_CORNERS = 2000


@dataclass(frozen=True)
class RocCurve:
    """One curve.

    Attributes:
        name: Name of the model.
        data: Name of the test data.
        distance: ``'euclidean'`` or ``'cosine'``.
        num_positives: Pairs of one person.
        num_negatives: Pairs of two people.
        AUC: Area under the curve.
        EER: Equal error rate.
        points: For each false match rate, as text (``'1e-2'``), ``tpr`` and the ``distance`` below which two images
            are taken for one person.
        fpr: False match rate at the curve's corners, ascending.
        tpr: True match rate there.
    """

    name: str
    data: str
    distance: str
    num_positives: int
    num_negatives: int
    AUC: float
    EER: float
    points: dict[str, dict[str, float]]
    fpr: list[float]
    tpr: list[float]


def thinned(fpr: np.ndarray, tpr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return at most :data:`MOST_CORNERS` corners of a curve, as close on a log axis as the picture can show.

    Args:
        fpr: Ascending from 0 to 1.
        tpr: Ascending from 0 to 1.
    """
    if len(fpr) <= MOST_CORNERS:
        return fpr, tpr
    positive = fpr[fpr > 0]
    bounds = np.geomspace(positive[0], 1, MOST_CORNERS // 2)
    # Both ends of each step up to a bound: all that lies between them is a straight rise or a flat.
    last = np.searchsorted(fpr, bounds, side='right') - 1
    first = np.searchsorted(fpr, fpr[last], side='left')
    kept = np.unique(np.concatenate([[0], first, last, [len(fpr) - 1]]))
    return fpr[kept], tpr[kept]


def draw_roc(curves: Sequence[RocCurve], det: bool = False) -> Figure:
    """Draw the figure, with points at the rates of the table.

    Args:
        curves: One or more.
        det: Draw the pairs of one person that are missed, on a logarithmic axis, instead of those that pass.
    """
    figure = new_figure(7.2, 4.9)
    axes = figure.add_subplot()
    data = dict.fromkeys(
        f'{curve.data}: {curve.num_positives:,} pairs of one person, {curve.num_negatives:,} of two' for curve in curves
    )
    what = 'DET: pairs of one person that are missed' if det else 'ROC: pairs of one person that pass'
    plain_axes(
        axes,
        f'{what} for pairs of two that pass\n' + '\n'.join(data),
        'false match rate: share of pairs of two people that pass',
        'false non-match rate' if det else 'true match rate',
    )
    left = max(1e-7, min(1 / curve.num_negatives for curve in curves))
    # One pair of one person is the least that can be missed.
    bottom = max(1e-6, min(1 / curve.num_positives for curve in curves))
    for number, curve in enumerate(curves):
        style = line_style(number)
        fpr, tpr = np.array(curve.fpr), np.array(curve.tpr)
        rate = (lambda share: np.maximum(1 - share, bottom / 2)) if det else np.asarray
        label = f'{curve.name}: AUC {curve.AUC:.4f}, EER {curve.EER:.3f}'
        # No logarithm of 0: what passes no stranger at all stands at the left edge.
        axes.plot(np.maximum(fpr, left), rate(tpr), label=label, linewidth=1.8, **style)
        rates = np.array([float(text) for text in curve.points])
        shares = rate(np.array([point['tpr'] for point in curve.points.values()]))
        shown = rates >= left
        axes.plot(rates[shown], shares[shown], 'o', color=style['color'], markersize=5, markeredgecolor='white')
    axes.set_xscale('log')
    axes.set_xlim(left, 1)
    if det:
        axes.set_yscale('log')
        axes.set_ylim(bottom, 1)
    else:
        axes.set_ylim(0, 1.005)
    axes.legend(loc='lower left' if det else 'lower right', fontsize=TEXT_SIZE)
    return figure


def roc_table(curves: Sequence[RocCurve]) -> str:
    """Lay out one line per curve: the share of genuine pairs that pass, and the threshold, at each rate."""
    rates = list(dict.fromkeys(rate for curve in curves for rate in curve.points))
    rows = []
    for curve in curves:
        values = [curve.AUC, curve.EER]
        values += [curve.points.get(rate, {}).get(key) for key in ('tpr', 'distance') for rate in rates]
        rows.append([curve.name, *map(number_text, values)])
    titles = [f'{title}@{rate}' for title in ('TPR', 'distance') for rate in rates]
    return text_table(['', 'AUC', 'EER', *titles], rows)


SIZE = (7.5, 5.4)
GENUINE, IMPOSTOR = COLORS[:2]


def save_match_threshold(found: MatchThresholds, wanted: float, distance: str, path: str | Path) -> Path:
    """Draw the figure into an image file.

    Args:
        found: Thresholds and histograms.
        wanted: The false-match rate whose threshold is marked, one of those in ``found``.
        distance: ``'cosine'`` or ``'euclidean'``, for the axis.
        path: The file; its suffix says which kind.
    """
    return save_figure(draw_match_threshold(found, wanted, distance), path)


def draw_match_threshold(found: MatchThresholds, wanted: float, distance: str) -> Figure:
    """Draw the two distributions and, below, the shares of pairs up to each distance on a log scale.

    Args:
        found: Same as in :func:`save_match_threshold`.
        wanted: Same as in :func:`save_match_threshold`.
        distance: Same as in :func:`save_match_threshold`.
    """
    figure = new_figure(*SIZE)
    figure.suptitle(_title(found, found.at(wanted)), fontsize=10)
    shares, rates = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    kinds = (
        (f'one person ({found.genuine:,} pairs)', found.genuine_histogram, GENUINE),
        (f'two people ({found.impostor:,} pairs)', found.impostor_histogram, IMPOSTOR),
    )
    # From the nearest pair to the farthest, in at most so many steps that the eye tells apart.
    filled = np.flatnonzero(found.genuine_histogram + found.impostor_histogram)
    first, last = max(0, filled[0] - 2), min(len(found.edges) - 1, filled[-1] + 3)
    for label, histogram, colour in kinds:
        edges = found.edges[first : last + 1]
        shares.stairs(100 * histogram[first:last], edges, fill=True, alpha=0.45, color=colour, label=label)
        rates.plot(found.edges[1:][first:last], histogram.cumsum()[first:last], color=colour)
    for axes in (shares, rates):
        if found.at(wanted).distance is not None:
            axes.axvline(found.at(wanted).distance, color='black', linewidth=1, linestyle='--')
        axes.spines[['top', 'right']].set_visible(False)
    # Both axes from 0 on: distances and shares have a zero.
    shares.set_xlim(left=0)
    shares.set_ylim(bottom=0)
    shares.set_ylabel('per cent of the pairs', fontsize=9)
    shares.legend(fontsize=9, frameon=False)
    rates.set_yscale('log')
    rates.set_ylim(min(1e-4, wanted) / 2, 1.5)
    rates.axhline(wanted, color=IMPOSTOR, linewidth=0.8, linestyle=':')
    rates.set_ylabel('share of the pairs\nup to the distance', fontsize=9)
    rates.set_xlabel(f'{distance} distance', fontsize=9)
    return figure


def _title(found: MatchThresholds, threshold: MatchThreshold) -> str:
    place = 'No distance' if threshold.distance is None else f'Up to a distance of {threshold.distance:.4f}'
    return (
        f'{place}: {threshold.tmr:.1%} of the pairs of one person are recognised,\n'
        f'{threshold.fmr:.2g} of the pairs of two people are taken for one ({found.people:,} people)'
    )


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
    figure.suptitle(_confusion_matrix_figure_title(confusion, len(shown), data), fontsize=TITLE_SIZE)
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


def _confusion_matrix_figure_title(confusion: np.ndarray, shown: int, data: str) -> str:
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
