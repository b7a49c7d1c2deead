"""Figures of results, drawn without a display: CMC, ROC and DET curves, thresholds, confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmosnet.errors import DataError
from mmosnet.io.files import whole_file
from mmosnet.io.text_tables import number_text, text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mmosnet.evaluation.verification import MatchThreshold, MatchThresholds

DOTS_PER_INCH = 110
#: Okabe and Ito's colors, which differ for every color vision; without yellow, which is pale on white.
COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#000000')
GENUINE, IMPOSTOR = COLORS[:2]
# Curves differ in their lines, too.
DASHES = ('-', '--', '-.', ':')
# Font sizes in points.
TEXT_SIZE, TITLE_SIZE, CELL_TEXT_SIZE = 9, 10, 8
GRID_COLOR = '#e0e0e0'
# Ranks in the table of CMC curves.
LISTED_RANKS = (1, 5, 10, 20)
# Corners of a ROC curve that are kept: more than a figure has columns of pixels.
MOST_CORNERS = 2000
# Categories that one confusion matrix can show readably, and those up to which cells have room for counts.
MOST_CATEGORIES = 30
MOST_WITH_COUNTS = 16
# Sizes of a confusion matrix in inches: side of a cell in a small and in a large matrix, width of the names, height of
# title and names, and least width, which the title needs.
LARGE_CELL, SMALL_CELL, NAMES, TITLE = 0.58, 0.36, 2.2, 1.0
MIN_WIDTH = 6.5
# Letters of a category's name.
NAME_LENGTH = 24


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure that is drawn into files and needs no display.

    Args:
        width: Width in inches.
        height: Height in inches.
    """
    # Imported on use: matplotlib takes a third of a second, and every training imports this module.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Draw a figure into an image file, in the format that its suffix names; create its folder."""
    path = Path(path)
    with whole_file(path) as draft:
        figure.savefig(draft)
    return path


def line_style(number: int) -> dict[str, Any]:
    """Return color and dashes of curve ``number``, as arguments of ``Axes.plot``. The first 28 differ."""
    # Seven colors and four dashes have no common divisor: both change from curve to curve.
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


@dataclass(frozen=True)
class CmcCurve:
    """A curve of cumulative matching characteristics.

    Attributes:
        name: Name of the model.
        data: Name of the test data.
        mAP: Mean average precision.
        mINP: Mean inverse negative penalty.
        cmc: Shares of queries whose first match has rank k or better, for k = 1, 2, ...
    """

    name: str
    data: str
    mAP: float
    mINP: float
    cmc: list[float]


