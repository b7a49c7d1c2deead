"""The figures of verification: true match rate by false match rate (ROC), or the DET curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmosnet.visualization.figure import TEXT_SIZE, line_style, new_figure, plain_axes
from mmosnet.visualization.text_table import number_text, text_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    """A line a curve: the share of pairs of one person that pass, and the threshold, at each false match rate."""
    rates = list(dict.fromkeys(rate for curve in curves for rate in curve.points))
    rows = []
    for curve in curves:
        values = [curve.AUC, curve.EER]
        values += [curve.points.get(rate, {}).get(key) for key in ('tpr', 'distance') for rate in rates]
        rows.append([curve.name, *map(number_text, values)])
    titles = [f'{title}@{rate}' for title in ('TPR', 'distance') for rate in rates]
    return text_table(['', 'AUC', 'EER', *titles], rows)
