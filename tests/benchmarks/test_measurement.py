from pathlib import Path

import pytest

from benchmarks.measure import (
    Case,
    Contest,
    Lap,
    Measurement,
    NotMeasured,
    Row,
    Settings,
    Target,
    mean_ratio,
    measure,
    outcome,
    same_numbers,
    seconds_text,
)

SETTINGS = Settings(threads=1, repeats=None, quick=False, folder=Path())


def laps(*seconds, result=None, facts=()):
    """A side whose laps take these seconds; the first one is for the comparison."""
    left = iter(seconds)
    return lambda: Lap(next(left), result, dict(facts))


def run(contest, target=None, settings=SETTINGS):
    def prepare():
        if isinstance(contest, Exception):
            raise contest
        return contest

    said = []
    row = Row('row', 'work', target or Target(), lambda settings: [])
    measurement = measure(row, Case('case', prepare), settings, said.append)
    assert said[0] == 'row: case'
    assert outcome(measurement) in said[-1]
    return measurement


def test_ratios_are_paired_and_the_first_lap_does_not_count():
    contest = Contest(laps(9, 1, 2, 4), laps(9, 3, 4, 20), lambda ours, peer: 'equal', limit=1, repeats=3)
    found = run(contest, Target(ratio=3))
    assert found.ratios == [3, 2, 5]
    assert found.ratio == 3
    assert found.limit_share == 0.5
    assert (found.equality, found.status, found.reached) == ('equal', 'measured', True)
    content = found.as_json()
    assert (content['ours'], content['ours_median'], content['peer_median']) == ([1, 2, 4], 2, 4)
    assert (content['ratio'], content['ratio_min'], content['ratio_max'], content['limit_share']) == (3, 2, 5, 0.5)
    assert Measurement.from_json(content) == found


def test_long_work_keeps_the_laps_that_were_compared():
    contest = Contest(laps(1, 2, 3), laps(10, 10), lambda ours, peer: '', repeats=3, peer_repeats=2, keep_first=True)
    found = run(contest)
    assert (found.ours, found.peer) == ([1, 2, 3], [10, 10])
    assert found.ratios == [10, 5]


def test_the_user_chooses_the_repeats():
    settings = Settings(threads=1, repeats=1, quick=False, folder=Path())
    contest = Contest(laps(1, 2), laps(10), lambda ours, peer: '', repeats=5, peer_repeats=2, keep_first=True)
    assert run(contest, settings=settings).ours == [1]


def test_different_results_are_an_error_and_never_timed():
    calls = []

    def side(value):
        def lap():
            calls.append(value)
            return Lap(1.0, value)

        return lap

    contest = Contest(side([1.0, 2.0]), side([1.0, 2.1]), same_numbers)
    found = run(contest, Target(ratio=1))
    assert len(calls) == 2
    assert (found.status, found.ours, found.peer, found.reached) == ('error', [], [], None)
    assert found.reason == 'results differ, not timed: relative difference 4.8e-02, allowed 1e-05'


def test_what_cannot_be_measured_is_said():
    found = run(NotMeasured('no CUDA device'), Target(ratio=2))
    assert (found.status, found.reason, found.reached) == ('not measured', 'no CUDA device', None)
    assert outcome(found) == 'not measured: no CUDA device'


def test_a_failure_is_part_of_the_result():
    found = run(RuntimeError('out of\nmemory'))
    assert (found.status, found.reason) == ('error', 'RuntimeError: out of')


def test_without_a_peer_ours_is_timed_and_nothing_guessed():
    found = run(Contest(laps(9, 1, 2, 3), no_peer='no peer: it is not installed', repeats=3), Target(ratio=2))
    assert (found.ours, found.peer, found.ratio, found.reached) == ([1, 2, 3], [], None, None)
    assert found.reason == 'no peer: it is not installed'


def test_quick_runs_reach_nothing():
    settings = Settings(threads=1, repeats=1, quick=True, folder=Path())
    assert run(Contest(laps(1, 1)), Target(seconds=5), settings).reached is None


def test_largest_facts_of_each_side():
    ours = iter([Lap(1, facts={'peak GiB': 0.1}), Lap(1, facts={'peak GiB': 0.4}), Lap(1)])
    contest = Contest(lambda: next(ours), laps(1, 1, 1, facts={'peak GiB': 3}), repeats=3, keep_first=True)
    found = run(contest, Target(at_most={'peak GiB': 0.5}))
    assert found.facts == {'peak GiB': 0.4, 'peer peak GiB': 3}
    assert found.reached is True


@pytest.mark.parametrize(
    ('target', 'ratio', 'seconds', 'facts', 'reached'),
    [
        (Target(), 2, 1, {}, None),
        (Target(ratio=2), 2, 1, {}, True),
        (Target(ratio=2), 1.9, 1, {}, False),
        (Target(ratio=2), None, 1, {}, None),
        (Target(seconds=1), None, 0.5, {}, True),
        (Target(seconds=1), None, 1, {}, False),
        # Memory was not measured: the ratio alone decides nothing, but can fail.
        (Target(ratio=2, at_most={'peak GiB': 1}), 3, 1, {}, None),
        (Target(ratio=2, at_most={'peak GiB': 1}), 1, 1, {}, False),
        (Target(ratio=2, at_most={'peak GiB': 1}), 3, 1, {'peak GiB': 2}, False),
        (Target(ratio=2, at_most={'peak GiB': 1}), 3, 1, {'peak GiB': 0.5}, True),
    ],
)
def test_targets(target, ratio, seconds, facts, reached):
    assert target.reached(ratio, seconds, facts) is reached


def test_target_in_words():
    assert str(Target(ratio=100, at_most={'peak GiB': 0.5})) == '>= 100x, peak GiB < 0.5'
    assert str(Target(seconds=1)) == '< 1 s'


def test_geometric_mean_needs_all_ratios():
    cases = [Measurement('row', 'a', ours=[1], peer=[2]), Measurement('row', 'b', ours=[1], peer=[8])]
    assert mean_ratio(cases) == pytest.approx(4)
    assert mean_ratio([*cases, Measurement('row', 'c', ours=[1])]) is None
    assert mean_ratio([]) is None


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(123.4, '123 s'), (12.34, '12.3 s'), (1.234, '1.23 s'), (0.01234, '12.3 ms'), (5e-6, '5.00 us'), (0, '0 us')],
)
def test_seconds_in_a_fitting_unit(seconds, text):
    assert seconds_text(seconds) == text
