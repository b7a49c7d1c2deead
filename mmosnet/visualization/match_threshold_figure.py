"""The figure of a threshold: distances of genuine and of impostor pairs, and the threshold between them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmosnet.visualization.figure import COLORS, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mmosnet.evaluation.verification import MatchThreshold, MatchThresholds

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
