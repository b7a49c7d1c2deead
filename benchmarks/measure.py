"""Measurements: rows and cases, comparison of both results, timing in turn, and judgment against targets."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import geometric_mean, median

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmosnet.errors import user_line


class NotMeasured(Exception):
    """A case that cannot be measured here; the message says why."""


class Unequal(Exception):
    """The two sides computed different things; the message says how different."""


@dataclass(frozen=True)
class Settings:
    """Settings of a run.

    Attributes:
        threads: Number of threads of PyTorch and the runtimes, in every process.
        repeats: Number of laps per side; None for each row's own number.
        quick: Small sizes that only show that the code runs.
        folder: Folder for drawn images and results of child processes.
    """

    threads: int
    repeats: int | None
    quick: bool
    folder: Path


@dataclass(frozen=True)
class Lap:
    """One measured execution.

    Attributes:
        seconds: Time of the lap.
        result: Result, for the comparison.
        facts: Other measured numbers, such as ``{'peak GiB': 0.3}``.
    """

    seconds: float
    result: object = None
    facts: dict[str, float] = field(default_factory=dict)


@dataclass
class Contest:
    """Both sides of a case, ready to run.

    Attributes:
        ours: Runs our side once.
        peer: Runs the peer's side once; None without a peer.
        compare: Function of both results that returns a note on how equal they are, or raises :class:`Unequal`.
        limit: Least seconds that this machine needs for the work; None if that has no meaning.
        no_peer: Why there is no peer.
        repeats: Number of our laps.
        peer_repeats: Number of the peer's laps; by default as many as ours.
        keep_first: Whether the laps whose results are compared count as measurements, for work of many seconds.
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
        name: Name within its row.
        prepare: Builds both sides; may raise :class:`NotMeasured` or :class:`Unequal`.
        target: Target, if it differs from the row's.
    """

    name: str
    prepare: Callable[[], Contest]
    target: Target | None = None


@dataclass(frozen=True)
class Row:
    """A row of the table: cases of one type of work.

    Attributes:
        name: Name for ``--only``.
        work: Description of the work in one line.
        target: Target of each case that has none of its own.
        cases: Function that returns the cases.
        device: ``'cpu'`` or ``'cuda'``.
    """

    name: str
    work: str
    target: Target
    cases: Callable[[Settings], Sequence[Case]]
    device: str = 'cpu'


@dataclass(frozen=True)
class Target:
    """Target of a case, or of all cases of a row.

    Attributes:
        ratio: Least ratio of the peer's time to ours, in every case.
        mean_ratio: Least geometric mean of a row's ratios.
        seconds: Largest time of ours in seconds.
        at_most: Upper bounds on facts, such as ``{'peak GiB': 0.5}``.
    """

    ratio: float | None = None
    mean_ratio: float | None = None
    seconds: float | None = None
    at_most: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = []
        if self.ratio is not None:
            parts.append(f'>= {self.ratio:g}x')
        if self.seconds is not None:
            parts.append(f'< {self.seconds:g} s')
        parts += [f'{name} < {bound:g}' for name, bound in self.at_most.items()]
        return ', '.join(parts)

    def reached(self, ratio: float | None, seconds: float, facts: Mapping[str, float]) -> bool | None:
        """Return whether a case reached the target; None without a target, or if nothing of it was measured.

        Args:
            ratio: Ratio of the case; None without a peer.
            seconds: Our time.
            facts: Facts of the case.
        """
        answers = []
        if self.ratio is not None and ratio is not None:
            # To the digits that the table shows.
            answers.append(round(ratio, 2) >= self.ratio)
        if self.seconds is not None:
            answers.append(seconds < self.seconds)
        answers += [facts[name] < bound for name, bound in self.at_most.items() if name in facts]
        demands = (self.ratio is not None) + (self.seconds is not None) + len(self.at_most)
        if not all(answers):
            return False
        return True if answers and len(answers) == demands else None


# A lap of short work repeats it until so many seconds have passed.
LEAST_SECONDS = 0.3


class Repeated:
    """Laps of short work. The first lap runs it once, and sets how often the others repeat it.

    Args:
        work: Function that does the work and returns its result.
        device: Device of the work. Laps wait for a GPU at both ends, hence launches count.
        least_seconds: Least time of a lap in seconds; by default :data:`LEAST_SECONDS`.
        clock: Function that returns the time in seconds.
    """

    def __init__(
        self,
        work: Callable[[], object],
        device: str = 'cpu',
        least_seconds: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.work = work
        self.device = device
        self.least_seconds = LEAST_SECONDS if least_seconds is None else least_seconds
        self.clock = clock
        self.times: int | None = None

    def __call__(self) -> Lap:
        if self.times is None:
            # Once as a warm-up (a compilation may happen here), once to see how long it takes.
            first = self._lap(1)
            self.times = max(1, math.ceil(self.least_seconds / max(self._lap(1).seconds, 1e-9)))
            return first
        return self._lap(self.times)

    def _lap(self, times: int) -> Lap:
        self._wait()
        start = self.clock()
        for _ in range(times):
            result = self.work()
        self._wait()
        return Lap((self.clock() - start) / times, result)

    def _wait(self) -> None:
        if self.device == 'cuda':
            torch.cuda.synchronize()


def alternate(
    ours: Callable[[], Lap], peer: Callable[[], Lap] | None, repeats: int, peer_repeats: int
) -> tuple[list[Lap], list[Lap]]:
    """Execute both sides in turn: ours, the peer, ours, the peer, ... so that both see the same state of the machine.

    Args:
        ours: Our side.
        peer: The peer's side; None without a peer.
        repeats: Number of our laps.
        peer_repeats: Number of the peer's laps.

    Returns:
        The laps of both.
    """
    our_laps, peer_laps = [], []
    for turn in range(max(repeats, peer_repeats if peer else 0)):
        if turn < repeats:
            our_laps.append(ours())
        if peer is not None and turn < peer_repeats:
            peer_laps.append(peer())
    return our_laps, peer_laps


MEASURED, NOT_MEASURED, ERROR = 'measured', 'not measured', 'error'


@dataclass
class Measurement:
    """Result of one case.

    Attributes:
        row: Name of the row.
        case: Name of the case.
        status: ``'measured'``, ``'not measured'`` (nothing is wrong, but it cannot be done here) or ``'error'``.
        reason: Why it was not measured, what went wrong, or why there is no peer.
        equality: How equal the results were.
        ours: Seconds of each of our laps.
        peer: Seconds of each of the peer's laps.
        facts: Other measured numbers: the largest of our laps.
        limit: Least seconds that the machine needs.
        target: The target in words.
        reached: Whether the target is reached; None without a target, or if it could not be decided.
    """

    row: str
    case: str
    status: str = MEASURED
    reason: str = ''
    equality: str = ''
    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    limit: float | None = None
    target: str = ''
    reached: bool | None = None

    @property
    def ratios(self) -> list[float]:
        """The peer's seconds over ours, lap by lap, for the laps that both have."""
        return [peer / ours for ours, peer in zip(self.ours, self.peer, strict=False)]

    @property
    def ratio(self) -> float | None:
        """Median of :attr:`ratios`; None without a peer."""
        return median(self.ratios) if self.peer else None

    @property
    def limit_share(self) -> float | None:
        """Least time that the machine needs, as a share of our time."""
        return None if self.limit is None or not self.ours else self.limit / median(self.ours)

    def as_json(self) -> dict:
        """Return all fields and derived numbers."""
        derived = dict(
            ours_median=median(self.ours) if self.ours else None,
            peer_median=median(self.peer) if self.peer else None,
            ratio=self.ratio,
            ratio_min=min(self.ratios, default=None),
            ratio_max=max(self.ratios, default=None),
            limit_share=self.limit_share,
        )
        return asdict(self) | derived

    @classmethod
    def from_json(cls, content: dict) -> Measurement:
        """Return the measurement of :meth:`as_json`."""
        return cls(**{name: content[name] for name in cls.__dataclass_fields__})


