"""Conditions that select records of a gallery, on camera, time, identity and number."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmosnet.errors import DataError
from mmosnet.io.tables import LAST, UNITS, check_seconds


@dataclass(frozen=True)
class RecordFilter:
    """Conditions, all of which a record has to meet; None is no condition.

    Attributes:
        ids: Numbers in the gallery.
        pids: Identities; -1 for unknown ones.
        camids: Cameras.
        not_camids: Cameras to leave out.
        after: Earliest time in seconds, itself included. A record without a time meets no condition on time.
        before: First time in seconds that is too late, so that two windows ``[a, b)`` and ``[b, c)`` share nothing.
    """

    ids: tuple[int, ...] | None = None
    pids: tuple[int, ...] | None = None
    camids: tuple[int, ...] | None = None
    not_camids: tuple[int, ...] | None = None
    after: float | None = None
    before: float | None = None

    @classmethod
    def of(
        cls,
        ids: int | Iterable[int] | None = None,
        pids: int | Iterable[int] | None = None,
        camids: int | Iterable[int] | None = None,
        not_camids: int | Iterable[int] | None = None,
        after: float | None = None,
        before: float | None = None,
    ) -> RecordFilter:
        """Build the filter from what users give: one number or several.

        Raises:
            DataError: No whole number, or a time that is none.
        """
        numbers = dict(ids=ids, pids=pids, camids=camids, not_camids=not_camids)
        times = dict(after=after, before=before)
        conditions: dict[str, Any] = {name: _whole_numbers(name, value) for name, value in numbers.items()}
        conditions |= {name: _seconds(name, value) for name, value in times.items()}
        return cls(**conditions)

    @property
    def is_empty(self) -> bool:
        """Whether every record meets the conditions."""
        return self == RecordFilter()

    def mask(self, ids: np.ndarray, pids: np.ndarray, camids: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return which records meet all conditions.

        Args:
            ids: ``(N,)`` integers, as the others.
            pids: Identities.
            camids: Cameras.
            times: ``(N,)`` seconds, nan for unknown.

        Returns:
            ``(N,)`` bool.
        """
        mask = np.ones(len(ids), bool)
        for column, wanted in ((ids, self.ids), (pids, self.pids), (camids, self.camids)):
            if wanted is not None:
                mask &= np.isin(column, wanted)
        if self.not_camids is not None:
            mask &= ~np.isin(camids, self.not_camids)
        # Comparisons with nan are false.
        if self.after is not None:
            mask &= times >= self.after
        if self.before is not None:
            mask &= times < self.before
        return mask


def _whole_numbers(name: str, value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    array = np.asarray(value if np.isscalar(value) else list(value))
    if array.ndim > 1 or (array.size and array.dtype.kind not in 'iu'):
        raise DataError(f'{name}={value!r}: give a whole number, or a list of them')
    return tuple(array.reshape(-1).tolist())


def _seconds(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or math.isnan(value):
        raise DataError(f'{name}={value!r}: give a number of seconds')
    # Other units; infinity and the like, all of time, are no mistakes.
    if LAST <= value <= LAST * max(UNITS.values()):
        check_seconds(value, f'{name}={value!r}')
    return float(value)
