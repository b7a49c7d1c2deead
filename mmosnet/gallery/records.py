"""The records and the state of a gallery in an SQLite file."""

from __future__ import annotations

import errno
import json
import math
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features.features import NAMED
from mmosnet.gallery.settings import FIELDS, WITH_CHECKSUMS, GallerySettings, Record
from mmosnet.gallery.vectors import DamagedImage, damage_error, record_checksum, text_checksum

# Unique names of people (key 'pid') and cameras (key 'camid').
NAMES = """
CREATE TABLE names (
    key TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (key, number), UNIQUE (key, name)
)
"""
SCHEMA = f"""
CREATE TABLE gallery (settings TEXT NOT NULL, state TEXT NOT NULL, checksum INTEGER);
CREATE TABLE records (
    id INTEGER PRIMARY KEY, row INTEGER NOT NULL, path TEXT NOT NULL, pid INTEGER NOT NULL, camid INTEGER NOT NULL,
    time REAL, source TEXT, vector_checksum INTEGER, checksum INTEGER, track TEXT, frames INTEGER, attributes TEXT
);
{NAMES};
"""
# Columns that galleries of version 1 lack, beside the table of names; and those that galleries of version 2 may lack.
LATER_COLUMNS = (
    ('gallery', 'checksum INTEGER'),
    ('records', 'vector_checksum INTEGER'),
    ('records', 'checksum INTEGER'),
    ('records', 'source TEXT'),
)
TRACK_COLUMNS = (('records', 'track TEXT'), ('records', 'frames INTEGER'), ('records', 'attributes TEXT'))
# Columns of records that a gallery may lack, with the value for NULL as SQL.
OPTIONAL = dict(source="''", track="''", frames='1', attributes="''")
# Begins and ends each name in the column of attributes: names are texts in one line.
BREAK = '\n'
REMEDY = 'restore the file, or create the gallery anew'
# Seconds to wait while another process locks the file.
BUSY_TIMEOUT = 60
# Rows per fetch of numbers; ids per query, and rows per fetch of whole records.
MANY, FEW = 50_000, 500


@dataclass(frozen=True)
class GalleryState:
    """The files that belong to a gallery, and the number of their rows.

    Attributes:
        generation: Generation of the vector and index files; :meth:`FaissGallery.compact` begins a new one.
        rows: Rows of the vector file, including those of deleted images; further rows are left over from an enrollment
            that was cut off.
        indexed: Rows in the index file; 0 without one.
        index_bytes: Size of the index file.
        trained: Rows that the index was trained on.
        next_id: Number of the next image.
        deletions: Number of deletions in this generation, and of times that images moved to another person.
        records: Number of records; None in a gallery without checksums.
        index_checksum: Checksum of the index file; None without one.
        names_checksum: Checksum of all names; None in a gallery without checksums, which has no names either.
    """

    generation: int = 1
    rows: int = 0
    indexed: int = 0
    index_bytes: int = 0
    trained: int = 0
    next_id: int = 0
    deletions: int = 0
    records: int | None = None
    index_checksum: int | None = None
    names_checksum: int | None = None


