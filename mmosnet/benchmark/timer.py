"""Times work: often enough to see it, and in turn with what it is compared with."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch

from mmosnet.benchmark.row import Lap

# A lap of short work repeats it until so many seconds have passed.
LEAST_SECONDS = 0.3


class Repeated:
    """Laps of short work: the first runs it once and finds out how often the others run it.

    Args:
        work: The work, returns its result.
        device: Where it runs. A GPU is waited for before and after a lap: what a user waits for, launches included.
        least_seconds: That a lap should last, :data:`LEAST_SECONDS` by default.
        clock: Seconds.
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
        ours: Ours.
        peer: The peer's, if any.
        repeats: Laps of ours.
        peer_repeats: Laps of the peer: its turns end after so many.

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
