"""A program whose child processes kill themselves between two writes: see test_people_store.py.

Children are forked, since importing takes long.
"""

import os
import shutil
import signal
import sqlite3
import sys

from mmosnet.gallery import Gallery, People
from mmosnet.gallery.milvus import MilvusGallery
from tests.gallery.test_people import apart, at, state

left = -1
WRITES = ('BEGIN', 'COMMIT', 'INSERT', 'UPDATE', 'DELETE', 'VACUUM')


def write():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


class Connection(sqlite3.Connection):
    def execute(self, sql, *values):
        # Waiting for the disk protects from power failures alone.
        sql = 'PRAGMA synchronous = OFF' if sql.startswith('PRAGMA synchronous') else sql
        if sql.split()[0] in WRITES:
            write()
        return super().execute(sql, *values)

    def executemany(self, *arguments):
        write()
        return super().executemany(*arguments)


def counted(function, result=True):
    def call(*arguments, **named):
        write()
        return function(*arguments, **named) if result else None

    return call


def count_writes():
    """Count the writes of this process from now on."""
    connect = sqlite3.connect
    sqlite3.connect = lambda *arguments, **named: connect(*arguments, factory=Connection, **named)
    os.fsync = counted(os.fsync, False)
    os.truncate = counted(os.truncate)
    for name in ('_send', '_call'):
        setattr(MilvusGallery, name, counted(getattr(MilvusGallery, name)))


OPERATIONS = [
    lambda people: people.observe_frame(at(0, 90), 0, 1.0),
    lambda people: people.observe_frame(at(4, 94, 180), 0, 2.0),
    # One image is dropped, and one comes in.
    lambda people: people.observe(at(15)[0], 0, 3.0),
    lambda people: people.observe(at(205)[0], 0, 4.0),
    lambda people: people.rename(2, 'anna'),
    lambda people: people.merge(1, 2),
    lambda people: people.undo(),
    lambda people: people.split(1, [people.images(1)[0].id]),
    lambda people: people.forget(before=2.0),
    lambda people: people.observe(at(1)[0], 1, 5.0),
    lambda people: people.forget(pid=1, erase=True),
    lambda people: people.observe_frame(at(15, 180), 1, 6.0),
]
LIMITS = dict(threshold=apart(20), band=apart(30) - apart(20), margin=0.0, images_per_person=2)


def run(place, *operations):
    """Open everything anew, run operations, and return the state."""
    uri, journal = (place, None) if kind == 'faiss' else (place + '/g.db', place + '/people.sqlite')
    with Gallery.open(uri) as gallery, People(gallery, journal, **LIMITS) as people:
        for operation in operations:
            operation(people)
        return state(people)


def kill_everywhere(stride):
    Gallery.create('now', dimension=3).close()
    states = [run('now')]
    for number, operation in enumerate(OPERATIONS):
        shutil.copytree('now', f'before-{number}')
        states.append(run('now', operation))
    for number, operation in enumerate(OPERATIONS):
        outcomes = []
        for writes in range(1, 1000, stride):
            shutil.copytree(f'before-{number}', 'killed')
            child = os.fork()
            if not child:
                try:
                    globals().update(left=writes)
                    run('killed', operation)
                    os._exit(0)
                finally:
                    os._exit(1)
            status = os.waitpid(child, 0)[1]
            if status == 0:
                break
            assert os.WTERMSIG(status) == signal.SIGKILL, f'operation {number}, write {writes}'
            found = run('killed')
            outcomes.append(states.index(found, number, number + 2) - number)
            # Going on gives what there would have been.
            if outcomes[-1] == 0:
                assert run('killed', operation) == states[number + 1], f'operation {number}, write {writes}'
            if number + 1 < len(OPERATIONS):
                later = OPERATIONS[number + 1]
                assert run('killed', later) == states[number + 2], f'operation {number}, write {writes}'
            shutil.rmtree('killed')
        shutil.rmtree('killed', ignore_errors=True)
        assert outcomes == sorted(outcomes)
        print(number, outcomes.count(0), outcomes.count(1), flush=True)


if __name__ == '__main__':
    kind, folder = sys.argv[1:3]
    count_writes()
    os.chdir(folder)
    if kind == 'faiss':
        kill_everywhere(int(sys.argv[3]))
    else:
        left = int(sys.argv[3])
        run('.', *(OPERATIONS[int(number)] for number in sys.argv[4:]))
