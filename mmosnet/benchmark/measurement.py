"""One case: compared, timed, and judged."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import geometric_mean, median

from mmosnet.benchmark.row import Case, Contest, NotMeasured, Row, Settings, Unequal
from mmosnet.benchmark.target import Target
from mmosnet.benchmark.timer import alternate
from mmosnet.user_errors import user_line

MEASURED, NOT_MEASURED, ERROR = 'measured', 'not measured', 'error'


@dataclass
class Measurement:
    """What was found for one case.

    Attributes:
        row: Name of the row.
        case: Name of the case.
        status: ``'measured'``, ``'not measured'`` (nothing is wrong, but it cannot be done here) or ``'error'``.
        reason: Why it was not measured, what went wrong, or why there is no peer.
        equality: How equal the results were.
        ours: Seconds of each lap.
        peer: Seconds of each lap of the peer.
        facts: Other things measured: the largest of ours.
        limit: Seconds that the machine needs at least.
        target: In words.
        reached: Whether; None if nothing is demanded or could be decided.
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
        """The part of our time that the machine needs at least."""
        return None if self.limit is None or not self.ours else self.limit / median(self.ours)

    def as_json(self) -> dict:
        """All of it, with what follows from it."""
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
    def from_json(cls, found: dict) -> Measurement:
        """The inverse of :meth:`as_json`."""
        return cls(**{name: found[name] for name in cls.__dataclass_fields__})


def measure(row: Row, case: Case, settings: Settings, say: Callable[[str], None]) -> Measurement:
    """Compare both sides of a case, then time them. What goes wrong is part of the result and ends nothing else.

    Args:
        row: Of the case.
        case: What to measure.
        settings: Of the run.
        say: Shows a line of progress.
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
    """A measurement in a few words."""
    if measurement.status != MEASURED:
        return f'{measurement.status}: {measurement.reason}'
    words = f'{seconds_text(median(measurement.ours))}'
    if measurement.ratio is not None:
        words += f', the peer {seconds_text(median(measurement.peer))}, {measurement.ratio:.2f}x'
    return words


def seconds_text(seconds: float) -> str:
    """A time in the unit that suits it, with three digits."""
    for unit, size in (('s', 1.0), ('ms', 1e-3), ('us', 1e-6)):
        if seconds >= size or unit == 'us':
            value = seconds / size
            digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
            return f'{value:.{min(digits, 2)}f} {unit}'
    raise ValueError(f'{seconds} s')


def mean_ratio(measurements: Sequence[Measurement]) -> float | None:
    """Geometric mean of the ratios of a row's cases; None if a case lacks one."""
    ratios = [measurement.ratio for measurement in measurements]
    if not ratios or any(ratio is None for ratio in ratios):
        return None
    return geometric_mean(ratios)