def measure(row: Row, case: Case, settings: Settings, say: Callable[[str], None]) -> Measurement:
    """Compare both sides of a case, then time them. An error is part of the result, and the run continues.

    Args:
        row: Row of the case.
        case: Case to measure.
        settings: Settings of the run.
        say: Function that prints a line of progress.
    """
    target = case.target or row.target
    measurement = Measurement(row.name, case.name, target=str(target))
    say(f'{row.name}: {case.name}')
    try:
        contest = case.prepare()
        _race(contest, measurement, settings)
    except NotMeasured as e:
        measurement.status, measurement.reason = NOT_MEASURED, str(e)
    except Unequal as e:
        measurement.status, measurement.reason = ERROR, f'results differ, not timed: {e}'
    except Exception as e:
        # One of many measurements, some hours of them: the others go on.
        fault = user_line(e)
        measurement.status, measurement.reason = ERROR, (fault or f'{type(e).__name__}: {e}').splitlines()[0]
        if fault is None:
            say(traceback.format_exc())
    else:
        measurement.reached = _judge(target, measurement, settings)
    say(f'{row.name}: {case.name}: {outcome(measurement)}')
    return measurement


def _race(contest: Contest, measurement: Measurement, settings: Settings) -> None:
    measurement.reason, measurement.limit = contest.no_peer, contest.limit
    first = contest.ours()
    first_peer = None if contest.peer is None else contest.peer()
    if first_peer is not None and contest.compare is not None:
        measurement.equality = contest.compare(first.result, first_peer.result)
    repeats = settings.repeats or contest.repeats
    peer_repeats = min(repeats, contest.peer_repeats or repeats)
    kept = int(contest.keep_first)
    laps, peer_laps = alternate(contest.ours, contest.peer, repeats - kept, peer_repeats - kept)
    if contest.keep_first:
        laps = [first, *laps]
        peer_laps = [] if first_peer is None else [first_peer, *peer_laps]
    measurement.ours = [lap.seconds for lap in laps]
    measurement.peer = [lap.seconds for lap in peer_laps]
    for prefix, side in (('', laps), ('peer ', peer_laps)):
        for name in {name: None for lap in side for name in lap.facts}:
            measurement.facts[prefix + name] = max(lap.facts[name] for lap in side if name in lap.facts)


