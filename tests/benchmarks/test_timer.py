import pytest

from benchmarks.measure import Lap, Repeated, alternate


class FakeClock:
    """Moves on only when work says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_short_work_is_repeated_until_it_can_be_seen():
    clock, calls = FakeClock(), []

    def work():
        calls.append(None)
        clock.now += 0.01
        return len(calls)

    lap = Repeated(work, least_seconds=0.1, clock=clock)
    first = lap()
    # One that warms up, whose result is compared, and one that shows how long it takes.
    assert (first.result, len(calls)) == (1, 2)
    second = lap()
    assert len(calls) == 12
    assert second.seconds == pytest.approx(0.01)
    assert second.result == 12


def test_long_work_runs_once_a_lap():
    clock = FakeClock()

    def work():
        clock.now += 5

    lap = Repeated(work, least_seconds=0.1, clock=clock)
    lap()
    assert lap().seconds == pytest.approx(5)
    assert clock.now == 15


def test_work_that_takes_no_measurable_time_ends():
    assert Repeated(lambda: 3, least_seconds=0.0, clock=FakeClock())().result == 3


def test_sides_take_turns():
    order = []

    def side(name):
        def lap():
            order.append(name)
            return Lap(float(len(order)))

        return lap

    ours, peer = alternate(side('o'), side('p'), repeats=4, peer_repeats=2)
    assert ''.join(order) == 'opopoo'
    assert [lap.seconds for lap in ours] == [1, 3, 5, 6]
    assert [lap.seconds for lap in peer] == [2, 4]


def test_one_side_alone():
    ours, peer = alternate(lambda: Lap(1.0), None, repeats=3, peer_repeats=3)
    assert (len(ours), peer) == (3, [])
