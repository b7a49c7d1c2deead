"""Progress of an extraction: a bar in a terminal, one line per shard in a log."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from types import TracebackType


class ExtractionProgress:
    """Shows progress on stderr, and counts. rich draws the bar, where it is installed.

    Args:
        total: People of this process.
        shards: Number of shards of the whole extraction.

    Attributes:
        done: People of this run.
        before: People of shards that were there already.
        seconds: Since the start.
    """

    def __init__(self, total: int, shards: int) -> None:
        self.total, self.shards = total, shards
        self.done = self.before = 0
        self._start = time.perf_counter()
        self._end: float | None = None
        self._bar = None
        if find_spec('rich') is not None:
            self._bar, self._task = _bar(total, shards)

    @property
    def seconds(self) -> float:
        """Seconds from the start to the end, or until now."""
        return (self._end or time.perf_counter()) - self._start

    @property
    def rate(self) -> float:
        """People per second in this run."""
        return self.done / self.seconds

    def advance(self, number: int, was_there: bool = False) -> None:
        """Count people."""
        if was_there:
            self.before += number
        else:
            self.done += number
        if self._bar is not None:
            self._bar.update(self._task, advance=number)

    def written(self, shard: int) -> None:
        """Report a finished shard, counted from 0."""
        if self._bar is not None:
            self._bar.update(self._task, shard=shard + 1)
        self.say(
            f'shard {shard + 1} of {self.shards} written, {self.done + self.before} of {self.total} people, '
            f'{self.rate:.1f} a second'
        )

    def stop(self) -> None:
        """Record the end time of this process."""
        self._end = time.perf_counter()

    def say(self, text: str) -> None:
        """Log a line, unless a terminal shows the progress bar."""
        if self._bar is None or not self._bar.console.is_terminal:
            print(text, file=sys.stderr, flush=True)

    def __enter__(self) -> ExtractionProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _bar(total: int, shards: int) -> tuple:
    """Return a progress bar and its task; without a terminal it draws nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f'people, {{task.fields[shard]}} of {shards} shards'),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    return bar, bar.add_task('', total=total, shard=0)
