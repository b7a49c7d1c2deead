"""Killed between any two writes, an operation has happened or not; another process goes on as if nothing had been."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def killed(*arguments):
    command = [sys.executable, '-m', 'tests.gallery.killed_people', *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


@pytest.fixture
def quick_folder(tmp_path):
    """Return a folder in memory, as far as there is one: hundreds of galleries are copied."""
    memory = Path('/dev/shm')
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        yield folder


def test_killed_anywhere_it_has_happened_or_not(quick_folder):
    # Every seventh write; all of them take minutes.
    done = killed('faiss', quick_folder, 7)
    assert done.returncode == 0, done.stderr
    counts = [list(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(counts) == 12 and all(before and after for _, before, after in counts)
