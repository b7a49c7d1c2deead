import os
import subprocess
import sys

import pytest

from mmosnet import progress
from mmosnet.progress import ProgressBar, tracked

PROGRAM = """
import sys, time
from mmosnet.progress import ProgressBar
with ProgressBar(3, 'images') as bar:
    for _ in range(3):
        time.sleep(0.2)
        bar.advance(note='[red]2 of 4 shards')
    bar.say('a line')
print(bar.done, bar.has_bar)
"""


def test_a_log_gets_a_line_now_and_then(capsys, monkeypatch):
    now = iter([0, 30, 60, 60, 90, 119, 120, 120])
    monkeypatch.setattr(progress.time, 'perf_counter', lambda: next(now))
    with ProgressBar(1000, 'images') as bar:
        for _ in range(5):
            bar.advance(100)
    assert capsys.readouterr().err.splitlines() == [
        '200 of 1,000 images, 00:04:00 left',
        '500 of 1,000 images, 00:02:00 left',
    ]
    assert bar.done == 500 and not bar.has_bar


def test_nothing_is_written_where_it_is_quick_or_disabled(capsys, monkeypatch):
    assert list(tracked('abc', 'letters')) == ['a', 'b', 'c'] and list(tracked(iter('ab'), 'letters', 2)) == ['a', 'b']
    monkeypatch.setattr(progress, 'SECONDS', 0)
    assert list(tracked('abc', 'letters', disable=True)) == ['a', 'b', 'c']
    assert capsys.readouterr() == ('', '')


@pytest.mark.skipif(os.name != 'posix', reason='needs a pseudo-terminal')
def test_a_terminal_gets_a_bar():
    import pty

    master, terminal = pty.openpty()
    environment = dict(os.environ, TERM='xterm', COLUMNS='120')
    process = subprocess.run(
        [sys.executable, '-c', PROGRAM], stdout=subprocess.PIPE, stderr=terminal, text=True, env=environment
    )
    os.close(terminal)
    shown = os.read(master, 100_000).decode()
    os.close(master)
    assert process.returncode == 0 and process.stdout == '3 True\n'
    assert 'images' in shown and '/3' in shown and '[red]2 of 4 shards' in shown and '/s' in shown
    assert 'a line' not in shown
