"""A gallery that is killed at any step of a change, or whose disk is full: all or nothing, and the next try works."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.gallery import Gallery
from mmosnet.gallery.faiss import FaissGallery
from mmosnet.gallery.vectors import VectorIndex
from tests.gallery.random_people import everything, people

CHANGES = dict(
    first=lambda gallery: gallery.enroll(people(20)),
    enroll=lambda gallery: gallery.enroll(people(20, seed=1)),
    delete=lambda gallery: gallery.delete(pid=2),
    compact=lambda gallery: gallery.compact(),
    threshold=lambda gallery: gallery.set_threshold(0.5),
)
KILLED = 9


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(FaissGallery, 'index_from', 15)
    monkeypatch.setattr(FaissGallery, 'exact_up_to', 0)


class Steps:
    """End the process before a step."""

    def __init__(self, last):
        self.last, self.taken = last, 0

    def take(self):
        self.taken += 1
        if self.taken == self.last:
            os._exit(KILLED)

    def watch(self, owner, name):
        function = getattr(owner, name)

        def counted(*arguments, **named):
            self.take()
            return function(*arguments, **named)

        setattr(owner, name, counted)


class WatchedConnection:
    """A connection to SQLite; each statement that changes something is a step."""

    def __init__(self, connection, steps):
        self._connection, self._steps = connection, steps

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, statement, *values):
        if not statement.startswith(('SELECT', 'PRAGMA')):
            self._steps.take()
        return self._connection.execute(statement, *values)

    def executemany(self, *arguments):
        self._steps.take()
        return self._connection.executemany(*arguments)


def change_until(uri, change, last):
    """Make a change in another process, which is killed before a step; return its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        signal.alarm(30)
        gallery = Gallery.open(uri)
        steps = Steps(last)
        for owner, name in (
            (os, 'fsync'),
            (os, 'truncate'),
            (Path, 'unlink'),
            (Path, 'replace'),
            (VectorIndex, 'save'),
        ):
            steps.watch(owner, name)
        gallery._table.connection = WatchedConnection(gallery._table.connection, steps)
        CHANGES[change](gallery)
    except BaseException:
        os._exit(3)
    os._exit(0)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork on this system')
@pytest.mark.parametrize('change', CHANGES)
def test_a_kill_at_any_step_leaves_all_or_nothing(tmp_path, monkeypatch, change):
    # A killed process loses nothing that it has written: waiting for the disk shows nothing here.
    monkeypatch.setattr(os, 'fsync', lambda file: None)
    # A team of threads would not live on in the child.
    faiss = pytest.importorskip('faiss')
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    with Gallery.create(tmp_path / 'gallery', 8, 'hnsw') as gallery:
        if change != 'first':
            gallery.enroll(people(30, seed=2))
            gallery.delete(ids=[3, 4])
        before = everything(gallery)
    shutil.copytree(tmp_path / 'gallery', tmp_path / 'done')
    with Gallery.open(tmp_path / 'done') as gallery:
        CHANGES[change](gallery)
        after = everything(gallery)
        kinds = {path.suffix for path in gallery.folder.iterdir()}
        files = len(list(gallery.folder.iterdir()))
    for last in range(1, 500):
        uri = tmp_path / f'killed{last}'
        shutil.copytree(tmp_path / 'gallery', uri)
        with Gallery.open(uri) as reader:
            assert everything(reader) == before
            code = change_until(uri, change, last)
            assert code in (0, KILLED)
            found = everything(reader)
            assert found in (before, after) if code else found == after
            with Gallery.open(uri) as gallery:
                assert gallery.check().is_sound
                if found == before and code:
                    CHANGES[change](gallery)
                else:
                    gallery.set_threshold(0.9)
                    gallery.set_threshold(found[-1].threshold)
                assert everything(gallery) == after
                # Nothing is left over: what was erased by compacting neither.
                assert {path.suffix for path in gallery.folder.iterdir()} <= kinds
                assert len(list(gallery.folder.iterdir())) <= files
        shutil.rmtree(uri)
        if code == 0:
            break
    assert last > 4 and code == 0
    faiss.omp_set_num_threads(threads)