def draw_cmc(curves: Sequence[CmcCurve]) -> Figure:
    """Draw CMC curves: the share of queries with a match among the first k images.

    Args:
        curves: One or more curves. Shorter curves end earlier.
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
    # The axis begins at 0: a cut axis makes small differences look large, and figures could not be compared.
    axes.set_ylim(0, 1.005)
    axes.set_xlim(0.5, longest + 0.5)
    # Ticks at 1 and at round ranks.
    step = max(1, 5 * round(longest / 20))
    axes.set_xticks([1, *range(step, longest + 1, step)] if step > 1 else range(1, longest + 1))
    axes.legend(loc='lower right', fontsize=TEXT_SIZE)
    return figure


def cmc_table(curves: Sequence[CmcCurve]) -> str:
    """Lay out one row per curve: mAP, Rank-k and mINP."""
    ranks = [k for k in LISTED_RANKS if k <= max(len(curve.cmc) for curve in curves)]
    rows = []
    for curve in curves:
        values = [curve.mAP, *(curve.cmc[k - 1] if k <= len(curve.cmc) else None for k in ranks), curve.mINP]
        rows.append([curve.name, *map(number_text, values)])
    return text_table(['', 'mAP', *(f'Rank-{k}' for k in ranks), 'mINP'], rows)


@dataclass(frozen=True)
class RocCurve:
    """A curve of verification: true match rate over false match rate.

    Attributes:
        name: Name of the model.
        data: Name of the test data.
        distance: ``'euclidean'`` or ``'cosine'``.
        num_positives: Number of pairs of one person.
        num_negatives: Number of pairs of two people.
        AUC: Area under the curve.
        EER: Equal error rate.
        points: By false match rate as text (``'1e-2'``): ``tpr``, and the ``distance`` below which two images count as
            one person.
        fpr: False match rates at the curve's corners, ascending.
        tpr: True match rates at the curve's corners.
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
    """Return about :data:`MOST_CORNERS` corners of a curve: as many as a logarithmic axis can show.

    Args:
        fpr: False match rates, ascending from 0 to 1.
        tpr: True match rates, ascending from 0 to 1.
    """
    if len(fpr) <= MOST_CORNERS:
        return fpr, tpr
    positive = fpr[fpr > 0]
    bounds = np.geomspace(positive[0], 1, MOST_CORNERS // 2)
    # Both ends of the step at each bound: between them the curve only rises straight up or is flat.
    last = np.searchsorted(fpr, bounds, side='right') - 1
    first = np.searchsorted(fpr, fpr[last], side='left')
    kept = np.unique(np.concatenate([[0], first, last, [len(fpr) - 1]]))
    return fpr[kept], tpr[kept]


def draw_roc(curves: Sequence[RocCurve], det: bool = False) -> Figure:
    """Draw ROC or DET curves, with points at the false match rates of the table.

    Args:
        curves: One or more curves.
        det: Draw the share of pairs of one person that are missed, on a logarithmic axis, instead of the share that
            passes.
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
    # The least that can be missed is one pair.
    bottom = max(1e-6, min(1 / curve.num_positives for curve in curves))
    for number, curve in enumerate(curves):
        style = line_style(number)
        fpr, tpr = np.array(curve.fpr), np.array(curve.tpr)
        rate = (lambda share: np.maximum(1 - share, bottom / 2)) if det else np.asarray
        label = f'{curve.name}: AUC {curve.AUC:.4f}, EER {curve.EER:.3f}'
        # 0 has no logarithm: a false match rate of 0 is drawn at the left edge.
        axes.plot(np.maximum(fpr, left), rate(tpr), label=label, linewidth=1.8, **style)
        rates = np.array([float(text) for text in curve.points])
        shares = rate(np.array([point['tpr'] for point in curve.points.values()]))
        measured = rates >= left
        axes.plot(rates[measured], shares[measured], 'o', color=style['color'], markersize=5, markeredgecolor='white')
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
    """Lay out one row per curve: AUC, EER, and true match rate and threshold at each false match rate."""
    rates = list(dict.fromkeys(rate for curve in curves for rate in curve.points))
    rows = []
    for curve in curves:
        values = [curve.AUC, curve.EER]
        values += [curve.points.get(rate, {}).get(key) for key in ('tpr', 'distance') for rate in rates]
        rows.append([curve.name, *map(number_text, values)])
    titles = [f'{title}@{rate}' for title in ('TPR', 'distance') for rate in rates]
    return text_table(['', 'AUC', 'EER', *titles], rows)


def draw_match_threshold(thresholds: MatchThresholds, fmr: float, distance: str) -> Figure:
    """Draw distances of pairs: two distributions and, below, the shares of pairs up to each distance on a log scale.

    Args:
        thresholds: Thresholds and histograms.
        fmr: False match rate whose threshold is marked, one of those in ``thresholds``.
        distance: ``'cosine'`` or ``'euclidean'``, for the axis.
    """
    figure = new_figure(7.5, 5.4)
    marked = thresholds.at(fmr)
    figure.suptitle(_threshold_title(thresholds, marked), fontsize=TITLE_SIZE)
    shares, rates = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    distributions = (
        (f'one person ({thresholds.genuine:,} pairs)', thresholds.genuine_histogram, GENUINE),
        (f'two people ({thresholds.impostor:,} pairs)', thresholds.impostor_histogram, IMPOSTOR),
    )
    # Only from the nearest pair to the farthest, and a little more.
    filled = np.flatnonzero(thresholds.genuine_histogram + thresholds.impostor_histogram)
    first, last = max(0, filled[0] - 2), min(len(thresholds.edges) - 1, filled[-1] + 3)
    edges = thresholds.edges[first : last + 1]
    for label, histogram, color in distributions:
        shares.stairs(100 * histogram[first:last], edges, fill=True, alpha=0.45, color=color, label=label)
        rates.plot(edges[1:], histogram.cumsum()[first:last], color=color)
    for axes in (shares, rates):
        if marked.distance is not None:
            axes.axvline(marked.distance, color='black', linewidth=1, linestyle='--')
        axes.spines[['top', 'right']].set_visible(False)
    # Both axes begin at 0: distances and shares have a zero.
    shares.set_xlim(left=0)
    shares.set_ylim(bottom=0)
    shares.set_ylabel('per cent of the pairs', fontsize=TEXT_SIZE)
    shares.legend(fontsize=TEXT_SIZE, frameon=False)
    rates.set_yscale('log')
    rates.set_ylim(min(1e-4, fmr) / 2, 1.5)
    rates.axhline(fmr, color=IMPOSTOR, linewidth=0.8, linestyle=':')
    rates.set_ylabel('share of the pairs\nup to the distance', fontsize=TEXT_SIZE)
    rates.set_xlabel(f'{distance} distance', fontsize=TEXT_SIZE)
    return figure


def _threshold_title(thresholds: MatchThresholds, marked: MatchThreshold) -> str:
    limit = 'No distance' if marked.distance is None else f'Up to a distance of {marked.distance:.4f}'
    return (
        f'{limit}: {marked.tmr:.1%} of the pairs of one person are recognized,\n'
        f'{marked.fmr:.2g} of the pairs of two people are taken for one ({thresholds.people:,} people)'
    )


def most_confused_pairs(confusion: np.ndarray) -> np.ndarray:
    """Return the pairs of confused categories, the most frequent first.

    Args:
        confusion: ``(C, C)`` counts.

    Returns:
        ``(P, 2)`` indices of categories.
    """
    both = np.triu(confusion + confusion.T, 1)
    first, second = np.nonzero(both)
    order = np.argsort(-both[first, second], kind='stable')
    return np.stack([first, second], 1)[order]


def most_confused(confusion: np.ndarray, number: int) -> np.ndarray:
    """Return the categories of the largest confusions, pair by pair in descending order.

    Args:
        confusion: ``(C, C)`` counts.
        number: Number of categories, at most C.

    Returns:
        ``(number,)`` indices. Confusions of a pair count in both directions; equal pairs come in the order of their
        categories, and categories without any confusion last.
    """
    chosen = dict.fromkeys(most_confused_pairs(confusion).ravel().tolist())
    chosen |= dict.fromkeys(range(len(confusion)))
    return np.array(list(chosen)[:number])


def _confusion_title(confusion: np.ndarray, shown: int, data: str) -> str:
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
        # Legible on the dark end of the color map.
        color = 'white' if share > 0.45 else 'black' if row == column else '#a03020'
        axes.text(column, row, text, ha='center', va='center', fontsize=CELL_TEXT_SIZE - (not with_counts), color=color)
    # Lines between the cells.
    axes.set_xticks(np.arange(counts.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(counts.shape[0] + 1) - 0.5, minor=True)
    axes.grid(which='minor', color=GRID_COLOR, linewidth=0.5)
    axes.tick_params(which='both', length=0)


def _short(name: str) -> str:
    """Return a name that fits beside the matrix: the first of ImageNet's synonyms, cut if needed."""
    name = str(name).split(',')[0]
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 3] + '...'


