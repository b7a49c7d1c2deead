from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mmosnet import errors
from mmosnet.errors import TRACEBACK_VARIABLE, DataError, need, user_errors
from mmosnet.registry import MODELS
from tests.conftest import full_disk

ROOT = Path(__file__).resolve().parents[1]
# Torch is hidden: importing it would take longer than all the rest.
PROGRAM = """
import ctypes, multiprocessing, os, sys, time
sys.modules['torch'] = None
from mmosnet import errors
# The others return to Python, however busy the machine is.
if '{body}' == 'stuck':
    errors.GRACE_SECONDS = 0.5

def work():
    print('ready', flush=True)
    time.sleep(60)

def stuck():
    '''Outside of Python, where no handler runs: a lock that is taken twice.'''
    lock, taken = ctypes.create_string_buffer(64), ctypes.CDLL(None).pthread_mutex_lock
    taken(lock)
    print('ready', flush=True)
    taken(lock)

def slow_end():
    try:
        work()
    finally:
        time.sleep(60)

def converted():
    try:
        work()
    except KeyboardInterrupt:
        raise RuntimeError('connection closed by peer')

def children():
    # As the workers of a loader are: they get Ctrl-C too.
    for _ in range(2):
        multiprocessing.get_context('fork').Process(target=time.sleep, args=[60], daemon=True).start()
    work()

with errors.user_errors() as interruption:
    interruption.advice = lambda: 'epoch_3.pth, --resume'
    {body}()
"""


def start(body):
    program = [sys.executable, '-c', PROGRAM.replace('{body}', body)]
    process = subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout.readline() == 'ready\n', process.stderr.read()
    return process


@pytest.mark.parametrize(('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize('body', ['work', 'stuck', 'converted', 'children'])
def test_an_interrupted_program_says_one_line(body, number, code):
    process = start(body)
    # To all of its processes, as a terminal does.
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert (out, err) == ('', 'interrupted: epoch_3.pth, --resume\n')
    # Children that have ended stay listed until the system has noticed.
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.1)


@pytest.mark.parametrize('body', ['slow_end', 'stuck'])
def test_the_second_ctrl_c_ends_at_once(body):
    process = start(body)
    process.send_signal(signal.SIGINT)
    # More than what counts as one.
    time.sleep(0.4)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == 'interrupted: epoch_3.pth, --resume\n'


def test_a_forwarded_signal_of_another_kind_changes_nothing():
    process = start('slow_end')
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.kill()
    process.communicate()


def test_signals_are_given_back_and_ignored_ones_stay_ignored():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with user_errors():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert signal.set_wakeup_fd(-1) == -1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with user_errors():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before[0])


@pytest.mark.skipif(not Path('/proc/self/fd').is_dir(), reason='counts open files as Linux lists them')
def test_no_file_stays_open():
    def open_files():
        return len(os.listdir('/proc/self/fd'))

    before = open_files()
    for _ in range(20):
        with user_errors():
            pass
    # The last thread may still be about to close its end.
    assert open_files() < before + 10


@pytest.mark.parametrize('program', [('-m', 'mmosnet', 'train'), (str(ROOT / 'tools' / 'train.py'),)])
def test_ctrl_c_while_a_command_imports_leaves_no_traceback(tmp_path, program):
    (tmp_path / 'torch.py').write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    environ = {**os.environ, 'PYTHONPATH': f'{tmp_path}{os.pathsep}{ROOT}'}
    command = [sys.executable, *program, 'osnet_reid_synthetic']
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ)
    assert process.stdout.readline() == b'ready\n'
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == b'interrupted\n'
    assert process.returncode == 130


@pytest.fixture(autouse=True)
def restored_hook(monkeypatch):
    """Programs end after an error, tests go on."""
    monkeypatch.setattr(sys, 'unraisablehook', sys.unraisablehook)


def ending(work):
    """How a program ends that does some work: its error, or its exit code."""
    with pytest.raises(SystemExit) as ended, user_errors():
        work()
    return ended.value.code


def error_line(error):
    def fail():
        raise error

    line = ending(fail)
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
def test_faults_are_named_whatever_library_met_them(error, part):
    assert part in error_line(error)


def test_the_file_is_named_where_the_error_names_none(tmp_path):
    path = tmp_path / 'a.json'

    def dump():
        with path.open('w') as file:
            file.write('a' * 9999)

    with full_disk(5000):
        assert str(path) in ending(dump)


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='no /dev/full')
@pytest.mark.parametrize('length', [9, 99999])
def test_a_full_standard_output_is_named_and_closed(monkeypatch, length):
    with open('/dev/full', 'w') as full:
        monkeypatch.setattr(sys, 'stdout', full)
        # A long line is not kept; then a variable names the file.
        assert ending(lambda: print('a' * length)).startswith(('error: standard output: ', 'error: /dev/full: '))
        full.flush()


