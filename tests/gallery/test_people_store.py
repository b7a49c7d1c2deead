"""Killed between any two writes, an operation has happened or not; another process goes on as if nothing had been."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mmosnet.errors import DataError
from mmosnet.gallery import Gallery, People
from tests.gallery import killed_people
from tests.gallery.test_people import state

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


def milvus(operations=()):
    """Run operations in the gallery of the current folder, and return the state."""
    with Gallery.open('./g.db') as gallery, People(gallery, './people.sqlite', **killed_people.LIMITS) as people:
        for operation in operations:
            killed_people.OPERATIONS[operation](people)
        return state(people)


def test_people_in_milvus_and_killed(tmp_path, monkeypatch):
    def enter(name):
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)

    enter('now')
    with Gallery.create('./g.db', dimension=3) as gallery, pytest.raises(DataError, match='journal='):
        People(gallery)
    first, merge, undo = [0, 1, 2, 4], 5, 6
    states = [milvus(first)]
    shutil.copytree(tmp_path / 'now', tmp_path / 'before')
    states += [milvus([merge]), milvus([undo]), milvus([7, 8, 10])]
    assert states[2] == states[0] != states[1]
    # The same as in a folder.
    enter('folder')
    with Gallery.create('gallery', dimension=3) as gallery, People(gallery, **killed_people.LIMITS) as people:
        for number, expected in (
            ([*first], states[0]),
            ([merge], states[1]),
            ([undo], states[2]),
            ([7, 8, 10], states[3]),
        ):
            for operation in number:
                killed_people.OPERATIONS[operation](people)
            rows, *rest = state(people)
            assert rest == list(expected[1:])
            # Sources have the number of the journal.
            assert [(row[0], *row[2:]) for row in rows] == [(row[0], *row[2:]) for row in expected[0]]
    outcomes = []
    for writes in (6, 20, 29, 38):
        shutil.copytree(tmp_path / 'before', tmp_path / f'killed-{writes}')
        done = killed('milvus', tmp_path / f'killed-{writes}', writes, merge)
        assert done.returncode == -signal.SIGKILL, done.stderr
        enter(f'killed-{writes}')
        found = milvus()
        outcomes.append(states.index(found))
        if outcomes[-1] == 0:
            assert milvus([merge]) == states[1]
        assert milvus([undo]) == states[0]
    assert outcomes == sorted(outcomes) and {*outcomes} == {0, 1}


OBSERVER = """
import sys
import numpy as np
from mmosnet.gallery import Gallery, People

camid, uri = int(sys.argv[1]), sys.argv[2]
places = np.random.RandomState(0).randn(40, 3).astype(np.float32)
with Gallery.open(uri) as gallery, People(gallery, threshold=1e-6, band=0, margin=0, images_per_person=2) as people:
    for number in range(20):
        # The first ten are seen by both cameras.
        row = number if number < 10 else 10 * camid + number
        sighting = people.observe(places[row], camid, float(number) + camid / 2)
        print(row, sighting.pid, sighting.number)
"""


def test_processes_that_observe_at_once(tmp_path):
    uri = str(tmp_path / 'gallery')
    Gallery.create(uri, dimension=3).close()
    command = [sys.executable, '-c', OBSERVER]
    processes = [
        subprocess.Popen([*command, str(camid), uri], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        for camid in range(2)
    ]
    lines = [line.split() for process in processes for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in processes] == [0, 0] and len(lines) == 40
    # One number for each person, whoever saw them first; and each sighting has its own number.
    assert len({(row, pid) for row, pid, _ in lines}) == len({row for row, _, _ in lines}) == 30
    assert len({pid for _, pid, _ in lines}) == 30
    assert sorted(int(number) for _, _, number in lines) == list(range(40))
    with Gallery.open(uri) as gallery, People(gallery, threshold=1e-6) as people:
        assert sum(people.pids().values()) == 40 and len(people.sightings()) == 40
