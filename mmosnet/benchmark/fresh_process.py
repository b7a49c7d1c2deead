"""Runs a function in a process of its own, where memory and start-up can be measured.

``python -m mmosnet.benchmark.fresh_process MODULE:FUNCTION ARGUMENTS_AS_JSON ANSWER_FILE``
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from mmosnet.benchmark.row import Lap, NotMeasured

STATUS = Path('/proc/self/status')
# Writing 5 there sets the high-water mark of a process's memory back to what it uses now.
CLEAR = Path('/proc/self/clear_refs')


def run_fresh(function: str, threads: int, **arguments: object) -> Lap:
    """Call a function in a new process and take its answer.

    Args:
        function: ``'module:name'`` of a function that returns ``dict(seconds=..., result=..., facts=...)`` of plain
            numbers, texts and lists.
        threads: Of PyTorch in that process.
        **arguments: Its arguments, plain too.

    Raises:
        NotMeasured: The process failed, with its last line: often memory.
    """
    with TemporaryDirectory() as folder:
        answer = Path(folder) / 'answer.json'
        command = [
            sys.executable,
            '-m',
            'mmosnet.benchmark.fresh_process',
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
    """Environment in which a child process uses so many threads and finds this package."""
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get('PYTHONPATH')])])
    return dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), PYTHONPATH=paths)


class PeakMemory:
    """How far this process's memory rises above what it is now.

    On Linux; elsewhere nothing is measured and :meth:`facts` is empty.
    """

    def __init__(self) -> None:
        self.start = None
        if STATUS.is_file() and CLEAR.exists():
            self.start = _gib('VmRSS')
            CLEAR.write_text('5')

    def facts(self) -> dict[str, float]:
        """``{'peak GiB': ...}`` since the object was made."""
        return {} if self.start is None else {'peak GiB': _gib('VmHWM') - self.start}


def _gib(field: str) -> float:
    return int(re.search(rf'{field}:\s+(\d+) kB', STATUS.read_text())[1]) / 2**20


def main() -> None:
    function, arguments, answer = sys.argv[1:]
    module, name = function.split(':')
    found = getattr(import_module(module), name)(**json.loads(arguments))
    Path(answer).write_text(json.dumps(found))


if __name__ == '__main__':
    main()
