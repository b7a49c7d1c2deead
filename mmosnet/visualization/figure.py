"""What the figures share: canvas without display, colours and lines, files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmosnet.io.files import whole_file

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