class RecordTable:
    """The file ``gallery.sqlite``. Each change is one transaction that includes the new state.

    Args:
        path: A file that :meth:`create` made.

    Raises:
        DataError: The file is damaged, or in use for longer than :data:`BUSY_TIMEOUT`.
        OSError: The file cannot be read or written, as on a full disk or a read-only file system.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Names, with the version of the file from which they were read.
        self._known_names: tuple[int, dict[str, dict[int, str]]] | None = None
        with self._errors():
            self.connection = self._connect(path)

    @classmethod
    def create(cls, path: Path, settings: GallerySettings) -> None:
        """Create the file."""
        with sqlite_errors(path), closing(cls._connect(path)) as connection:
            connection.executescript(SCHEMA)
            settings = replace(settings, version=WITH_CHECKSUMS)
            row = (settings.to_json(), json.dumps(asdict(GalleryState(records=0, names_checksum=_names_checksum([])))))
            connection.execute('INSERT INTO gallery VALUES (?, ?, ?)', (*row, text_checksum(*row)))

    @staticmethod
    def _connect(path: Path) -> sqlite3.Connection:
        # FaissGallery's lock keeps threads apart. No isolation level: the transactions below are explicit.
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        # Names of files that are not UTF-8 keep their bytes.
        connection.text_factory = lambda data: data.decode('utf-8', 'surrogateescape')
        # Deleted rows are overwritten, commits reach the disk, and the file cannot run code.
        for pragma in ('secure_delete = ON', 'synchronous = FULL', 'trusted_schema = OFF'):
            connection.execute(f'PRAGMA {pragma}')
        return connection

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        self.connection.close()

    def version(self) -> int:
        """Return a number that changes when another connection has changed the file."""
        with self._errors():
            return self.connection.execute('PRAGMA data_version').fetchone()[0]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read a consistent state inside the ``with`` block."""
        with nullcontext() if self.connection.in_transaction else self._transaction('BEGIN'):
            yield

    def head(self) -> tuple[GallerySettings, GalleryState]:
        """Return settings and state."""
        with self._errors():
            row = self.connection.execute('SELECT * FROM gallery').fetchone()
            if row is None:
                raise sqlite3.DatabaseError('no settings in it')
            checked = 'checksum' in self._columns_of('gallery')
        settings = GallerySettings.from_json(row[0], str(self.path))
        try:
            state = GalleryState(**json.loads(row[1]))
        except (ValueError, TypeError, RecursionError) as e:
            raise DataError(f'{self.path}: damaged ({e}): {REMEDY}') from e
        # Version 2 added both, so that a damaged column name does not turn a gallery into an older one.
        if checked != (state.records is not None) or (checked and row[2] != text_checksum(*row[:2])):
            raise DataError(f'{self.path}: settings or state are damaged, their checksum is another one: {REMEDY}')
        return settings, state

    def columns(self, from_id: int = -(2**63)) -> np.ndarray:
        """Return the records from an id on, ascending by id, unchecked.

        Args:
            from_id: First id; all records by default.

        Returns:
            ``(N,)`` with the fields ``row``, ``id``, ``pid``, ``camid``, ``time`` and ``vector_checksum``, which is -1
            in a gallery without checksums.
        """
        whole = ('row', 'pid', 'camid', 'vector_checksum')
        dtype = np.dtype([('id', np.int64), ('time', np.float64), *((name, np.int64) for name in whole)])
        parts = [np.empty(0, dtype)]
        with self._errors():
            lacking = {'vector_checksum'} - set(self._columns_of('records'))
            # A damaged value may have any type.
            numbers = ['-1' if name in lacking else f'IFNULL(CAST({name} AS INTEGER), -1)' for name in whole]
            query = f'SELECT id, CAST(time AS REAL), {", ".join(numbers)} FROM records WHERE id >= ? ORDER BY id'
            cursor = self.connection.execute(query, (from_id,))
            while rows := cursor.fetchmany(MANY):
                if any(row[0] is None for row in rows):
                    raise sqlite3.DatabaseError('records without an id')
                rows = [(id, math.nan if time is None else time, *others) for id, time, *others in rows]
                parts.append(np.array(rows, dtype))
        return np.concatenate(parts)

    def records(self, ids: Sequence[int]) -> list[Record]:
        """Return the records of those ids that exist, in any order.

        Raises:
            DataError: The checksum of a record does not match.
        """
        records = []
        with self.reading():
            people, cameras = self.names().values()
            for (id, path, pid, camid, time, source, track, frames, attributes), is_sound in self._checked_by_id(ids):
                if not is_sound:
                    raise damage_error(self.path.parent, DamagedImage(id, str(path), 'record'))
                names = (people.get(pid, ''), cameras.get(camid, ''), source)
                present = tuple(name for name in attributes.split(BREAK) if name)
                time = math.nan if time is None else time
                records.append(Record(id, path, pid, camid, time, *names, track, frames, present))
        return records

    def names(self) -> dict[str, dict[int, str]]:
        """Return the names of people (key ``'pid'``) and cameras (``'camid'``) by number; read-only.

        Raises:
            DataError: The names are damaged.
        """
        with self.reading():
            version = self.version()
            if self._known_names is None or self._known_names[0] != version:
                rows = self._name_rows()
                if self.head()[1].names_checksum != (_names_checksum(rows) if self._columns_of('names') else None):
                    raise DataError(f'{self.path}: names are damaged, their checksum is another one: {REMEDY}')
                names = {key: {number: name for other, number, name in rows if other == key} for key in NAMED}
                self._known_names = (version, names)
            return self._known_names[1]

    def _name_rows(self) -> list[tuple[str, int, str]]:
        if not self._columns_of('names'):
            return []
        with self._errors():
            # The table itself: its index may be damaged alone.
            return sorted(self.connection.execute('SELECT key, number, name FROM names NOT INDEXED'))

    def damaged(self) -> list[DamagedImage]:
        """Return all records whose checksums do not match."""
        checked = self._checked('ORDER BY id')
        return [DamagedImage(row[0], str(row[1]), 'record') for row, is_sound in checked if not is_sound]

    def check(self) -> str:
        """Return the damage that SQLite finds in the file; empty if there is none."""
        with self._errors():
            answer = [str(row[0]) for row in self.connection.execute('PRAGMA integrity_check(3)')]
        if answer != ['ok']:
            return ' '.join('; '.join(answer).split())
        try:
            self.names()
        except DataError as e:
            return str(e)
        return ''

    def paths(self, ids: Sequence[int]) -> dict[int, str]:
        """Return the image paths of those ids that exist, unchecked."""
        return {row[0]: str(row[1]) for row, _ in self._checked_by_id(ids)}

    def _checked_by_id(self, ids: Sequence[int]) -> Iterator[tuple[tuple, bool]]:
        """Return :meth:`_checked` records of those ids that exist."""
        for start in range(0, len(ids), FEW):
            some = ids[start : start + FEW]
            yield from self._checked(f'WHERE id IN ({", ".join("?" * len(some))})', some)

    def _checked(self, where: str, values: Sequence = ()) -> Iterator[tuple[tuple, bool]]:
        """Return :data:`FIELDS` and :data:`OPTIONAL` of records, and whether their checksums match."""
        with self._errors():
            fields = (*FIELDS, *self._optional(*OPTIONAL))
            cursor = self.connection.execute(f'SELECT {", ".join(fields)}, * FROM records {where}', values)
            names = [column[0] for column in cursor.description][len(fields) :]
            checksum = names.index('checksum') if 'checksum' in names else None
            while rows := cursor.fetchmany(FEW):
                for row in rows:
                    whole = row[len(fields) :]
                    is_sound = checksum is None or whole[checksum] == record_checksum(names, whole)
                    yield row[: len(fields)], is_sound

    def _optional(self, *columns: str) -> list[str]:
        """Return SQL for some of the columns :data:`OPTIONAL`."""
        known = self._columns_of('records')
        return [f'IFNULL({name}, {OPTIONAL[name]})' if name in known else OPTIONAL[name] for name in columns]

    def selected(self, tracks: Sequence[str] | None, attributes: Sequence[str] | None) -> np.ndarray:
        """Return the ids of the records with one of the tracks, if given, and with all attributes, if given.

        The columns are not checked: a search checks the records that it returns.
        """
        track, present = self._optional('track', 'attributes')
        # A bound text is compared as it is: no user's text becomes SQL.
        terms: list[str] = []
        values: list[str | bytes] = []
        if tracks is not None:
            # One value, since SQLite takes only some thousands.
            terms.append(f'{track} IN (SELECT value FROM json_each(?))')
            values.append(json.dumps(tracks))
        for name in attributes or ():
            terms.append(f'instr({present}, CAST(? AS TEXT))')
            values.append(_as_bytes(f'{BREAK}{name}{BREAK}'))
        with self._errors():
            query = f'SELECT id FROM records WHERE {" AND ".join(terms) or "1"}'
            return np.fromiter((row[0] for row in self.connection.execute(query, values)), np.int64)

    def count_pooled(self) -> int:
        """Return the number of records that are pooled from several images."""
        with self._errors():
            (frames,) = self._optional('frames')
            return self.connection.execute(f'SELECT COUNT(*) FROM records WHERE {frames} > 1').fetchone()[0]

    def _columns_of(self, table: str) -> list[str]:
        return [row[0] for row in self.connection.execute('SELECT name FROM pragma_table_info(?)', (table,))]

    def known_paths(self, paths: Sequence[str]) -> set[tuple[str, str, str]]:
        """Return path, source and track of the records that have one of the paths, in one pass over the table."""
        with self._errors():
            self.connection.execute('CREATE TEMP TABLE given (path TEXT)')
            try:
                values = ((_as_bytes(path),) for path in paths)
                self.connection.executemany('INSERT INTO given VALUES (CAST(? AS TEXT))', values)
                columns = ', '.join(['path', *self._optional('source', 'track')])
                query = f'SELECT {columns} FROM records WHERE path IN (SELECT path FROM given)'
                return set(self.connection.execute(query))
            finally:
                self.connection.execute('DROP TABLE given')

    def add(
        self,
        rows: Iterator[tuple],
        state: GalleryState,
        settings: GallerySettings | None = None,
        names: Mapping[str, Mapping[int, str]] | None = None,
    ) -> None:
        """Add records.

        Args:
            rows: ``(id, row, path, pid, camid, time, source, track, frames, attributes, vector_checksum)``; None for a
                time or a text that is missing, and for the frames of a single image.
            state: State after the change.
            settings: New settings; the old ones stay by default.
            names: Names of people and cameras by number; some may be known already.
        """
        values = (
            (id, row, _as_bytes(path), pid, camid, time, *map(_or_null, (source, track, attributes)), frames, checksum)
            for id, row, path, pid, camid, time, source, track, frames, attributes, checksum in rows
        )
        columns = 'id, row, path, pid, camid, time, source, track, attributes, frames, vector_checksum'
        text = 'CAST(? AS TEXT)'
        with self._transaction('BEGIN IMMEDIATE'):
            self._add_columns(TRACK_COLUMNS)
            first = self.head()[1].next_id
            query = f'INSERT INTO records ({columns}) VALUES (?, ?, {text}, ?, ?, ?, {text}, {text}, {text}, ?, ?)'
            self.connection.executemany(query, values)
            self._set_checksums(first)
            known = set(self._name_rows())
            named = {
                (key, number, name) for key, by_number in (names or {}).items() for number, name in by_number.items()
            }
            # SQLite refuses a second name for a number, and a second number for a name.
            self.connection.executemany('INSERT INTO names (key, number, name) VALUES (?, ?, ?)', sorted(named - known))
            self._set_head(self._with_names(state), settings)

    def add_checksums(self, vectors: Callable[[np.ndarray], list[int]], state: GalleryState) -> None:
        """Add checksums, and columns for names and sources, to a gallery of version 1.

        Args:
            vectors: Function that returns the checksums of the vectors in some rows.
            state: State after the change.
        """
        with self._transaction('BEGIN IMMEDIATE'):
            settings = replace(self.head()[0], version=WITH_CHECKSUMS)
            self._add_columns(LATER_COLUMNS)
            if not self._columns_of('names'):
                self.connection.execute(NAMES)
            columns = self.columns()
            for start in range(0, len(columns), MANY):
                part = columns[start : start + MANY]
                pairs = zip(vectors(part['row']), part['id'].tolist(), strict=True)
                self.connection.executemany('UPDATE records SET vector_checksum = ? WHERE id = ?', pairs)
            self._set_checksums(0)
            self._set_head(self._with_names(state), settings)

    def _add_columns(self, columns: Sequence[tuple[str, str]]) -> None:
        """Add those columns that the file lacks; they are NULL, which keeps the checksums of records."""
        for table, column in columns:
            if column.split()[0] not in self._columns_of(table):
                self.connection.execute(f'ALTER TABLE {table} ADD COLUMN {column}')

    def remove(self, ids: Sequence[int], state: GalleryState) -> None:
        """Remove records, all of which exist, and the names of people and cameras without records."""
        with self._transaction('BEGIN IMMEDIATE'):
            cursor = self.connection.executemany('DELETE FROM records WHERE id = ?', ((id,) for id in ids))
            if cursor.rowcount != len(ids):
                raise sqlite3.DatabaseError(f'{cursor.rowcount} of {len(ids)} records could be deleted')
            self._remove_unused_names()
            self._set_head(self._with_names(state))

    def relabel(self, ids: Sequence[int], pid: int, state: GalleryState) -> None:
        """Move records, all of which exist, to a person; remove the names of people without records."""
        with self._transaction('BEGIN IMMEDIATE'):
            self.connection.executemany('UPDATE records SET pid = ? WHERE id = ?', ((pid, id) for id in ids))
            for id in ids:
                cursor = self.connection.execute('SELECT * FROM records WHERE id = ?', (id,))
                checksum = record_checksum([column[0] for column in cursor.description], cursor.fetchone())
                self.connection.execute('UPDATE records SET checksum = ? WHERE id = ?', (checksum, id))
            self._remove_unused_names()
            self._set_head(self._with_names(state))

    def rename(self, pid: int, name: str, state: GalleryState) -> None:
        """Replace the name of a person; an empty one removes it."""
        with self._transaction('BEGIN IMMEDIATE'):
            self.connection.execute("DELETE FROM names WHERE key = 'pid' AND number = ?", (pid,))
            if name:
                self.connection.execute("INSERT INTO names (key, number, name) VALUES ('pid', ?, ?)", (pid, name))
            self._set_head(self._with_names(state))

    def _remove_unused_names(self) -> None:
        for key in {row[0] for row in self._name_rows()} & {*NAMED}:
            query = f'DELETE FROM names WHERE key = ? AND number NOT IN (SELECT {key} FROM records)'
            self.connection.execute(query, (key,))

    def renumber(self, state: GalleryState) -> None:
        """Renumber the rows from 0 without gaps."""
        with self._transaction('BEGIN IMMEDIATE'):
            numbers = 'SELECT id AS known, ROW_NUMBER() OVER (ORDER BY id) - 1 AS number FROM records'
            self.connection.execute(f'UPDATE records SET row = number FROM ({numbers}) WHERE id = known')
            self._set_head(state)

    def save_state(self, state: GalleryState) -> None:
        """Replace the state alone."""
        with self._transaction('BEGIN IMMEDIATE'):
            self._set_head(state)

    def save_settings(self, settings: GallerySettings) -> None:
        """Replace the settings."""
        with self._transaction('BEGIN IMMEDIATE'):
            self._set_head(self.head()[1], settings)

    def vacuum(self) -> None:
        """Shrink the file to its content."""
        with self._errors():
            self.connection.execute('VACUUM')

    def _with_names(self, state: GalleryState) -> GalleryState:
        """Return the state with the checksum of the current names."""
        self._known_names = None
        return replace(state, names_checksum=_names_checksum(self._name_rows()))

    def _set_head(self, state: GalleryState, settings: GallerySettings | None = None) -> None:
        """Replace the state, and the settings if they are given."""
        text, checksum = json.dumps(asdict(state)), None
        (known,) = self.connection.execute('SELECT settings FROM gallery').fetchone()
        known = known if settings is None else settings.to_json()
        if state.records is not None:
            checksum = text_checksum(known, text)
            self.connection.execute('UPDATE gallery SET checksum = ?', (checksum,))
        self.connection.execute('UPDATE gallery SET settings = ?, state = ?', (known, text))

    def _set_checksums(self, first: int) -> None:
        """Set the checksums of the records from an id on, of the values that SQLite returns."""
        while True:
            cursor = self.connection.execute(f'SELECT * FROM records WHERE id >= ? ORDER BY id LIMIT {MANY}', (first,))
            names = [column[0] for column in cursor.description]
            rows, id = cursor.fetchall(), names.index('id')
            if not rows:
                return
            pairs = ((record_checksum(names, row), row[id]) for row in rows)
            self.connection.executemany('UPDATE records SET checksum = ? WHERE id = ?', pairs)
            first = rows[-1][id] + 1

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

    def _errors(self) -> AbstractContextManager:
        return sqlite_errors(self.path)


