"""Runs tools in forks of a process that has imported everything, which takes a tool on its own three seconds.

A fork has its own exit code, output, directory, environment and random numbers, as any process. It does not show
how a tool imports, nor what Python does at the end of a program.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import random
import runpy
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

# Seconds until a tool is killed.
TIMEOUT = 240


class WarmProcess:
    """The process that forks, started on first use."""

    def __init__(self) -> None:
        self.process = None

    def run(
        self, command: list[str], folder: Path, processes: int = 1, limits: dict[str, int] | None = None
    ) -> subprocess.CompletedProcess:
        """Run a Python file with its arguments in a folder, in the environment of now.

        Args:
            command: The file and its arguments.
            folder: Its working directory.
            processes: Number of processes, which find each other as those of torchrun do.
            limits: Limits of the process, by their names in ``resource``: with ``RLIMIT_FSIZE=0`` every disk is full.

        Returns:
            Their common output, and the exit code of the first that failed.
        """
        if self.process is None:
            start = [sys.executable, __file__]
            self.process = subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with TemporaryDirectory() as outputs:
            out, err = (Path(outputs) / name for name in ('out', 'err'))
            request = dict(command=command, folder=str(folder), out=str(out), err=str(err), limits=limits or {})
            request['environs'] = [dict(os.environ)] if processes == 1 else distributed_environs(processes)
            print(json.dumps(request), file=self.process.stdin, flush=True)
            code = self.process.stdout.readline()
            assert code, 'the process that forks has ended: see its message above'
            return subprocess.CompletedProcess(command, int(code), out.read_text(), err.read_text())

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


def distributed_environs(processes: int) -> list[dict[str, str]]:
    """The environments that torchrun gives its processes."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        address = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(free.getsockname()[1]), WORLD_SIZE=str(processes))
    return [{**os.environ, **address, 'RANK': str(rank), 'LOCAL_RANK': str(rank)} for rank in range(processes)]


def import_everything() -> None:
    """Import what the tools import, so that forked processes need not."""
    import matplotlib.backends.backend_agg
    import matplotlib.pyplot  # noqa: F401
    import scipy.sparse  # noqa: F401
    import torch.utils.tensorboard  # noqa: F401

    import mmosnet  # noqa: F401

    # A fork would go through all of it whenever a data set collects garbage: a third of a second each time.
    gc.collect()
    gc.freeze()


def run_tool(command: list[str], folder: str, outputs: list[int], limits: dict, environ: dict[str, str]) -> None:
    """Run a Python file in a forked process, as if it had been started there."""
    import numpy as np
    import torch

    for number, pipe in zip((1, 2), outputs, strict=True):
        os.dup2(pipe, number)
        os.close(pipe)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    # Two processes draw different numbers, unless they are told to draw the same.
    for seed in (random.seed, np.random.seed, torch.seed):
        seed()
    if limits:
        import resource

        for name, value in limits.items():
            kind = getattr(resource, name)
            resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))
    sys.argv = command
    sys.path[0] = str(Path(command[0]).parent)
    runpy.run_path(command[0], run_name='__main__')


def keep(pipe: int, path: str) -> None:
    """Write what comes through a pipe into a file."""
    with os.fdopen(pipe, 'rb') as content, open(path, 'wb') as file:
        shutil.copyfileobj(content, file)


def serve() -> None:
    """Answer each request on standard input with an exit code."""
    import_everything()
    context = multiprocessing.get_context('fork')
    for line in sys.stdin:
        request = json.loads(line)
        environs, files = request.pop('environs'), [request.pop('out'), request.pop('err')]
        # Pipes: limits of a fork's files are none of its output's.
        pipes = [os.pipe() for _ in files]
        request['outputs'] = [writing for _, writing in pipes]
        forks = [context.Process(target=run_tool, kwargs=dict(request, environ=environ)) for environ in environs]
        for fork in forks:
            fork.start()
        for _, writing in pipes:
            os.close(writing)
        readers = [Thread(target=keep, args=(pipe[0], file)) for pipe, file in zip(pipes, files, strict=True)]
        for reader in readers:
            reader.start()
        for fork in forks:
            fork.join(TIMEOUT)
            fork.kill()
            fork.join()
        for reader in readers:
            reader.join(TIMEOUT)
        print(next((fork.exitcode for fork in forks if fork.exitcode), 0), flush=True)


if __name__ == '__main__':
    serve()
