"""Curves of a training.

The course of a training, from the logs that it left: losses, learning rate and evaluations, over all resumptions.

mmengine writes a folder named by the time for every start: ``20261123_070447/vis_data/scalars.json``, a record a
line, beside ``20261123_070447.log`` for people.

The figure of a training: loss, learning rate and scores of the evaluations, of one run or several.

From work directories to the curves of their trainings: a picture, numbers and a table.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmosnet.drawing.figures import TEXT_SIZE, TITLE_SIZE, line_style, new_figure, plain_axes
from mmosnet.drawing.tables import text_table
from mmosnet.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
from mmosnet.drawing.figures import save_figure
from mmosnet.visualization.results import write_table

# "Epoch(train)  [2][ 50/106]  lr: 1.4908e-03  eta: 0:32:18  loss: 6.5932", "Iter(train) [ 50/1000]  lr: ...",
# "Epoch(val) [5][5/5]    reid/mAP: 0.5186  reid/Rank-1: 0.6250".
LOG_LINE = re.compile(r'(?:Epoch|Iter)\((train|val)\)\s+(?:\[\s*(\d+)\])?\[\s*(\d+)/\s*(\d+)\]\s+(.*)')
LOG_VALUE = re.compile(r'(\S+): (\S+)(?:\s|$)')
# Of a record, but no curve.
PLACES = ('epoch', 'iter', 'step')


@dataclass(frozen=True)
class Record:
    """What was logged at one time.

    Attributes:
        epoch: 1-based; None of a training by iterations.
        iteration: Training iterations before it; None of an evaluation that says its epoch.
        values: Numbers by name; some may not be finite.
    """

    epoch: int | None
    iteration: int | None
    values: dict[str, float]

    @property
    def place(self) -> int:
        """Epoch, or the iteration where there is no epoch."""
        return self.iteration if self.epoch is None else self.epoch


@dataclass
class TrainingRun:
    """A training over all its resumptions.

    Attributes:
        name: Name of the work directory.
        train: Records of the training, in order.
        val: Records of the evaluations, in order.
        notes: Remarks on the logs for the reader.
    """

    name: str
    train: list[Record] = field(default_factory=list)
    val: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def by_epoch(self) -> bool:
        """Whether the run counts epochs."""
        return any(record.epoch is not None for record in self.train or self.val)

    def epoch_of(self, record: Record) -> float:
        """Return a record's place on the axis: epochs, with fractions, or iterations."""
        if record.iteration is None or not self.by_epoch:
            return record.place
        # The length of an epoch is not logged; this is the shortest that no record contradicts.
        length = math.ceil(max(other.iteration / other.epoch for other in self.train))
        return record.iteration / length


def read_run(path: str | Path) -> TrainingRun:
    """Read the log of a training.

    Args:
        path: Work directory, a folder of one of its starts, or a ``scalars.json`` or ``.log`` file.

    Raises:
        FileNotFoundError: No such folder, or no log in it; says what was looked for.
        DataError: A log is damaged before its last line, or tells nothing of a training.
    """
    path = Path(path)
    run = TrainingRun((path.parent if path.is_file() else path.resolve()).name)
    for file in _log_files(path):
        _append(run, file)
    if not run.train and not run.val:
        raise DataError(f'{path}: nothing was logged yet of training or evaluation')
    bad = [record for record in run.train if not all(map(math.isfinite, record.values.values()))]
    if bad:
        run.notes.append(f'{len(bad)} records hold numbers that are not finite, the first at {bad[0].place}: gaps')
    return run


