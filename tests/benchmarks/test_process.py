import os
import sys
import time

import pytest

from benchmarks import process
from benchmarks.measure import NotMeasured
from benchmarks.process import PeakResidentMemory, child_environment, run_fresh, seconds_until

MODULE = 'tests.benchmarks.test_process'


def allocate(mebibytes):
    """Runs in a fresh process."""
    memory = PeakResidentMemory()
    block = bytearray(mebibytes * 2**20)
    block[:: 2**12] = b'x' * len(block[:: 2**12])
    del block
    return dict(seconds=1.5, result=[os.environ['OMP_NUM_THREADS'], mebibytes], facts=memory.facts())


def fail():
    """Could run in a fresh process."""
    raise MemoryError('too much')


def test_a_function_in_a_process_of_its_own():
    lap = run_fresh(f'{MODULE}:allocate', threads=3, mebibytes=200)
    assert (lap.seconds, lap.result) == (1.5, ['3', 200])
    if lap.facts:
        assert 0.19 < lap.facts['peak GiB'] < 0.3


def test_what_fails_there_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['', f'{MODULE}:fail', '{}', str(tmp_path / 'answer.json')])
    with pytest.raises(MemoryError, match='too much'):
        process.main()
    assert not (tmp_path / 'answer.json').exists()
    # A process that ends so.
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\necho Traceback >&2\necho MemoryError: too much >&2\nexit 1\n')
    python.chmod(0o700)
    monkeypatch.setattr(sys, 'executable', str(python))
    with pytest.raises(NotMeasured, match='fail failed: MemoryError: too much'):
        run_fresh(f'{MODULE}:fail', threads=1)


def test_children_find_the_package_and_their_threads():
    environment = child_environment(3)
    assert environment['OMP_NUM_THREADS'] == '3'
    assert os.path.isdir(os.path.join(environment['PYTHONPATH'].split(os.pathsep)[0], 'mmosnet'))


def test_a_command_is_ended_after_its_line():
    program = 'import time; print("wait", flush=True); print("step 1/9", flush=True); time.sleep(60)'
    start = time.perf_counter()
    lap = seconds_until([sys.executable, '-c', program], r'step\s+1/', threads=1)
    assert 0 < lap.seconds <= time.perf_counter() - start < 30


def test_a_command_that_is_waited_for():
    program = 'import time; print("usage: it", flush=True); time.sleep(0.5)'
    assert seconds_until([sys.executable, '-c', program], 'usage: ', threads=1, to_end=True).seconds > 0.5


def test_a_command_without_its_line():
    with pytest.raises(NotMeasured, match='ended without the line waited for: ValueError: no data'):
        seconds_until([sys.executable, '-c', 'raise ValueError("no data")'], 'step', threads=1)
