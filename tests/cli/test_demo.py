"""The command as users start it; the page itself is tested in tests/demo."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.apis.small_models import CATEGORY, CLASSES, small_checkpoint, small_config
from tests.cli.command import outcome


@pytest.fixture
def demo(tmp_path, monkeypatch, capsys):
    """The command in this process: gives its output, or its error for people."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: outcome(capsys, 'demo', *arguments)


def test_without_arguments(tmp_path):
    # In a process of its own: Gradio's server changes what a process logs, and to where.
    command = [sys.executable, '-m', 'mmosnet', 'demo', '--check', '--port', '0', '--device', 'cpu']
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2]))
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    output = result.stdout + result.stderr
    assert '192 images in work_dirs/demo/gallery-' in output and 'page     http://127.0.0.1:' in output
    assert 'check    status 200' in output and 'warning' not in output
    assert [path.name for path in sorted((tmp_path / 'work_dirs' / 'demo').iterdir())[1:]] == ['people']


def test_mistakes_get_a_message(demo, tmp_path):
    small_config(CATEGORY).dump(tmp_path / 'objects.py')
    small_checkpoint(tmp_path / 'objects.pth', CATEGORY, classes=CLASSES)
    assert 'gives no embedding to search with' in demo('objects.py', 'objects.pth')
    assert demo('--gallery', 'nowhere').startswith('error: ')
    assert demo('objects.py') == 'error: objects.py has no released weights in model-index.yml: name a checkpoint'
    assert demo('osnet-x0.25_multitask').startswith("error: 'osnet-x0.25_multitask' is neither a config")
    assert demo('objects.py', 'gone.pth').startswith('error: no checkpoint gone.pth')
    assert demo('--images', '.').startswith('error: --images is for the pictures of --gallery')
