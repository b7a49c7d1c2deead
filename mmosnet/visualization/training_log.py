"""The course of a training, from the logs that it left: losses, learning rate and evaluations, over all resumptions.

mmengine writes a folder named by the time for every start: ``20261123_070447/vis_data/scalars.json``, a record a
line, beside ``20261123_070447.log`` for people.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from mmosnet.errors import DataError

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
