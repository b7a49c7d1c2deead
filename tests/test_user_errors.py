import errno
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mmosnet.errors import DataError
from mmosnet.registry import MODELS
from mmosnet.user_errors import TRACEBACK_VARIABLE, user_errors
from tests.conftest import full_disk

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def restored_hook(monkeypatch):
    """Programs end after an error, tests go on."""
    monkeypatch.setattr(sys, 'unraisablehook', sys.unraisablehook)


def error_line(error):
    with pytest.raises(SystemExit) as found, user_errors():
        raise error
    line = found.value.code
    assert line.startswith('error: ') and '\n' not in line
    return line


def test_mistakes_are_one_line_and_faults_of_the_code_keep_their_traceback():
    assert error_line(DataError('a.csv, row 3: no pid')) == 'error: a.csv, row 3: no pid'
    assert error_line(FileNotFoundError('no image a\nb.jpg')) == 'error: no image a\\nb.jpg'
    for error in (RuntimeError('Expected 3 channels'), ValueError('invalid literal'), AttributeError('no attribute')):
        with pytest.raises(type(error)), user_errors():
            raise error


NUMBERS = [
    *('ENOSPC', 'EDQUOT', 'EROFS', 'EFBIG', 'EIO', 'EMFILE', 'ENFILE', 'ENAMETOOLONG', 'ELOOP', 'ENOTDIR', 'EISDIR'),
    *('ESTALE', 'ETIMEDOUT', 'EACCES', 'EEXIST', 'ENOENT', 'ENOTEMPTY', 'EBUSY', 'ENOMEM', 'EADDRINUSE', 'EHOSTDOWN'),
]


@pytest.mark.parametrize('name', [name for name in NUMBERS if hasattr(errno, name)])
def test_every_fault_of_the_system_names_file_cause_and_remedy(name):
    number = getattr(errno, name)
    file, cause, remedy = error_line(OSError(number, os.strerror(number), 'a/out.json'))[7:].split(': ', 2)
    assert (file, cause) == ('a/out.json', os.strerror(number)) and len(remedy) > 8
    # Those without a known remedy too.
    assert os.strerror(errno.ESRCH) in error_line(OSError(errno.ESRCH, os.strerror(errno.ESRCH), 'a/out.json'))


@pytest.mark.parametrize(
    ('error', 'part'),
    [
        (FileNotFoundError('no checkpoint a.pth'), 'no checkpoint a.pth'),
        (OSError("class `Hook` in a.py: [Errno 28] No space left on device: 'b.json'"), 'b.json: No space left'),
        (RuntimeError('unable to open shared memory object </torch_1>: Too many open files (24)'), 'ulimit -n'),
        (sqlite3.OperationalError('database or disk is full'), 'free space'),
        (RuntimeError('[enforce fail at inline_container.cc:820] . PytorchStreamWriter failed writing'), 'free space'),
        (ImportError('a.so: cannot open shared object file: Too many open files'), 'ulimit -n'),
        (MemoryError('Unable to allocate 9 TiB'), '9 TiB'),
        (
            OSError(
                "Caught OSError in worker.\nOriginal Traceback (most recent call last):\nOSError: [Errno 5] I/O: 'a'"
            ),
            'a: I/O',
        ),
        (
            FileNotFoundError(
                'Caught FileNotFoundError in worker.\nOriginal Traceback (most recent call last):\n  File "b.py"\n'
                'FileNotFoundError: no image a.jpg\n'
            ),
            'error: no image a.jpg',
        ),
    ],
)
def test_faults_are_told_whatever_library_met_them(error, part):
    assert part in error_line(error)


def test_the_file_is_found_where_the_error_names_none(tmp_path):
    path = tmp_path / 'a.json'

    def dump():
        with path.open('w') as file:
            file.write('a' * 9999)

    with full_disk(5000), pytest.raises(SystemExit) as found, user_errors():
        dump()
    assert str(path) in found.value.code


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='no /dev/full')
@pytest.mark.parametrize('length', [9, 99999])
def test_a_full_standard_output_is_named_and_closed(monkeypatch, length):
    with open('/dev/full', 'w') as full:
        monkeypatch.setattr(sys, 'stdout', full)
        with pytest.raises(SystemExit) as found, user_errors():
            print('a' * length)
        # A long line is not kept; then a variable tells the file.
        assert found.value.code.startswith(('error: standard output: ', 'error: /dev/full: '))
        full.flush()


def test_faults_in_threads_end_the_program_too(capfd):
    def fail():
        raise OSError(errno.ENOSPC, 'No space left on device', 'events.out')

    with pytest.raises(SystemExit) as found, user_errors():
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    assert 'events.out' in found.value.code and 'Traceback' not in capfd.readouterr().err


def test_the_fault_is_told_where_handling_it_failed():
    with pytest.raises(SystemExit) as found, user_errors():
        try:
            raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
        finally:
            raise UnboundLocalError('folder')
    assert '/tmp' in found.value.code and 'TMPDIR' in found.value.code
    with pytest.raises(UnboundLocalError), user_errors():
        try:
            raise FileNotFoundError(errno.ENOENT, 'No such file or directory', 'a')
        finally:
            raise UnboundLocalError('folder')


def test_the_traceback_is_shown_on_demand(monkeypatch, capsys):
    monkeypatch.setenv(TRACEBACK_VARIABLE, '1')
    assert error_line(OSError(errno.EROFS, 'Read-only file system', 'a')).startswith('error: a: Read-only')
    assert 'Traceback' in capsys.readouterr().err


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


@pytest.mark.parametrize('unbuffered', ['', '1'])
@pytest.mark.parametrize('characters', [10, 200_000])
def test_a_reader_that_has_seen_enough_ends_a_command_quietly(unbuffered, characters):
    program = (
        'import logging, sys\nfrom mmosnet.user_errors import user_errors\nlogging.basicConfig(stream=sys.stdout)\n'
        f'with user_errors():\n    logging.warning("left out 2")\n    print("x" * {characters})'
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, '-c', program],
        env={**os.environ, 'PYTHONUNBUFFERED': unbuffered},
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b'')


def test_a_fault_during_the_imports_is_one_line(tmp_path):
    """As in a container whose disk is read-only, where torch finds no folder for temporary files."""
    broken = "raise FileNotFoundError(2, 'No usable temporary directory found in', '/tmp')\n"
    (tmp_path / 'mmpretrain').mkdir()
    (tmp_path / 'mmpretrain' / '__init__.py').write_text(f"__version__ = '1.2.0'\n{broken}")
    environ = {**os.environ, 'PYTHONPATH': f'{tmp_path}{os.pathsep}{ROOT}'}
    program = 'from mmosnet.user_errors import user_errors\nwith user_errors():\n    import mmosnet.registry'
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, env=environ)
    assert result.returncode == 1
    assert result.stderr.startswith('error: /tmp: ') and 'TMPDIR' in result.stderr
    assert result.stderr.count('\n') == 1