def draw_confusion_matrix(confusion: np.ndarray, classes: Sequence[str], data: str = '') -> Figure:
    """Draw a confusion matrix: percentages of each row, with counts below them where there is room.

    If there are more than 30 categories, it shows the 30 with the largest confusions, those confused with each other
    side by side; the last column counts predictions of all other categories. mmpretrain's ``ConfusionMatrix.plot``
    colors cells by counts, so that frequent categories hide the others, and is illegible from some 30 categories on.

    Args:
        confusion: ``(C, C)`` numbers of samples, one row per true category, one column per predicted one.
        classes: Names of the C categories.
        data: Name of the data set in the title.

    Raises:
        DataError: The names do not fit the matrix in number.
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
        columns = [*rows, 'others']
    cell = LARGE_CELL if len(rows) <= MOST_WITH_COUNTS else SMALL_CELL
    figure = new_figure(max(MIN_WIDTH, NAMES + cell * len(columns)), TITLE + NAMES / 2 + cell * len(rows))
    figure.suptitle(_confusion_title(confusion, len(shown), data), fontsize=TITLE_SIZE)
    axes = figure.add_subplot()
    _draw_cells(axes, counts, totals, with_counts=cell == LARGE_CELL)
    axes.set_xticks(
        range(len(columns)), columns, rotation=45, ha='right', rotation_mode='anchor', fontsize=CELL_TEXT_SIZE
    )
    axes.set_yticks(range(len(rows)), rows, fontsize=CELL_TEXT_SIZE)
    if len(columns) > len(rows):
        axes.axvline(len(rows) - 0.5, color='black', linewidth=1)
    axes.set_xlabel('predicted', fontsize=TEXT_SIZE)
    axes.set_ylabel('true', fontsize=TEXT_SIZE)
    return figure


def save_confusion_matrix(confusion: np.ndarray, classes: Sequence[str], path: str | Path, data: str = '') -> Path:
    """Draw the figure of :func:`draw_confusion_matrix` into an image file, whose suffix names the format."""
    return save_figure(draw_confusion_matrix(confusion, classes, data), path)