def _log_files(path: Path) -> list[Path]:
    """Return the logs of all starts, the first one first; the machine-readable file where there is one."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f'no folder or log {path}')
    starts = [path] if (path / 'vis_data').is_dir() else sorted(p for p in path.iterdir() if p.is_dir())
    files = [file for start in starts if (file := _log_file(start)) is not None]
    if files:
        return files
    below = sorted({str(p.parents[2]) for p in path.glob('*/*/vis_data/scalars.json')})
    advice = f'; there are some of {", ".join(below[:4])}' if below else '; `mmosnet train` writes them'
    raise FileNotFoundError(f'{path} holds no log of a training (TIME/vis_data/scalars.json or TIME/TIME.log){advice}')


def _log_file(start: Path) -> Path | None:
    scalars = start / 'vis_data' / 'scalars.json'
    if scalars.is_file():
        return scalars
    return next(iter(sorted(start.glob('*.log'))), None)


def _append(run: TrainingRun, file: Path) -> None:
    """Add the log of one start; it replaces what that start trained or evaluated again."""
    train, val = _read_log(file, run) if file.suffix == '.log' else _read_scalars(file, run)
    if train:
        first = train[0].place
        # Resumed where the first epoch here begins. A training by iterations evaluates before it logs the next.
        kept = [record for record in run.train if record.place < first], [r for r in run.val if r.place < first]
        dropped = len(run.train) + len(run.val) - sum(map(len, kept))
        if dropped:
            run.notes.append(f'{dropped} earlier records from {first} on are left out: {file} trained that again')
        run.train, run.val = kept
    again = {record.place for record in val}
    run.val = [record for record in run.val if record.place not in again] + val
    run.train += train


def _read_scalars(file: Path, run: TrainingRun) -> tuple[list[Record], list[Record]]:
    """Read the records of a ``scalars.json``."""
    lines = file.read_text(errors='replace').splitlines()
    train, val = [], []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            values = {k: float(v) for k, v in entry.items() if k not in PLACES and isinstance(v, (int, float))}
        except (ValueError, AttributeError, RecursionError) as e:
            if number < len(lines):
                raise DataError(f'{file}, line {number} is no record: {line[:60]!r}') from e
            run.notes.append(f'{file}: its last line is damaged and left out: {line[:60]!r}')
            continue
        if 'iter' in entry:
            train.append(Record(entry.get('epoch'), entry['iter'], values))
        else:
            val.append((entry['step'], values))
    by_epoch = any(record.epoch is not None for record in train or run.train) or not (train or run.train)
    return train, [Record(step if by_epoch else None, None if by_epoch else step, values) for step, values in val]


def _read_log(file: Path, run: TrainingRun) -> tuple[list[Record], list[Record]]:
    """Read the records of a ``.log``, whose numbers are rounded."""
    train, val, iteration = [], [], 0
    for line in file.read_text(errors='replace').splitlines():
        match = LOG_LINE.search(line)
        if match is None:
            continue
        split, epoch, done, number = match[1], int(match[2]) if match[2] else None, int(match[3]), int(match[4])
        values = {name: value for name, text in LOG_VALUE.findall(match[5]) if (value := _number(text)) is not None}
        if split == 'train':
            iteration = done if epoch is None else (epoch - 1) * number + done
            train.append(Record(epoch, iteration, values))
        elif set(values) - {'time', 'data_time', 'memory'}:
            # Evaluations by epochs name them, others follow the iteration.
            val.append(Record(epoch, None if epoch is not None else iteration, values))
    if train or val:
        run.notes.append(f'{file}: rounded as for people; there is no scalars.json beside')
    return train, val


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        # A time, as of "eta".
        return None


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
    """Lay out a line per run for the loss and each score: the best with its place, and the last."""
    unit = 'epochs' if all(run.by_epoch for run in runs) else 'iterations'
    rows = []
    for run in runs:
        names = [name for name in dict.fromkeys(['loss', *scores]) if curve(run, name)[0]]
        for number, name in enumerate(names):
            head = ['', ''] if number else [run.name, f'{reached(run)}']
            place, value = best(run, name)
            rows.append([*head, name, f'{value:.4f}', _text(place), f'{curve(run, name)[1][-1]:.4f}'])
    return text_table(['', unit, 'score', 'best', 'at', 'last'], rows)


HEADER = ('run', 'split', 'epoch', 'iteration', 'name', 'value')


def visualize_training(
    paths: Sequence[str], out_dir: Path, metrics: Sequence[str] = (), names: Sequence[str] = ()
) -> list[str]:
    """Draw ``training.png`` and write all that was logged to ``training.csv``.

    Args:
        paths: Work directories, or logs.
        out_dir: Gets the files.
        metrics: Names of scores; the usual ones if empty.
        names: Names of the runs; those of the folders by default.

    Returns:
        Lines that tell what was found and where it is.

    Raises:
        FileNotFoundError: No such folder, or no log in it.
        DataError: A damaged log, a score that nobody logged, or another number of names.
    """
    runs = [read_run(path) for path in paths]
    if names and len(names) != len(runs):
        raise DataError(f'--names gives {len(names)} names to {len(runs)} runs')
    found = [run.name for run in runs]
    for run, path, name in zip(runs, paths, names or found, strict=True):
        run.name = name if names or found.count(name) == 1 else str(path)
    scores = chosen_scores(runs, metrics)
    figure = save_figure(draw_training(runs, scores), out_dir / 'training.png')
    table = write_table(out_dir / 'training.csv', HEADER, (row for run in runs for row in _rows(run)))
    notes = [f'note: {run.name}: {note}' for run in runs for note in run.notes]
    return [*training_table(runs, scores).splitlines(), '', *notes, f'picture  {figure}', f'numbers  {table}']


def _rows(run: TrainingRun):
    for split, records in (('train', run.train), ('val', run.val)):
        for record in records:
            for name, value in record.values.items():
                yield run.name, split, record.epoch, record.iteration, name, value
