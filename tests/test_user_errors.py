import os
import sys

import pytest

from mmosnet.errors import DataError
from mmosnet.registry import MODELS
from mmosnet.user_errors import user_errors


@pytest.mark.parametrize(
    'error, line',
    [
        (DataError('a.csv, row 3: no pid'), 'error: a.csv, row 3: no pid'),
        (RuntimeError, None),
        (PermissionError(13, 'Permission denied', 'out.json'), 'error: out.json: Permission denied'),
    ],
)
def test_mistakes_are_one_line_and_faults_keep_their_traceback(error, line):
    with pytest.raises(SystemExit if line else RuntimeError) as found, user_errors():
        raise error
    if line:
        assert found.value.code == line


def test_a_reader_who_has_seen_enough_gets_no_traceback(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, 'w') as pipe:
        monkeypatch.setattr(sys, 'stdout', pipe)
        with pytest.raises(SystemExit) as found, user_errors():
            print('a long table')
        assert found.value.code == 1


@pytest.mark.parametrize(
    ('cfg', 'name'),
    [
        (dict(type='OSNet', widen_facto=1), 'widen_factor'),
        (dict(type='mmosnet.ReIDHead', in_channels=4, num_classes=2, bnnec=True), 'bnneck'),
        (dict(type='mmosnet.ReIDHed'), 'mmosnet.ReIDHed'),
        (dict(widen_factor=1), 'type'),
    ],
)
def test_wrong_names_in_a_config_are_one_line(cfg, name):
    with pytest.raises(SystemExit) as found, user_errors():
        MODELS.build(cfg)
    line = found.value.code
    assert line.startswith('error: ') and name in line and '\n' not in line


def test_wrong_names_in_the_code_keep_their_traceback():
    with pytest.raises(TypeError), user_errors():
        dict.fromkeys([], vlaue=1)
    with pytest.raises(KeyError), user_errors():
        {}['name']


@pytest.mark.parametrize(
    ('error', 'remedy'),
    [
        (RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. '), 'num_workers'),
        (RuntimeError('DataLoader worker (pid(s) 7, 8) exited unexpectedly'), 'num_workers'),
        (
            RuntimeError(
                "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers "
                'are out of shared memory. Please try to raise your shared memory limit.'
            ),
            '--shm-size',
        ),
        (RuntimeError('unable to write to file </torch_7>: No space left on device (28)'), '--shm-size'),
        (RuntimeError('received 0 items of ancdata'), 'ulimit'),
        (RuntimeError('CUDA out of memory. Tried to allocate 2 GiB.\nGPU 0 has'), 'batch_size'),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:115] . DefaultCPUAllocator: can't allocate memory"),
            'batch_size',
        ),
        (MemoryError('Unable to allocate 9 TiB for an array'), 'batch_size'),
        (MemoryError(), 'batch_size'),
        (MemoryError('Caught MemoryError in DataLoader worker process 0.\nOriginal Traceback'), 'batch_size'),
    ],
)
def test_what_runs_out_is_one_line_with_a_remedy(error, remedy):
    with pytest.raises(SystemExit) as found, user_errors():
        raise error
    line = found.value.code
    assert line.startswith('error: ') and remedy in line and '\n' not in line
