from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time

import pytest
import torch
from torch import distributed

from mmosnet.engine.runner import check_launcher, connection_errors, start_gloo, watched_processes
from mmosnet.errors import DataError
from tests.cli.warm_process import distributed_environs

RUN = dict(RANK='0', WORLD_SIZE='2', MASTER_ADDR='a', MASTER_PORT='1')


@pytest.mark.parametrize(
    ('launcher', 'environ', 'message'),
    [
        ('pytorch', {}, 'RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT are not set.*torchrun'),
        ('pytorch', dict(RUN, WORLD_SIZE=''), 'WORLD_SIZE is not set.*torchrun'),
        ('pytorch', dict(RUN, RANK='x'), "RANK='x'"),
        ('pytorch', dict(RUN, RANK='2'), 'RANK=2 with WORLD_SIZE=2'),
        ('slurm', dict(SLURM_PROCID='0', SLURM_NTASKS='1'), 'SLURM_NODELIST is not set.*srun'),
        ('mpi', dict(OMPI_COMM_WORLD_RANK='0'), 'OMPI_COMM_WORLD_SIZE, MASTER_ADDR are not set.*mpirun'),
    ],
)
def test_a_process_that_no_launcher_started(launcher, environ, message):
    with pytest.raises(DataError, match=message):
        check_launcher(launcher, environ)


def test_as_many_processes_as_gpus(monkeypatch):
    check_launcher('none', {})
    check_launcher('pytorch', dict(RUN, RANK='1', LOCAL_RANK='1'))
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    check_launcher('pytorch', RUN)
    with pytest.raises(DataError, match=r'process 1 needs GPU 1.*there are 1'):
        check_launcher('pytorch', dict(RUN, RANK='1', LOCAL_RANK='1'))


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match='shape'), connection_errors():
        raise RuntimeError('shape mismatch')


def work(environ, out, fault):
    """A process of a run, the second of which has a fault after the first operation."""
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 2)
    # Not pytest's.
    sys.stderr = os.fdopen(2, 'w', buffering=1)
    os.environ.update(environ)
    start_gloo(6)
    try:
        with watched_processes(6):
            distributed.all_reduce(torch.ones(1))
            if environ['RANK'] == '1':
                if fault == 'slow':
                    time.sleep(5)
                elif fault == 'error':
                    raise SystemExit(3)
                else:
                    os.kill(os.getpid(), getattr(signal, fault))
            distributed.all_reduce(torch.ones(1))
    except DataError as e:
        os.write(2, f'error: {e}\n'.encode())
        os._exit(1)


@pytest.mark.parametrize(
    ('fault', 'code', 'text'),
    [
        ('SIGSTOP', 1, 'no sign of life of process 1 (of 0 to 1) for 4 s'),
        ('SIGKILL', 1, 'process 0 has lost the connection'),
        ('error', 1, 'process 0'),
        # Longer than a sign of life may take to come, in a process that lives.
        ('slow', 0, ''),
    ],
)
def test_a_missing_process_ends_the_others(tmp_path, fault, code, text):
    context = multiprocessing.get_context('fork')
    out = [tmp_path / str(rank) for rank in range(2)]
    runs = [
        context.Process(target=work, args=(environ, out[rank], fault))
        for rank, environ in enumerate(distributed_environs(2))
    ]
    for run in runs:
        run.start()
    try:
        runs[0].join(30)
        assert runs[0].exitcode == code
        lines = [line for line in out[0].read_text().splitlines() if line.startswith('error: ')]
        assert len(lines) == code and text in ''.join(lines)
    finally:
        for run in runs:
            run.kill()
            run.join()
