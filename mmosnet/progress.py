"""Progress of long work on standard error. Needs no torch.

A terminal gets a bar of rich's with the rate and the time that remains; without rich, or where standard error is no
terminal, as in a log, a line is written now and then.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from importlib.util import find_spec
from types import TracebackType
from typing import TypeVar

Item = TypeVar('Item')

# Between two lines where there is no bar.
SECONDS = 60.0


class ProgressBar:
    """Shows how much of some work is done, in a ``with`` block.

    Args:
        total: Number of things to do.
        unit: What is counted, as ``'images'``.
        disable: Whether nothing is shown.

    Attributes:
        done: Number of things that are done.
    """

    def __init__(self, total: int, unit: str, disable: bool = False) -> None:
        self.total, self.unit, self.disable = total, unit, disable
        self.done = 0
        self._start = self._said = time.perf_counter()
        self._bar = None
        if not disable and find_spec('rich') is not None:
            self._bar, self._task = _rich_bar(total, unit)

    @property
    def has_bar(self) -> bool:
        """Whether a bar is drawn, in a terminal."""
        return self._bar is not None

    def advance(self, number: int = 1, note: str = '') -> None:
        """Count what was done.

        Args:
            number: How much was done.
            note: What stands behind the numbers from now on; empty for what stood there.
        """
        self.done += number
        if self._bar is not None:
            self._bar.update(self._task, advance=number, **(dict(note=note) if note else {}))
        elif not self.disable and time.perf_counter() - self._said >= SECONDS:
            self._said = time.perf_counter()
            self.say(f'{self.done:,} of {self.total:,} {self.unit}, {self._left()} left')

    def say(self, text: str) -> None:
        """Write a line, unless a bar is drawn."""
        if self._bar is None and not self.disable:
            sys.stderr.write(text + '\n')
            sys.stderr.flush()

    def _left(self) -> str:
        seconds = (self._said - self._start) * (self.total - self.done) / max(1, self.done)
        return time.strftime('%H:%M:%S', time.gmtime(seconds)) if seconds < 86400 else f'{seconds / 86400:.1f} days'

    def __enter__(self) -> ProgressBar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def tracked(items: Iterable[Item], unit: str, total: int | None = None, disable: bool = False) -> Iterator[Item]:
    """Yield items, and show how many were taken.

    Args:
        items: What is to be done.
        unit: What is counted, as ``'images'``.
        total: Number of items; by default their length.
        disable: Whether nothing is shown.
    """
    if total is None:
        total = len(items) if isinstance(items, Sized) else 0
    with ProgressBar(total, unit, disable) as progress:
        for item in items:
            yield item
            progress.advance()


def _rich_bar(total: int, unit: str) -> tuple:
    """Return a bar and its task; None for both where standard error is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        return None, None

    class Rate(ProgressColumn):
        def render(self, task: object) -> Text:
            return Text(f'{task.speed:.1f}/s' if task.speed else '')

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TextColumn('{task.fields[note]}', markup=False))
    bar = Progress(*columns, Rate(), TimeRemainingColumn(), console=console, transient=True)
    return bar, bar.add_task('', total=total, note='')