@contextmanager
def sqlite_errors(path: Path, remedy: str = REMEDY) -> Iterator[None]:
    """Raise SQLite's errors as errors that name the file and the remedy.

    Args:
        path: The file.
        remedy: Advice on a damaged file.
    """
    try:
        yield
    except sqlite3.ProgrammingError:
        # A mistake of the caller: the gallery is closed.
        raise
    except sqlite3.OperationalError as e:
        raise _meaning(e, path, remedy) from e
    except (sqlite3.DatabaseError, UnicodeDecodeError) as e:
        # UnicodeDecodeError: SQLite's message quotes damaged text.
        raise DataError(f'{path}: damaged ({e}): {remedy}') from e


def _meaning(error: sqlite3.OperationalError, path: Path, remedy: str) -> DataError | OSError:
    """Return the error that says whether the disk is full, or the file is read-only, in use or no gallery."""
    # Python 3.10 has only the text.
    name, text = getattr(error, 'sqlite_errorname', ''), str(error)
    if name == 'SQLITE_FULL' or text.endswith('disk is full'):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    if name == 'SQLITE_READONLY_ROLLBACK':
        # No error number means this.
        return DataError(
            f'{path}: a process that was writing has been killed, and what it left half done cannot be undone here '
            '(read-only file system, or no permission to write): open the gallery once where it can be written'
        )
    if name.startswith(('SQLITE_READONLY', 'SQLITE_CANTOPEN')) or text.startswith(('attempt to write', 'unable to op')):
        if not path.exists():
            return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        read_only = hasattr(os, 'statvfs') and os.statvfs(path).f_flag & os.ST_RDONLY
        code = errno.EROFS if read_only else errno.EACCES
        return OSError(code, os.strerror(code), str(path))
    if name.startswith('SQLITE_IOERR') or text.startswith('disk I/O error'):
        return OSError(errno.EIO, f'{os.strerror(errno.EIO)} ({name or text})', str(path))
    if name.startswith(('SQLITE_BUSY', 'SQLITE_LOCKED')) or text.endswith('is locked'):
        return DataError(f'{path}: in use by another process for more than {BUSY_TIMEOUT} s: wait for it')
    return DataError(f'{path}: no gallery, or damaged ({error}): {remedy}')


def _names_checksum(rows: Sequence[tuple[str, int, str]]) -> int:
    return text_checksum(*(str(value) for row in rows for value in row))


def _or_null(text: str | None) -> bytes | None:
    return _as_bytes(text) if text else None


def _as_bytes(path: str) -> bytes:
    """Return the path's bytes as in the file system; SQL's cast to text keeps them."""
    return path.encode('utf-8', 'surrogateescape')
