"""Functions and commands in processes of their own, where memory and start-up can be measured.

``python -m benchmarks.process MODULE:FUNCTION ARGUMENTS_AS_JSON ANSWER_FILE`` runs a function.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Lap, NotMeasured

REPOSITORY = Path(__file__).resolve().parents[1]
# Timeout in seconds of a command that should end by itself.
TIMEOUT = 300
STATUS = Path('/proc/self/status')
# Writing 5 there sets the high-water mark of a process's memory back to what it uses now.
CLEAR = Path('/proc/self/clear_refs')


def run_fresh(function: str, threads: int, **arguments: object) -> Lap:
    """Call a function in a new process, and return its result.

    Args:
        function: ``'module:name'`` of a function that returns ``dict(seconds=..., result=..., facts=...)`` of plain
            numbers, texts and lists.
        threads: Number of threads of PyTorch in that process.
        **arguments: Arguments of the function, of the same types.

    Raises:
        NotMeasured: The process failed, often for lack of memory. The message is its last line.
    """
    with TemporaryDirectory() as folder:
        answer = Path(folder) / 'answer.json'
        command = [
            sys.executable,
            '-m',
            'benchmarks.process',
            function,
            json.dumps(arguments),
            str(answer),
        ]
        done = subprocess.run(command, env=child_environment(threads), capture_output=True, text=True)
        if done.returncode != 0 or not answer.is_file():
            last = (done.stderr.strip().splitlines() or [f'ended with {done.returncode}'])[-1]
            raise NotMeasured(f'{function} failed: {last}')
        return Lap(**json.loads(answer.read_text()))


def child_environment(threads: int) -> dict[str, str]:
    """Return the environment of a child process: its number of threads, and the path of this package."""
    paths = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get('PYTHONPATH')])])
    return dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), PYTHONPATH=paths)


class PeakResidentMemory:
    """Measure how far this process's memory rises above its current size.

    Works on Linux; on other systems :meth:`facts` is empty.
    """

    def __init__(self) -> None:
        self.start = None
        if STATUS.is_file() and CLEAR.exists():
            self.start = _gib('VmRSS')
            CLEAR.write_text('5')

    def facts(self) -> dict[str, float]:
        """Return ``{'peak GiB': ...}`` since the object was made."""
        return {} if self.start is None else {'peak GiB': _gib('VmHWM') - self.start}


def _gib(field: str) -> float:
    return int(re.search(rf'{field}:\s+(\d+) kB', STATUS.read_text())[1]) / 2**20


def seconds_until(command: Sequence[str], pattern: str, threads: int, to_end: bool = False) -> Lap:
    """Start a command, wait for a line of its output, and end it unless it is to end by itself.

    Raises:
        NotMeasured: The command ended without such a line. The message is its last line.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        list(command),
        env=child_environment(threads),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # With its workers it is a group of processes, ended together.
        start_new_session=True,
    )
    line, matched = '', False
    try:
        for line in process.stdout:
            matched = matched or re.search(pattern, line) is not None
            if matched and not to_end:
                break
        if to_end:
            process.wait(TIMEOUT)
        seconds = time.perf_counter() - start
    finally:
        _end_group(process)
    if not matched:
        raise NotMeasured(f'{Path(command[-1]).name} ended without the line waited for: {line.strip()}')
    return Lap(seconds)


def _end_group(process: subprocess.Popen) -> None:
    """End a process and all processes that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def main() -> None:
    function, arguments, answer = sys.argv[1:]
    module, name = function.split(':')
    result = getattr(import_module(module), name)(**json.loads(arguments))
    Path(answer).write_text(json.dumps(result))


if __name__ == '__main__':
    main()