def _judge(target: Target, measurement: Measurement, settings: Settings) -> bool | None:
    # Small sizes show nothing about the published ones.
    if settings.quick:
        return None
    return target.reached(measurement.ratio, median(measurement.ours), measurement.facts)


def outcome(measurement: Measurement) -> str:
    """Return a measurement in a few words."""
    if measurement.status != MEASURED:
        return f'{measurement.status}: {measurement.reason}'
    words = f'{seconds_text(median(measurement.ours))}'
    if measurement.ratio is not None:
        words += f', the peer {seconds_text(median(measurement.peer))}, {measurement.ratio:.2f}x'
    return words


def seconds_text(seconds: float) -> str:
    """Return a time as text, in a suitable unit and with three digits."""
    for unit, size in (('s', 1.0), ('ms', 1e-3), ('us', 1e-6)):
        if seconds >= size or unit == 'us':
            value = seconds / size
            digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
            return f'{value:.{min(digits, 2)}f} {unit}'
    raise ValueError(f'{seconds} s')


def mean_ratio(measurements: Sequence[Measurement]) -> float | None:
    """Return the geometric mean of the ratios of a row's cases; None if a case has no ratio."""
    ratios = [measurement.ratio for measurement in measurements]
    if not ratios or any(ratio is None for ratio in ratios):
        return None
    return geometric_mean(ratios)


def same_numbers(ours: Tensor | np.ndarray, peer: Tensor | np.ndarray, tolerance: float = 1e-5) -> str:
    """Compare arrays: the largest difference, relative to the peer's largest number.

    Raises:
        Unequal: Shapes differ, numbers are not finite, or they differ by more than ``tolerance``.
    """
    ours, peer = (torch.as_tensor(array).detach().double().cpu() for array in (ours, peer))
    if ours.shape != peer.shape:
        raise Unequal(f'ours is {tuple(ours.shape)}, the peer {tuple(peer.shape)}')
    difference = float((ours - peer).abs().max() / peer.abs().max().clamp(min=torch.finfo(torch.float32).tiny))
    # Written so that an undefined number fails.
    if not difference <= tolerance:
        raise Unequal(f'relative difference {difference:.1e}, allowed {tolerance:.0e}')
    return f'relative difference {difference:.1e}'


def same_directions(ours: Tensor | np.ndarray, peer: Tensor | np.ndarray, least: float = 0.99) -> str:
    """Compare embeddings of lower precision: the smallest cosine of a pair, ``(N, D)`` each.

    Raises:
        Unequal: Shapes differ, or a cosine is below ``least``.
    """
    cosine = float(_cosines(ours, peer).min())
    if not cosine >= least:
        raise Unequal(f'smallest cosine {cosine:.4f}, at least {least} wanted')
    return f'smallest cosine {cosine:.5f}'


def as_near(
    ours: Tensor | np.ndarray, peer: Tensor | np.ndarray, exact: Tensor | np.ndarray, slack: float = 0.01
) -> str:
    """Compare embeddings of lower precision by the distance of each side's to the exact ones, ``(N, D)`` each.

    Both sides round. The resulting error depends on the network, and is larger with random weights than with trained
    ones. Ours may not be larger than the peer's.

    Raises:
        Unequal: Our smallest cosine with the exact embeddings is below the peer's by more than ``slack``.
    """
    ours, peer = (float(_cosines(side, exact).min()) for side in (ours, peer))
    if not ours >= peer - slack:
        raise Unequal(f'smallest cosine with fp32 {ours:.4f}, the peer has {peer:.4f}')
    return f'smallest cosine with fp32 {ours:.4f}, the peer {peer:.4f}'


def same_scores(ours: Mapping[str, float], peer: Mapping[str, float], tolerance: float = 1e-6) -> str:
    """Compare the named numbers that both sides have: the largest difference.

    Raises:
        Unequal: There is no common name, or numbers differ by more than ``tolerance``.
    """
    names = [name for name in ours if name in peer]
    if not names:
        raise Unequal(f'no score in common: {", ".join(ours)} and {", ".join(peer)}')
    worst = max(names, key=lambda name: abs(ours[name] - peer[name]))
    difference = abs(ours[worst] - peer[worst])
    if not difference <= tolerance:
        raise Unequal(f'{worst} is {ours[worst]:.6f}, the peer has {peer[worst]:.6f}')
    return f'scores differ by {difference:.0e}'


def _cosines(left: Tensor | np.ndarray, right: Tensor | np.ndarray) -> Tensor:
    left, right = (torch.as_tensor(array).detach().double().cpu() for array in (left, right))
    if left.shape != right.shape:
        raise Unequal(f'ours is {tuple(left.shape)}, the peer {tuple(right.shape)}')
    return F.cosine_similarity(left, right)
