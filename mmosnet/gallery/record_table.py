"""The records of a gallery in an SQLite file: what the vectors belong to, and how many of them count."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mmosnet.errors import DataError
from mmosnet.gallery.gallery_settings import GallerySettings
from mmosnet.gallery.match import Record

SCHEMA = """
CREATE TABLE gallery (settings TEXT NOT NULL, state TEXT NOT NULL);
CREATE TABLE records (
    id INTEGER PRIMARY KEY, row INTEGER NOT NULL, path TEXT NOT NULL, pid INTEGER NOT NULL, camid INTEGER NOT NULL,
    time REAL
);
"""
# Seconds that readers and writers wait for each other's moments of exclusive use.
PATIENCE = 60
# Rows fetched, and ids asked for, at once.
MANY, FEW = 50_000, 500


@dataclass(frozen=True)
class GalleryState:
    """What files belong to a gallery, and how much of them.

    Attributes:
        generation: Of the files of vectors and index; :meth:`FaissGallery.compact` begins a new one.
        rows: Vectors that count, those of deleted images among them; what the file has beyond is of an enrolment that
            was cut off.
        indexed: Rows in the index file; 0 for none.
        index_bytes: Size of the index file.
        trained: Rows that the index was trained on.
        next_id: For the next image.
        deletions: Deletions so far in this generation.
    """

    generation: int = 1
    rows: int = 0
    indexed: int = 0
    index_bytes: int = 0
    trained: int = 0
    next_id: int = 0
    deletions: int = 0


class RecordTable:
    """The file ``gallery.sqlite``. Every change is one transaction, together with the state it leads to.

    Args:
        path: The file; :meth:`create` makes it.

    Raises:
        DataError: Damaged, or in use for longer than a minute.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._errors():
            self.connection = self._connect(path)

    @classmethod
    def create(cls, path: Path, settings: GallerySettings) -> None:
        """Make the file."""
        with closing(cls._connect(path)) as connection:
            connection.executescript(SCHEMA)
            row = (settings.to_json(), json.dumps(asdict(GalleryState())))
            connection.execute('INSERT INTO gallery VALUES (?, ?)', row)

    @staticmethod
    def _connect(path: Path) -> sqlite3.Connection:
        # Threads take turns by FaissGallery's lock. No isolation level: transactions are written out below.
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        # Names of files that are not UTF-8 keep their bytes.
        connection.text_factory = lambda data: data.decode('utf-8', 'surrogateescape')
        # Deleted rows are overwritten, commits reach the disc, and the file runs no code of its own.
        for pragma in ('secure_delete = ON', 'synchronous = FULL', 'trusted_schema = OFF'):
            connection.execute(f'PRAGMA {pragma}')
        return connection

    def close(self) -> None:
        """A second time does nothing."""
        self.connection.close()

    def version(self) -> int:
        """A number that changes when another connection has changed the file."""
        with self._errors():
            return self.connection.execute('PRAGMA data_version').fetchone()[0]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is read inside belongs together."""
        with self._transaction('BEGIN'):
            yield

    def head(self) -> tuple[GallerySettings, GalleryState]:
        """Settings and state."""
        with self._errors():
            row = self.connection.execute('SELECT settings, state FROM gallery').fetchone()
            if row is None:
                raise sqlite3.DatabaseError('no settings in it')
        settings = GallerySettings.from_json(row[0], str(self.path))
        try:
            return settings, GalleryState(**json.loads(row[1]))
        except (ValueError, TypeError, RecursionError) as e:
            raise DataError(f'{self.path}: damaged ({e}): restore the file, or create the gallery anew') from e

    def columns(self, from_row: int = 0) -> np.ndarray:
        """Records from a row on, ascending: ``(N,)`` with the fields ``row``, ``id``, ``pid``, ``camid``, ``time``."""
        kind = np.dtype([(name, np.int64) for name in ('row', 'id', 'pid', 'camid')] + [('time', np.float64)])
        query = 'SELECT row, id, pid, camid, time FROM records WHERE row >= ? ORDER BY id'
        parts = [np.empty(0, kind)]
        with self._errors():
            cursor = self.connection.execute(query, (from_row,))
            while rows := cursor.fetchmany(MANY):
                parts.append(np.array([(*row[:4], math.nan if row[4] is None else row[4]) for row in rows], kind))
        return np.concatenate(parts)

    def records(self, ids: Sequence[int]) -> list[Record]:
        """Records of those ids that there are, in any order."""
        found = []
        with self._errors():
            for start in range(0, len(ids), FEW):
                some = ids[start : start + FEW]
                marks = ', '.join('?' * len(some))
                query = f'SELECT id, path, pid, camid, time FROM records WHERE id IN ({marks})'
                found += self.connection.execute(query, some).fetchall()
        return [Record(*row[:4], math.nan if row[4] is None else row[4]) for row in found]

    def known_paths(self, paths: Sequence[str]) -> set[str]:
        """Those of the paths that there are: one pass through the table."""
        with self._errors():
            self.connection.execute('CREATE TEMP TABLE wanted (path TEXT)')
            try:
                values = ((_as_bytes(path),) for path in paths)
                self.connection.executemany('INSERT INTO wanted VALUES (CAST(? AS TEXT))', values)
                query = 'SELECT path FROM records WHERE path IN (SELECT path FROM wanted)'
                return {row[0] for row in self.connection.execute(query)}
            finally:
                self.connection.execute('DROP TABLE wanted')

    def add(self, rows: Iterator[tuple], state: GalleryState) -> None:
        """Add records ``(id, row, path, pid, camid, time)``."""
        values = ((id, row, _as_bytes(path), *rest) for id, row, path, *rest in rows)
        with self._transaction('BEGIN IMMEDIATE'):
            self.connection.executemany('INSERT INTO records VALUES (?, ?, CAST(? AS TEXT), ?, ?, ?)', values)
            self._set_state(state)

    def remove(self, ids: Sequence[int], state: GalleryState) -> None:
        """Remove records."""
        with self._transaction('BEGIN IMMEDIATE'):
            self.connection.executemany('DELETE FROM records WHERE id = ?', ((id,) for id in ids))
            self._set_state(state)

    def renumber(self, state: GalleryState) -> None:
        """Number the rows from 0 on without gaps."""
        with self._transaction('BEGIN IMMEDIATE'):
            numbers = 'SELECT id AS known, ROW_NUMBER() OVER (ORDER BY id) - 1 AS number FROM records'
            self.connection.execute(f'UPDATE records SET row = number FROM ({numbers}) WHERE id = known')
            self._set_state(state)

    def save_state(self, state: GalleryState) -> None:
        """Replace the state alone."""
        with self._transaction('BEGIN IMMEDIATE'):
            self._set_state(state)

    def save_settings(self, settings: GallerySettings) -> None:
        """Replace the settings."""
        text = settings.to_json()
        with self._transaction('BEGIN IMMEDIATE'):
            self.connection.execute('UPDATE gallery SET settings = ?', (text,))

    def vacuum(self) -> None:
        """Shrink the file to what is in it."""
        with self._errors():
            self.connection.execute('VACUUM')

    def _set_state(self, state: GalleryState) -> None:
        self.connection.execute('UPDATE gallery SET state = ?', (json.dumps(asdict(state)),))

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with self._errors():
            self.connection.execute(begin)
            try:
                yield
                self.connection.execute('COMMIT')
            finally:
                if self.connection.in_transaction:
                    self.connection.execute('ROLLBACK')

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            # Of the caller's: a gallery that was closed.
            raise
        except sqlite3.OperationalError as e:
            raise DataError(f'{self.path}: {e}: is the disc full, the file write-protected, or no gallery?') from e
        except sqlite3.DatabaseError as e:
            raise DataError(f'{self.path}: damaged ({e}): restore the file, or create the gallery anew') from e


def _as_bytes(path: str) -> bytes:
    """As the file system has it; SQL's cast to text leaves bytes as they are."""
    return path.encode('utf-8', 'surrogateescape')
