"""The figure of cumulative matching characteristics: how many queries have a match among the first k images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmosnet.visualization.figure import TEXT_SIZE, line_style, new_figure, plain_axes
from mmosnet.visualization.text_table import number_text, text_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    """A line a curve."""
    ranks = [k for k in TOLD_RANKS if k <= max(len(curve.cmc) for curve in curves)]
    rows = []
    for curve in curves:
        values = [curve.mAP, *(curve.cmc[k - 1] if k <= len(curve.cmc) else None for k in ranks), curve.mINP]
        rows.append([curve.name, *map(number_text, values)])
    return text_table(['', 'mAP', *(f'Rank-{k}' for k in ranks), 'mINP'], rows)