# Without torch, which takes longer to import than all the rest.
SCRIPT = """
import resource, sys, warnings
sys.modules['torch'] = None
import numpy as np
from mmosnet.gallery import Gallery
from mmosnet.gallery.faiss import FaissGallery
from tests.gallery.random_people import people

FaissGallery.index_from = 1000
many = people(3000, seed=1)
warnings.simplefilter('ignore')
def limited(limit, call):
    '''The error of a call that may write so many bytes to a file.'''
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        call()
    except OSError as e:
        return e.filename.rpartition('/')[2]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
def holds():
    with Gallery.open(sys.argv[1]) as gallery:
        found = len(gallery.search(np.ones((1, 8)), 4000)[0])
        assert found == len(gallery) and gallery.check().is_sound
        assert sorted(p.suffix for p in gallery.folder.glob('.*')) == [], list(gallery.folder.iterdir())
        return found, gallery.model
print(limited(100, lambda: Gallery.create(sys.argv[1], 8, 'hnsw')))
gallery = Gallery.create(sys.argv[1], 8, 'hnsw')
for limit in (10_000, 60_000, 96_000, 100_000):
    print(limited(limit, lambda: gallery.enroll(many)), *holds())
print(limited(250_000, lambda: gallery.enroll(people(800))), *holds())
# Enrolled, but without an index.
print(limited(300_000, lambda: gallery.enroll(many[:1000])), *holds(), gallery.info()['indexed'])
print(limited(50_000, gallery.compact), *holds())
print(limited(4_000, lambda: gallery.delete(pid=1)), *holds())
print(limited(4_000, lambda: gallery.set_threshold(1)), gallery.threshold, *holds())
gallery.compact()
print(gallery.enroll(people(900, seed=2)).max(), *holds(), gallery.info()['indexed'])
"""


@pytest.mark.skipif(sys.platform == 'win32', reason='no such limit on this system')
def test_files_that_cannot_grow(tmp_path):
    """A full disk is simulated by a limit on the size of files."""
    command = [sys.executable, '-c', SCRIPT, str(tmp_path / 'new' / 'gallery')]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    vectors, records = 'vectors-0001.f32', 'gallery.sqlite'
    assert lines[:5] == [[records], [vectors, '0'], [vectors, '0'], [records, '0'], [records, '0']]
    assert lines[5:7] == [['None', '800', 'abc'], ['None', '1800', 'abc', '0']]
    for what, line in zip(('vectors-0002.f32', records, records), lines[7:10], strict=True):
        assert line[0] == what and line[-2:] == ['1800', 'abc']
    assert lines[10] == ['2699', '2700', 'abc', '1800']


def test_errors_of_sqlite_tell_causes_apart(tmp_path, monkeypatch):
    with Gallery.create(tmp_path / 'gallery', 8) as gallery:
        gallery.enroll(people(20))
        path = str(gallery.folder / 'gallery.sqlite')
        connection = gallery._table.connection
        connection.execute(f'PRAGMA max_page_count = {connection.execute("PRAGMA page_count").fetchone()[0]}')
        with pytest.raises(OSError, match='gallery') as error:
            gallery.enroll(people(2000, seed=1))
        assert (error.value.errno, error.value.filename) == (errno.ENOSPC, path)
        assert len(gallery) == 20 and (gallery.folder / 'vectors-0001.f32').stat().st_size == 20 * 32
        connection.execute('PRAGMA query_only = ON')
        with pytest.raises(OSError, match='gallery') as error:
            gallery.delete(pid=1)
        assert (error.value.errno, error.value.filename) == (errno.EACCES, path)
        connection.execute('PRAGMA query_only = OFF')
        monkeypatch.setattr('mmosnet.gallery.records.BUSY_TIMEOUT', 7)
        connection.execute('PRAGMA busy_timeout = 10')
        with Gallery.open(gallery.uri) as other, other._table.reading():
            other._table.head()
            with pytest.raises(DataError, match=r'in use .* 7 s'):
                gallery.delete(pid=1)
        assert gallery.delete(pid=1) > 0


def test_a_gallery_that_cannot_be_written_is_searched(tmp_path, monkeypatch):
    """A read-only file system is simulated, since a privileged user may write to files of any mode."""
    with Gallery.create(tmp_path / 'gallery', 8) as gallery:
        gallery.enroll(people(20))
    opened = os.open

    def read_only(path, flags, *more, **named):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and str(path).startswith(str(tmp_path)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return opened(path, flags, *more, **named)

    monkeypatch.setattr(os, 'open', read_only)
    with Gallery.open(tmp_path / 'gallery') as gallery:
        assert len(gallery.search(np.ones((1, 8)), 99)[0]) == 20 and gallery.check().is_sound
        for change in CHANGES.values():
            with pytest.raises(OSError, match='gallery') as error:
                change(gallery)
            assert error.value.errno == errno.EROFS and str(gallery.folder) in str(error.value.filename)
        assert len(gallery) == 20
    with pytest.raises(OSError, match='gallery') as error:
        Gallery.create(tmp_path / 'new' / 'gallery', 8)
    assert error.value.errno == errno.EROFS and not (tmp_path / 'new').exists()


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork on this system')
def test_the_lock_of_a_killed_process_is_free(tmp_path):
    with Gallery.create(tmp_path / 'gallery', 8) as gallery:
        gallery.enroll(people(20))
        gallery._file_lock.timeout = 5
        child = os.fork()
        if not child:
            other = Gallery.open(gallery.uri)
            other._writing().__enter__()
            os._exit(KILLED)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED
        assert len(gallery.enroll(people(5, seed=1))) == 5
