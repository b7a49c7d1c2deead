import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOOLS = sorted((Path(__file__).resolve().parents[1] / 'tools').glob('*.py'))
# Torch is hidden: importing it would take longer than all the rest.
PROGRAM = """
import ctypes, multiprocessing, os, sys, time
sys.modules['torch'] = None
from mmosnet import interruption as module
from mmosnet.user_errors import user_errors
# The others return to Python, however busy the machine is.
if '{body}' == 'stuck':
    module.GRACE_SECONDS = 0.5

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

with user_errors() as interruption:
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
    from mmosnet.user_errors import user_errors

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


@pytest.mark.parametrize('tool', TOOLS, ids=[tool.stem for tool in TOOLS])
def test_ctrl_c_while_a_tool_imports_leaves_no_traceback(tmp_path, tool):
    # What all of them import, before what takes seconds.
    (tmp_path / 'argparse.py').write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    environ = {**os.environ, 'PYTHONPATH': str(tmp_path)}
    process = subprocess.Popen([sys.executable, tool], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ)
    assert process.stdout.readline() == b'ready\n'
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == b''
    assert process.returncode == -signal.SIGINT
