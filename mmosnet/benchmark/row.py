"""What a benchmark consists of: rows, their cases, and the two sides of a case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmosnet.benchmark.target import Target


class NotMeasured(Exception):
    """A case that cannot be measured here; the message says why."""


class Unequal(Exception):
    """The two sides computed different things; the message says how different."""


@dataclass(frozen=True)
class Settings:
    """What the user asked for.

    Attributes:
        threads: Of PyTorch and the runtimes, in every process.
        repeats: Times that each side is measured; None for each row's own number.
        quick: Small sizes that only show that the code runs.
        folder: Where images are drawn and results of child processes lie.
    """

    threads: int
    repeats: int | None
    quick: bool
    folder: Path


@dataclass(frozen=True)
class Lap:
    """One measured execution.

    Attributes:
        seconds: It took.
        result: What it computed, for the comparison.
        facts: Other things measured, as ``{'peak GiB': 0.3}``.
    """

    seconds: float
    result: object = None
    facts: dict[str, float] = field(default_factory=dict)


@dataclass
class Contest:
    """Both sides of a case, ready to run.

    Attributes:
        ours: Executes ours once.
        peer: Executes the peer's once; None where there is nothing to compare with.
        compare: Takes the results of both, returns a note on how equal they are, or raises :class:`Unequal`.
        limit: Seconds below which this machine cannot do the work; None where that means nothing.
        no_peer: Why there is no peer.
        repeats: Laps of ours.
        peer_repeats: Laps of the peer, as many as ours if None.
        keep_first: The laps whose results are compared count as measurements: for work of many seconds.
    """

    ours: Callable[[], Lap]
    peer: Callable[[], Lap] | None = None
    compare: Callable[[object, object], str] | None = None
    limit: float | None = None
    no_peer: str = ''
    repeats: int = 7
    peer_repeats: int | None = None
    keep_first: bool = False


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        name: What distinguishes it within its row.
        prepare: Builds both sides; may raise :class:`NotMeasured` or :class:`Unequal`.
        target: If it is not the row's.
    """

    name: str
    prepare: Callable[[], Contest]
    target: Target | None = None


@dataclass(frozen=True)
class Row:
    """One kind of work.

    Attributes:
        name: For ``--only``.
        work: What is done, in a line.
        target: Of each case, unless it has its own.
        cases: Lists the cases.
        device: ``'cpu'`` or ``'cuda'``.
    """

    name: str
    work: str
    target: Target
    cases: Callable[[Settings], Sequence[Case]]
    device: str = 'cpu'