def test_faults_in_threads_end_the_program_too(capfd):
    def fail():
        raise OSError(errno.ENOSPC, 'No space left on device', 'events.out')

    def work():
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()

    assert 'events.out' in ending(work) and 'Traceback' not in capfd.readouterr().err


def test_the_fault_is_named_where_handling_it_failed():
    def work(*fault):
        try:
            raise FileNotFoundError(errno.ENOENT, *fault)
        finally:
            raise UnboundLocalError('folder')

    line = ending(lambda: work("No usable temporary directory found in ['/tmp']"))
    assert '/tmp' in line and 'TMPDIR' in line
    with pytest.raises(UnboundLocalError), user_errors():
        work('No such file or directory', 'a')


def test_the_traceback_is_shown_on_demand(monkeypatch, capsys):
    monkeypatch.setenv(TRACEBACK_VARIABLE, '1')
    assert error_line(OSError(errno.EROFS, 'Read-only file system', 'a')).startswith('error: a: Read-only')
    assert 'Traceback' in capsys.readouterr().err


def test_a_reader_who_has_seen_enough_gets_no_traceback(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, 'w') as pipe:
        monkeypatch.setattr(sys, 'stdout', pipe)
        assert ending(lambda: print('a long table')) == 1


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
    line = ending(lambda: MODELS.build(cfg))
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
    assert remedy in error_line(error)


@pytest.mark.parametrize('unbuffered', ['', '1'])
@pytest.mark.parametrize('characters', [10, 200_000])
def test_a_reader_that_has_seen_enough_ends_a_command_quietly(unbuffered, characters):
    program = (
        'import logging, sys\nfrom mmosnet.errors import user_errors\nlogging.basicConfig(stream=sys.stdout)\n'
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
    """In a container with a read-only disk, torch finds no folder for temporary files."""
    broken = "raise FileNotFoundError(2, 'No usable temporary directory found in', '/tmp')\n"
    (tmp_path / 'mmpretrain').mkdir()
    (tmp_path / 'mmpretrain' / '__init__.py').write_text(f"__version__ = '1.2.0'\n{broken}")
    environ = {**os.environ, 'PYTHONPATH': f'{tmp_path}{os.pathsep}{ROOT}'}
    program = 'from mmosnet.errors import user_errors\nwith user_errors():\n    import mmosnet.registry'
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, env=environ)
    assert result.returncode == 1
    assert result.stderr.startswith('error: /tmp: ') and 'TMPDIR' in result.stderr
    assert result.stderr.count('\n') == 1


def test_packages_of_the_extra_are_named(monkeypatch):
    assert need('json', 'onnx').loads('1') == 1
    lines = [
        'torch>=2.6',
        'faiss-cpu>=1; extra == "gallery"',
        "pyarrow>=15 ; extra=='gallery'",
        'h5py; extra == "m"',
    ]
    monkeypatch.setattr(errors, 'requires', lambda name: lines)
    with pytest.raises(DataError, match=r"pip install 'faiss-cpu>=1' 'pyarrow>=15'$"):
        need('no_such_package', 'gallery')

    def not_installed(name):
        raise errors.PackageNotFoundError

    monkeypatch.setattr(errors, 'requires', not_installed)
    with pytest.raises(DataError, match=r"pip install '\.\[gallery\]'"):
        need('no_such_package', 'gallery')


@pytest.mark.parametrize('runtime', ['openvino', 'onnxruntime'])
def test_runtimes_report_to_nobody(tmp_path, runtime):
    program = (
        'import socket, sys\n'
        'asked = []\n'
        'socket.getaddrinfo = lambda *arguments, **options: asked.append(arguments)\n'
        'from mmosnet.errors import need\n'
        f'need({runtime!r}, {runtime!r})\n'
        'import threading\n'
        '[t.join(5) for t in threading.enumerate() if t is not threading.main_thread()]\n'
        'print(asked, [name for name in sys.modules if name.startswith("openvino_telemetry.")])\n'
    )
    environment = {name: value for name, value in os.environ.items() if name != 'ORT_DISABLE_TELEMETRY'}
    environment |= dict(HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / 'cache'))
    done = subprocess.run([sys.executable, '-c', program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split('\n')[-2] == '[] []'
    # Where they keep the number that they give each machine.
    assert not list(tmp_path.rglob('*intel*')) and not list(tmp_path.rglob('Microsoft'))
