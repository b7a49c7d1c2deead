"""The figure of a training: loss, learning rate and scores of the evaluations, of one run or several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mmosnet.drawing.figures import TEXT_SIZE, TITLE_SIZE, line_style, new_figure, plain_axes
from mmosnet.drawing.tables import text_table
from mmosnet.errors import DataError
from mmosnet.visualization.training_log import TrainingRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Scores that are drawn where they were logged.
USUAL_SCORES = ('reid/mAP', 'reid/Rank-1', 'attributes/mA', 'attributes/F1', 'accuracy/top1')
# Inches of a panel.
WIDTH, HEIGHT = 4.6, 2.9


def chosen_scores(runs: Sequence[TrainingRun], names: Sequence[str] = ()) -> list[str]:
    """Return the full names of the scores to draw.

    Args:
        runs: Runs that logged them.
        names: Names as logged, ``'reid/mAP'``, or their last part; the usual ones if empty.

    Raises:
        DataError: No run has a score of a name; lists those that there are.
    """
    records = [record for run in runs for record in (*run.val, *run.train)]
    logged = dict.fromkeys(name for record in records for name in record.values)
    known = [name for name in logged if name not in ('time', 'data_time', 'memory')]
    if not names:
        return [name for name in USUAL_SCORES if name in known]
    chosen = []
    for name in names:
        found = [name] if name in known else [full for full in known if full.rpartition('/')[2] == name]
        if not found:
            raise DataError(f'no score {name} in the logs; there are {", ".join(known)}')
        chosen += found
    return list(dict.fromkeys(chosen))


def curve(run: TrainingRun, name: str) -> tuple[list[float], list[float]]:
    """Return epochs (or iterations) and logged values of a name; those of evaluations if both have it."""
    for records in (run.val, run.train):
        found = [(run.epoch_of(record), record.values[name]) for record in records if name in record.values]
        if found:
            places, values = zip(*found, strict=True)
            return list(places), list(values)
    return [], []


def draw_training(runs: Sequence[TrainingRun], scores: Sequence[str]) -> Figure:
    """Draw the figure: one panel for the loss, one for the learning rate, one per score.

    The loss of a single run is drawn with its parts.

    Args:
        runs: One or more.
        scores: Result of :func:`chosen_scores`.
    """
    panels = [name for name in ('loss', 'lr') if any(curve(run, name)[0] for run in runs)]
    panels += [name for name in scores if name not in panels]
    columns = min(2 if len(panels) <= 4 else 3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(WIDTH * columns, HEIGHT * rows + 0.5)
    unit = 'epoch' if all(run.by_epoch for run in runs) else 'iteration'
    for number, name in enumerate(panels):
        axes = figure.add_subplot(rows, columns, number + 1)
        plain_axes(axes, _title(runs, name), unit if number >= len(panels) - columns else '')
        if name == 'loss' and len(runs) == 1:
            _draw_parts(axes, runs[0])
            continue
        for place, run in enumerate(runs):
            _draw_curve(axes, run, name, line_style(place))
    if len(runs) > 1:
        lines = [figure.axes[0].plot([], [], **line_style(place))[0] for place in range(len(runs))]
        figure.legend(
            lines, [run.name for run in runs], loc='outside lower center', ncols=min(3, len(runs)), fontsize=TEXT_SIZE
        )
    figure.suptitle(runs[0].name if len(runs) == 1 else f'{len(runs)} trainings', fontsize=TITLE_SIZE)
    end = max(reached(run) for run in runs)
    for axes in figure.axes:
        axes.set_xlim(0, 1.02 * end)
        axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
    return figure


def reached(run: TrainingRun) -> float:
    """Return the last epoch, or iteration, that a run has logged."""
    return math.ceil(max(run.epoch_of(record) for record in [*run.train, *run.val]))


def _title(runs: Sequence[TrainingRun], name: str) -> str:
    titles = dict(loss='training loss', lr='learning rate')
    if name in titles or len(runs) > 1:
        return titles.get(name, name)
    place, value = best(runs[0], name)
    return f'{name}: best {_text(value)} at {"epoch" if runs[0].by_epoch else "iteration"} {_text(place)}'


def best(run: TrainingRun, name: str) -> tuple[float, float]:
    """Return place and value of a score's maximum; of a loss's minimum."""
    places, values = curve(run, name)
    finite = [(value, place) for place, value in zip(places, values, strict=True) if math.isfinite(value)]
    if not finite:
        return math.nan, math.nan
    # Of equal ones the first.
    value, place = min(finite, key=lambda pair: (pair[0] if 'loss' in name else -pair[0], pair[1]))
    return place, value


def _draw_curve(axes: Axes, run: TrainingRun, name: str, style: dict, **options) -> None:
    places, values = curve(run, name)
    few = len(places) <= 40
    marked: dict[str, Any] = dict(marker='o', markersize=3) if few else {}
    axes.plot(places, values, **style, linewidth=1.6, **marked, **options)
    if name in ('loss', 'lr') or 'loss' in name:
        return
    place, value = best(run, name)
    axes.plot([place], [value], '*', color=style['color'], markersize=11, markeredgecolor='white')


def _draw_parts(axes: Axes, run: TrainingRun) -> None:
    """Draw the loss of one run and its parts."""
    names = dict.fromkeys(name for record in run.train for name in record.values if 'loss' in name)
    parts = [name for name in names if name != 'loss']
    shown = ['loss', *parts] if len(parts) > 1 else ['loss']
    for number, name in enumerate(shown):
        _draw_curve(axes, run, name, line_style(number), label='sum' if name == 'loss' else name)
    if len(shown) > 1:
        axes.legend(fontsize=TEXT_SIZE - 1)
    lowest = min((value for name in shown for value in curve(run, name)[1] if math.isfinite(value)), default=0)
    axes.set_ylim(bottom=0 if lowest >= 0 else None)


def _text(value: float) -> str:
    return f'{value:g}' if value == round(value) else f'{value:.1f}' if value > 1.5 else f'{value:.3f}'


def training_table(runs: Sequence[TrainingRun], scores: Sequence[str]) -> str:
    """A line for the loss of each run and for each of its scores: the best with its place, and the last."""
    unit = 'epochs' if all(run.by_epoch for run in runs) else 'iterations'
    rows = []
    for run in runs:
        names = [name for name in dict.fromkeys(['loss', *scores]) if curve(run, name)[0]]
        for number, name in enumerate(names):
            head = ['', ''] if number else [run.name, f'{reached(run)}']
            place, value = best(run, name)
            rows.append([*head, name, f'{value:.4f}', _text(place), f'{curve(run, name)[1][-1]:.4f}'])
    return text_table(['', unit, 'score', 'best', 'at', 'last'], rows)
