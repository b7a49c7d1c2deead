"""The figure of gate weights: for each stage the mean over the images, and how each image departs from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmosnet.drawing.figures import TEXT_SIZE, TITLE_SIZE, new_figure, save_figure
from mmosnet.visualization.gate_weights import GateWeights

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches: height of an image's row, of the bars, of titles and margins; width of a picture and of a stream's column.
ROW, BARS, MARGINS = 0.9, 1.6, 1.5
PICTURE, COLUMN = 0.9, 0.85
TITLE = (
    'Mean weight that the aggregation gates give to each stream, named by its receptive field in pixels of the stage\n'
    'Contrast: how differently the streams are weighed. Cells: one image and its departure from the mean, red above it'
)
# Inches; the title needs them where streams are few.
MIN_WIDTH = 7.5
# Departures from the mean that get full colour at least: smaller ones stay pale.
SMALLEST_RANGE = 0.01


def draw_gate_weights(weights: GateWeights, images: Sequence[np.ndarray]) -> Figure:
    """Draw the figure.

    Above, bars: the mean weight of each stream over the images, and the contrast. Below, one row per image: its weight,
    and under it in per cent how far it departs from that mean; red above it, blue below.

    Args:
        weights: Gate weights of I images.
        images: The I images, ``(H, W, 3)`` uint8, BGR.
    """
    by_stage = weights.by_stage
    num_images, num_stages, num_streams = by_stage.shape
    figure = new_figure(
        max(MIN_WIDTH, PICTURE + COLUMN * num_stages * num_streams + 0.8), MARGINS + BARS + ROW * num_images
    )
    figure.suptitle(TITLE, fontsize=TITLE_SIZE)
    grid = figure.add_gridspec(
        1 + num_images,
        1 + num_stages,
        height_ratios=[BARS] + [ROW] * num_images,
        width_ratios=[PICTURE] + [COLUMN * num_streams] * num_stages,
    )
    for row, image in enumerate(images):
        picture = figure.add_subplot(grid[1 + row, 0])
        picture.imshow(image[:, :, ::-1])
        picture.axis('off')
    mean = by_stage.mean(0)
    departures = by_stage / mean - 1
    reach = max(SMALLEST_RANGE, np.abs(departures).max())
    for stage, name in enumerate(weights.stages):
        bars = figure.add_subplot(grid[0, 1 + stage])
        title = f'{name}: mean\ncontrast {weights.mean_contrast[stage]:.3f}'
        _draw_bars(bars, title, mean[stage], weights.streams, top=1.2 * mean.max())
        _draw_cells(
            figure.add_subplot(grid[1:, 1 + stage]), by_stage[:, stage], departures[:, stage], weights.streams, reach
        )
    return figure


def save_gate_weights(weights: GateWeights, images: Sequence[np.ndarray], path: str | Path) -> Path:
    """Draw the figure into an image file."""
    return save_figure(draw_gate_weights(weights, images), path)


def _draw_bars(axes: Axes, title: str, mean: np.ndarray, streams: Sequence[str], top: float) -> None:
    bars = axes.bar(range(len(streams)), mean, width=0.6, color='#0072b2')
    axes.bar_label(bars, fmt='%.3f', padding=2, fontsize=TEXT_SIZE)
    axes.set_title(title, fontsize=TITLE_SIZE)
    axes.set_xticks(range(len(streams)), streams)
    axes.set_xlim(-0.5, len(streams) - 0.5)
    axes.set_ylim(0, top)
    axes.set_yticks([])
    axes.spines[['top', 'left', 'right']].set_visible(False)


def _draw_cells(axes: Axes, weights: np.ndarray, departures: np.ndarray, streams: Sequence[str], reach: float) -> None:
    axes.imshow(departures, cmap='RdBu_r', vmin=-reach, vmax=reach, aspect='auto')
    for row in range(len(weights)):
        for column in range(len(streams)):
            departure = departures[row, column]
            axes.text(
                column,
                row,
                f'{weights[row, column]:.3f}\n{_percent(departure)}',
                ha='center',
                va='center',
                fontsize=TEXT_SIZE,
                # Legible on the dark ends of the colour map.
                color='white' if abs(departure) > 0.6 * reach else 'black',
            )
    axes.set_xticks(range(len(streams)), streams)
    axes.set_yticks([])


def _percent(departure: float) -> str:
    text = f'{departure:+.1%}'
    return text[1:] if text[1:] == '0.0%' else text
