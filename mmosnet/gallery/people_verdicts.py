"""Known, new or unsure: decisions on the people of one frame from their distances to the people of a gallery."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmosnet.errors import DataError, need

# Defaults as shares of the threshold: chosen by us, not calibrated.
BAND_SHARE, MARGIN_SHARE = 0.1, 0.05


@dataclass(frozen=True)
class Limits:
    """Distances that decide.

    Attributes:
        threshold: Largest distance at which somebody is known.
        band: Up to ``threshold + band`` a person is unsure, beyond it new.
        margin: A person is known only if the second person is at least so much farther away than the first.

    Raises:
        DataError: A value is no distance.
    """

    threshold: float
    band: float
    margin: float

    def __post_init__(self) -> None:
        for name in ('threshold', 'band', 'margin'):
            value = getattr(self, name)
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value < 0:
                raise DataError(f'{name}={value!r}: give a distance, 0 or more')

    @classmethod
    def of(cls, threshold: float, band: float | None, margin: float | None) -> Limits:
        """Return limits; band and margin are shares of the threshold by default."""
        checked = cls(threshold, band or 0, margin or 0)
        band = BAND_SHARE * checked.threshold if band is None else band
        margin = MARGIN_SHARE * checked.threshold if margin is None else margin
        return cls(float(threshold), float(band), float(margin))

    @property
    def farthest(self) -> float:
        """Distance beyond which a person is new."""
        return self.threshold + self.band


@dataclass(frozen=True)
class Verdict:
    """Decision on a person.

    Attributes:
        known: True for known, False for new, None for unsure.
        pid: The known person, or else the nearest one; -1 if there is none.
        distance: Distance to this person; NaN if there is none.
        runner_up: Distance to the nearest other person; NaN if there is none.
        reason: ``'near'`` (known); ``'far'``, ``'taken'`` (new; the near people are others of the frame);
            ``'between'``, ``'runner-up'``, ``'frame'`` (unsure; somebody else of the frame may be the near person).
        confidence: See :func:`confidence`.
    """

    known: bool | None
    pid: int
    distance: float
    runner_up: float
    reason: str
    confidence: float


def decide(ranked: Sequence[Sequence[tuple[int, float]]], limits: Sequence[Limits]) -> list[Verdict]:
    """Decide who the people of one frame are; no two of them are the same person.

    People are assigned so that the sum of their distances is smallest, where somebody without a person counts
    :attr:`Limits.farthest` (:func:`scipy.optimize.linear_sum_assignment`). Those assigned within the threshold are
    known, unless another person that nobody else of the frame is known to be is nearly as near. Then each of the others
    is unsure if one of the remaining people is near enough, and new if not.

    Args:
        ranked: For each person of the frame, people they may be with distances, nearest first: all people up to
            :attr:`Limits.farthest`, and at least two that are not known to be others of the frame, as far as there are
            so many.
        limits: Limits for each person of the frame.

    Returns:
        One decision for each.
    """
    assigned = _assigned(ranked, limits)
    sure = {
        row: pid
        for row, (pid, distance) in enumerate(assigned)
        if pid is not None and distance <= limits[row].threshold
    }
    while True:
        # A person whom nobody is known to be may be the runner-up of the others.
        doubted = [row for row in sure if _gap(row, sure, ranked, assigned) < limits[row].margin]
        if not doubted:
            break
        for row in doubted:
            del sure[row]
    verdicts = []
    for row, people in enumerate(ranked):
        others = {pid for other, pid in sure.items() if other != row}
        left = [(pid, distance) for pid, distance in people if pid not in others]
        if row in sure:
            pid, distance = assigned[row]
            left = [(pid, distance), *(pair for pair in left if pair[0] != pid)]
        pid, distance = left[0] if left else (-1, math.nan)
        runner_up = left[1][1] if len(left) > 1 else math.nan
        known, reason = _answer(row, distance, people, assigned, limits[row], row in sure)
        verdicts.append(
            Verdict(known, pid, distance, runner_up, reason, confidence(known, distance, runner_up, limits[row]))
        )
    return verdicts


def _answer(
    row: int,
    distance: float,
    people: Sequence[tuple[int, float]],
    assigned: Sequence[tuple[int | None, float]],
    limits: Limits,
    is_sure: bool,
) -> tuple[bool | None, str]:
    if is_sure:
        return True, 'near'
    # Comparisons with NaN are false.
    if not distance <= limits.farthest:
        return False, 'taken' if people and people[0][1] <= limits.farthest else 'far'
    if distance > limits.threshold:
        return None, 'between'
    return None, 'frame' if assigned[row][0] is None else 'runner-up'


def confidence(known: bool | None, distance: float, runner_up: float, limits: Limits) -> float:
    """Return how far a decision is from another one, from 0 to 1. It is no probability.

    Known: the smaller one of ``1 - distance / threshold`` and ``1 - distance / runner_up``. New: how much farther than
    the limit the nearest person is, ``distance / (threshold + band) - 1``, at most 1; 1 if there is nobody. Unsure: 0.
    """
    if known is None:
        return 0.0
    if known:
        parts = [1 - distance / limits.threshold if limits.threshold else 1.0]
        if not math.isnan(runner_up):
            parts.append(1 - distance / runner_up if runner_up else 0.0)
        return max(0.0, min(parts))
    if math.isnan(distance) or not limits.farthest:
        return 1.0
    return min(1.0, max(0.0, distance / limits.farthest - 1))


def _assigned(
    ranked: Sequence[Sequence[tuple[int, float]]], limits: Sequence[Limits]
) -> list[tuple[int | None, float]]:
    """Return the person assigned to each row, with the distance; None for nobody."""
    near = [
        {pid: distance for pid, distance in people if distance <= limit.farthest}
        for people, limit in zip(ranked, limits, strict=True)
    ]
    people = sorted({pid for row in near for pid in row})
    if not people:
        return [(None, math.nan)] * len(near)
    if len(near) == 1:
        return [min(near[0].items(), key=lambda pair: (pair[1], pair[0]))]
    # Scores 0 or more; a row without a person gets 0, and so does a pair that is too far.
    optimize = need('scipy.optimize', 'gallery')
    column = {pid: number for number, pid in enumerate(people)}
    scores = np.zeros((len(near), len(people)))
    for number, (row, limit) in enumerate(zip(near, limits, strict=True)):
        for pid, distance in row.items():
            # A person exactly at the limit is better than nobody.
            scores[number, column[pid]] = max(limit.farthest - distance, np.finfo(np.float64).tiny)
    result: list[tuple[int | None, float]] = [(None, math.nan)] * len(near)
    for number, place in zip(*optimize.linear_sum_assignment(scores, maximize=True), strict=True):
        if scores[number, place] > 0:
            result[number] = (people[place], near[number][people[place]])
    return result


def _gap(
    row: int,
    sure: dict[int, int],
    ranked: Sequence[Sequence[tuple[int, float]]],
    assigned: Sequence[tuple[int | None, float]],
) -> float:
    """Return how much farther the nearest person is whom neither this nor another row is known to be."""
    taken = set(sure.values())
    runner_up = next((distance for pid, distance in ranked[row] if pid not in taken), math.inf)
    return runner_up - assigned[row][1]
