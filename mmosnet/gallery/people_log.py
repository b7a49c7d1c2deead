"""The journal of :class:`~mmosnet.gallery.people.People`: what was seen, decided and changed, in an SQLite file.

Each operation is one transaction, written before the gallery is changed. A process that is killed leaves the operation
marked as pending, and the next process completes it: the changes name images by path, source and track, so that
repeating them has no further effect. The file also keeps the embeddings of dropped images, to undo operations.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features import Features
from mmosnet.features.features import NAME_COLUMNS
from mmosnet.gallery.records import BUSY_TIMEOUT, sqlite_errors

VERSION = 1
# Stages of an operation: the gallery is changed, is being changed, or changed back after an error.
COMPLETE, PENDING, REVERTING = 0, 1, 2
SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE operations (
    op INTEGER PRIMARY KEY, kind TEXT NOT NULL, at REAL NOT NULL, stage INTEGER NOT NULL, done INTEGER NOT NULL,
    undone_by INTEGER, undoes INTEGER
);
CREATE INDEX pending ON operations (op) WHERE stage > 0;
CREATE TABLE sightings (
    number INTEGER PRIMARY KEY, op INTEGER NOT NULL, verdict TEXT NOT NULL, pid INTEGER NOT NULL, person INTEGER,
    camid INTEGER NOT NULL, start REAL, until REAL, track TEXT NOT NULL, image TEXT NOT NULL, distance REAL,
    runner_up REAL, confidence REAL NOT NULL, reason TEXT NOT NULL
);
CREATE INDEX whereabouts ON sightings (person, camid, until);
CREATE INDEX by_image ON sightings (image);
CREATE INDEX by_camera ON sightings (camid, until);
CREATE INDEX by_operation ON sightings (op);
CREATE TABLE changes (
    op INTEGER NOT NULL, part INTEGER NOT NULL, action TEXT NOT NULL, pid INTEGER NOT NULL, moved_to INTEGER NOT NULL,
    own INTEGER NOT NULL, image TEXT NOT NULL, time REAL, columns TEXT NOT NULL, embedding BLOB, PRIMARY KEY (op, part)
) WITHOUT ROWID;
CREATE TABLE moves (op INTEGER NOT NULL, number INTEGER NOT NULL, before INTEGER NOT NULL, after INTEGER NOT NULL);
CREATE INDEX moves_by_operation ON moves (op);
CREATE TABLE own (image TEXT PRIMARY KEY) WITHOUT ROWID;
"""
REMEDY = (
    'restore the file, or remove it with the -wal and -shm beside it: the log and undoing are lost then, the people in '
    'the gallery stay'
)
# Columns of the log, in the order of its file.
COLUMNS = (
    'operation', 'event', 'undone', 'at', 'time', 'until', 'camid', 'track', 'pid', 'to', 'name', 'distance',
    'runner_up', 'confidence', 'reason', 'path', 'source',
)  # fmt: skip
# Columns of a sighting after number, verdict and person.
SEEN = ('camid', 'start', 'until', 'track', 'image', 'distance', 'runner_up', 'confidence', 'reason')
# Columns that identify an image.
IMAGE = ('path', 'source', 'track')
EVENTS = dict(enroll='enrolled', drop='dropped', move='moved', rename='renamed')


def image_key(path: str, source: str, track: str = '') -> str:
    """Return what identifies an image or a track in a gallery as one ASCII text, whatever characters it has."""
    return json.dumps([path, source, track])


@dataclass(frozen=True)
class Change:
    """A change of the gallery, which can be repeated and reversed.

    Attributes:
        action: ``'enroll'`` an image, ``'drop'`` it, ``'move'`` it to another person, or ``'rename'`` a person.
        pid: The person.
        columns: Columns of the image's features by name, without embedding and identity, and the names of person and
            camera; for ``'rename'`` the old name and the new one, ``dict(name='', new='anna')``.
        embedding: ``(D,)`` float32; None where it is not needed, or no longer kept.
        moved_to: The person to move the image to.
        own: Whether :meth:`~mmosnet.gallery.people.People.observe` enrolled the image.
    """

    action: str
    pid: int
    columns: dict = field(default_factory=dict)
    embedding: np.ndarray | None = None
    moved_to: int = -1
    own: bool = False

    @classmethod
    def of(cls, action: str, features: Features, row: int, **more: Any) -> Change:
        """Return the change of an image that is a row of features."""
        columns = {}
        for column in fields(features):
            if column.name not in ('embedding', 'pid', 'model', 'names'):
                value = getattr(features, column.name)[row]
                columns[column.name] = value.item() if isinstance(value, np.generic) else value
        pid = int(features.pid[row])
        columns['name'] = features.names['pid'].get(pid, '')
        columns['camera'] = features.names['camid'].get(int(features.camid[row]), '')
        embedding = None if action == 'move' else features.embedding[row]
        return cls(action, pid, columns, embedding, **more)

    @property
    def image(self) -> str:
        """The image as one text (:func:`image_key`); empty for ``'rename'``."""
        return '' if self.action == 'rename' else image_key(*(self.columns[name] for name in IMAGE))

    def reversed(self) -> Change:
        """Return the change that takes this one back."""
        if self.action == 'rename':
            return replace(self, columns=dict(name=self.columns['new'], new=self.columns['name']))
        if self.action == 'move':
            return replace(self, pid=self.moved_to, moved_to=self.pid)
        return replace(self, action='drop' if self.action == 'enroll' else 'enroll')


def features_of(changes: Sequence[Change], model: str) -> Features:
    """Return the images of changes as features with the identities ``pid``, whose names they keep."""
    lists: dict[str, Any] = {name: [change.columns[name] for change in changes] for name in changes[0].columns}
    lists['pid'] = np.array([change.pid for change in changes], np.int64)
    names = {
        key: {number: name for number, name in zip(map(int, lists[key]), lists.pop(column), strict=True) if name}
        for key, column in NAME_COLUMNS.items()
    }
    return Features(np.stack([change.embedding for change in changes]), model=model, names=names, **lists)


@dataclass(frozen=True)
class Seen:
    """A sighting in the journal.

    Attributes:
        number: Number of the sighting.
        verdict: ``'known'``, ``'new'`` or ``'unsure'``.
        pid: The person; -1 if unsure.
        camid: Camera; -1 if unknown.
        start: Time of the image, or of the first image of a track, in seconds; NaN if unknown.
        until: Time of the last image of a track, else the same.
        track: Name of the track; empty for none.
        path: Path of the image.
        source: Source of the path.
        distance: Distance to the person, or to the nearest one; NaN if there is none.
        runner_up: Distance to the nearest other person; NaN if there is none.
        confidence: Confidence of the verdict.
        reason: Reason for the verdict.
    """

    number: int
    verdict: str
    pid: int
    camid: int
    start: float
    until: float
    track: str
    path: str
    source: str
    distance: float
    runner_up: float
    confidence: float
    reason: str


class PeopleLog:
    """The journal file; its methods are called under the lock of :class:`~mmosnet.gallery.people.People`.

    Args:
        path: The file; it is created if it is missing.
        place: Address of the gallery that the journal belongs to; empty for a journal in the gallery's own folder.

    Raises:
        DataError: The file is damaged, of a newer version, or the journal of another gallery.
        OSError: The file cannot be read or written.
    """

    def __init__(self, path: Path, place: str) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._errors():
            self.connection = sqlite3.connect(path, BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            with self._errors():
                self._open(place)
        except BaseException:
            self.connection.close()
            raise

    def _open(self, place: str) -> None:
        # Deleted rows are overwritten, and the file cannot run code. A write-ahead log needs one sync per commit.
        for pragma in ('secure_delete = ON', 'trusted_schema = OFF', 'journal_mode = WAL'):
            self.connection.execute(f'PRAGMA {pragma}').fetchall()
        (version,) = self.connection.execute('PRAGMA user_version').fetchone()
        if version > VERSION:
            raise DataError(f'{self.path}: version {version}; this mmosnet reads up to {VERSION}: upgrade it')
        if version == 0:
            with self.transaction(durable=True):
                for statement in SCHEMA.split(';')[:-1]:
                    self.connection.execute(statement)
                facts = dict(id=uuid4().hex, place=place, next_pid=0, next_number=0, barrier=0, changed=0)
                self.connection.executemany('INSERT INTO facts VALUES (?, ?)', facts.items())
                self.connection.execute(f'PRAGMA user_version = {VERSION}')
        facts = self.facts()
        if facts.get('place') != place:
            raise DataError(
                f'{self.path}: the journal of the gallery {facts.get("place") or "in its folder"}, not of '
                f'{place or "this one"}: name another file'
            )

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        self.connection.close()

    @contextmanager
    def transaction(self, durable: bool) -> Iterator[None]:
        """Write everything inside the ``with`` block or nothing.

        Args:
            durable: Whether to wait until it is on the disk. A killed process loses nothing without it; the last
                transactions before a power failure may be lost.
        """
        with self._errors():
            self.connection.execute(f'PRAGMA synchronous = {"FULL" if durable else "NORMAL"}')
            self.connection.execute('BEGIN IMMEDIATE')
            try:
                yield
                self.connection.execute('COMMIT')
            finally:
                if self.connection.in_transaction:
                    self.connection.execute('ROLLBACK')

    def facts(self) -> dict[str, Any]:
        """Return identity, counters and limits of the journal."""
        with self._errors():
            return dict(self.connection.execute('SELECT name, value FROM facts'))

    def set_facts(self, **values: int) -> None:
        """Replace some facts, inside a transaction."""
        pairs = [(value, name) for name, value in values.items()]
        self.connection.executemany('UPDATE facts SET value = ? WHERE name = ?', pairs)

    def pending(self) -> tuple[int, str, int, int] | None:
        """Return number, kind, stage and number of done changes of the operation that a killed process has begun.

        None if there is none.
        """
        with self._errors():
            return self.connection.execute('SELECT op, kind, stage, done FROM operations WHERE stage > 0').fetchone()

    def set_stage(self, op: int, stage: int, done: int) -> None:
        """Note how many changes of the gallery are made, or are to be taken back.

        It is on the disk before the next change.
        """
        with self.transaction(durable=True):
            self.connection.execute('UPDATE operations SET stage = ?, done = ? WHERE op = ?', (stage, done, op))

    def add(
        self,
        kind: str,
        seen: Sequence[Seen],
        changes: Sequence[Change],
        moves: Sequence[tuple[int, int, int]] = (),
        undoes: int | None = None,
        pending: bool | None = None,
    ) -> int:
        """Add an operation inside a transaction, and return its number.

        Args:
            kind: What it is: ``'observe'``, ``'merge'`` ...
            seen: Sightings.
            changes: Changes of the gallery, in order.
            moves: Sightings that move to another person: number, old and new pid; -1 for nobody.
            undoes: The operation that this one takes back.
            pending: Whether the gallery is still to be changed; by default if there are changes.
        """
        pending = bool(changes) if pending is None else pending
        query = 'INSERT INTO operations (kind, at, stage, done, undoes) VALUES (?, ?, ?, 0, ?)'
        op = self.connection.execute(query, (kind, time.time(), int(pending), undoes)).lastrowid
        rows: list[tuple] = []
        for each in seen:
            row = (each.number, op, each.verdict, each.pid, None if each.pid < 0 else each.pid, each.camid)
            row += (_null(each.start), _null(each.until), each.track, image_key(each.path, each.source, each.track))
            rows.append((*row, _null(each.distance), _null(each.runner_up), each.confidence, each.reason))
        self.connection.executemany(f'INSERT INTO sightings VALUES ({", ".join("?" * 14)})', rows)
        rows = []
        for part, change in enumerate(changes):
            blob = None if change.embedding is None else change.embedding.astype('<f4').tobytes()
            row = (op, part, change.action, change.pid, change.moved_to, change.own, change.image)
            rows.append((*row, _null(change.columns.get('time', math.nan)), json.dumps(change.columns), blob))
        self.connection.executemany(f'INSERT INTO changes VALUES ({", ".join("?" * 10)})', rows)
        self._move(op, moves)
        self._own(changes)
        if undoes is not None:
            self.connection.execute('UPDATE operations SET undone_by = ? WHERE op = ?', (op, undoes))
            self.connection.execute('UPDATE sightings SET person = NULL WHERE op = ?', (undoes,))
        if pending:
            self.set_facts(changed=op)
        return op

    def _move(self, op: int, moves: Sequence[tuple[int, int, int]]) -> None:
        self.connection.executemany('INSERT INTO moves VALUES (?, ?, ?, ?)', [(op, *move) for move in moves])
        pairs = [(after, number) for number, _, after in moves]
        self.connection.executemany('UPDATE sightings SET person = ? WHERE number = ?', pairs)

    def _own(self, changes: Iterable[Change]) -> None:
        """Note which images observe has enrolled."""
        for change in changes:
            if change.own and change.action == 'enroll':
                self.connection.execute('INSERT OR IGNORE INTO own VALUES (?)', (change.image,))
            elif change.own and change.action == 'drop':
                self.connection.execute('DELETE FROM own WHERE image = ?', (change.image,))

    def complete(self, op: int) -> None:
        """Note that the gallery has been changed; forget the embeddings that it holds now."""
        with self.transaction(durable=False):
            self.connection.execute('UPDATE operations SET stage = 0 WHERE op = ?', (op,))
            query = "UPDATE changes SET embedding = NULL WHERE op = ? AND action = 'enroll'"
            self.connection.execute(query, (op,))

    def withdraw(self, op: int) -> None:
        """Remove an operation that could not be completed."""
        with self.transaction(durable=True):
            self._own(change.reversed() for change in reversed(self.changes(op)))
            for number, before, _ in self.moves(op):
                self.connection.execute('UPDATE sightings SET person = ? WHERE number = ?', (before, number))
            (undoes,) = self.connection.execute('SELECT undoes FROM operations WHERE op = ?', (op,)).fetchone()
            if undoes is not None:
                self.connection.execute('UPDATE operations SET undone_by = NULL WHERE op = ?', (undoes,))
                query = 'UPDATE sightings SET person = pid WHERE op = ? AND pid >= 0'
                self.connection.execute(query, (undoes,))
            for table in ('sightings', 'changes', 'moves', 'operations'):
                self.connection.execute(f'DELETE FROM {table} WHERE op = ?', (op,))

    def changes(self, op: int) -> list[Change]:
        """Return the changes of an operation, in order."""
        query = 'SELECT action, pid, columns, embedding, moved_to, own FROM changes WHERE op = ? ORDER BY part'
        changes = []
        with self._errors():
            for action, pid, columns, blob, moved_to, own in self.connection.execute(query, (op,)):
                embedding = None if blob is None else np.frombuffer(blob, '<f4').astype(np.float32)
                changes.append(Change(action, pid, json.loads(columns), embedding, moved_to, bool(own)))
        return changes

    def moves(self, op: int) -> list[tuple[int, int, int]]:
        """Return the sightings that an operation moved: number, old and new pid."""
        with self._errors():
            query = 'SELECT number, before, after FROM moves WHERE op = ? ORDER BY rowid'
            return self.connection.execute(query, (op,)).fetchall()

    def last(self) -> tuple[int, str] | None:
        """Return number and kind of the last operation that is not undone; None if there is none to undo."""
        query = (
            'SELECT op, kind FROM operations WHERE undone_by IS NULL AND undoes IS NULL AND op > '
            "(SELECT value FROM facts WHERE name = 'barrier') ORDER BY op DESC LIMIT 1"
        )
        with self._errors():
            return self.connection.execute(query).fetchone()

    def keep(self, operations: int) -> None:
        """Delete the embeddings of all but the last operations, which cannot be undone then; inside a transaction."""
        (first,) = self.connection.execute("SELECT value FROM facts WHERE name = 'barrier'").fetchone()
        (last,) = self.connection.execute('SELECT MAX(op) FROM operations').fetchone()
        if last - operations > first:
            query = 'UPDATE changes SET embedding = NULL WHERE op > ? AND op <= ?'
            self.connection.execute(query, (first, last - operations))
            self.set_facts(barrier=last - operations)

    def erase(self, before: float | None, pid: int | None) -> None:
        """Delete all embeddings, and what is known of a person or a time, inside a transaction."""
        self.connection.execute('UPDATE changes SET embedding = NULL')
        where, values = [], []
        if before is not None:
            where, values = [('until < ?', 'time < ?')], [before]
        if pid is not None:
            where.append(('(person = ? OR pid = ?)', '(pid = ? OR moved_to = ?)'))
            values += [pid, pid]
        for column, table in enumerate(('sightings', 'changes')):
            terms = ' AND '.join(term[column] for term in where)
            self.connection.execute(f'DELETE FROM {table} WHERE {terms}', values)
        self.connection.execute('DELETE FROM moves WHERE number NOT IN (SELECT number FROM sightings)')
        (last,) = self.connection.execute('SELECT COALESCE(MAX(op), 0) FROM operations').fetchone()
        self.set_facts(barrier=last + 1)

    def erase_changes(self, op: int) -> None:
        """Delete the changes of an operation, and write the file anew, so that nothing of deleted rows stays in it."""
        with self.transaction(durable=True):
            self.connection.execute('DELETE FROM changes WHERE op = ?', (op,))
        with self._errors():
            self.connection.execute('VACUUM')
            self.connection.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchall()

    def own_images(self, images: Iterable[str]) -> set[str]:
        """Return those images that observe has enrolled."""
        with self._errors():
            query = 'SELECT 1 FROM own WHERE image = ?'
            return {image for image in images if self.connection.execute(query, (image,)).fetchone()}

    def sighting_of(self, image: str) -> Seen | None:
        """Return the last sighting of an image for which a person was found or enrolled; None if there is none."""
        with self._errors():
            query = (
                f'SELECT number, verdict, person, {", ".join(SEEN)} FROM sightings WHERE image = ? AND person IS NOT '
                'NULL ORDER BY number DESC LIMIT 1'
            )
            row = self.connection.execute(query, (image,)).fetchone()
        return None if row is None else _seen(row)

    def was_elsewhere(self, pid: int, camid: int, track: str, windows: Sequence[tuple[int, float, float]]) -> bool:
        """Return whether a person was seen where they cannot have been.

        Args:
            pid: The person.
            camid: Camera of the new sighting.
            track: Its track, whose other sightings by the same camera do not count; empty for none.
            windows: Cameras, each with the time from which and up to which, inclusive, a sighting excludes the person.
        """
        query = (
            'SELECT 1 FROM sightings WHERE person = ? AND camid = ? AND until >= ? AND start <= ? '
            "AND NOT (camid = ? AND track = ? AND track <> '') LIMIT 1"
        )
        with self._errors():
            return any(
                self.connection.execute(query, (pid, other, first, last, camid, track)).fetchone()
                for other, first, last in windows
            )

    def cameras(self) -> list[int]:
        """Return the cameras of all sightings, ascending."""
        # One step in the index per camera.
        query = (
            'WITH RECURSIVE c(camid) AS (SELECT MIN(camid) FROM sightings UNION ALL SELECT (SELECT MIN(camid) FROM '
            'sightings s WHERE s.camid > c.camid) FROM c WHERE c.camid IS NOT NULL) SELECT camid FROM c WHERE camid '
            'IS NOT NULL'
        )
        with self._errors():
            return [row[0] for row in self.connection.execute(query)]

    def latest(self, camid: int | None = None) -> float | None:
        """Return the latest time of a sighting, by one camera or any; None if there is none."""
        cameras = self.cameras() if camid is None else [camid]
        with self._errors():
            query = 'SELECT MAX(until) FROM sightings WHERE camid = ?'
            times = [self.connection.execute(query, (camera,)).fetchone()[0] for camera in cameras]
        return max((each for each in times if each is not None), default=None)

    def sightings_of(self, pid: int, images: Iterable[str] | None = None) -> list[int]:
        """Return the numbers of a person's sightings: all, or those of some images."""
        with self._errors():
            if images is None:
                query = 'SELECT number FROM sightings WHERE person = ? ORDER BY number'
                return [row[0] for row in self.connection.execute(query, (pid,))]
            query = 'SELECT number FROM sightings WHERE image = ? AND person = ?'
            rows = [self.connection.execute(query, (image, pid)).fetchall() for image in images]
            return sorted({number for found in rows for (number,) in found})

    def sightings(self, pid: int | None) -> list[Seen]:
        """Return the sightings of a person, or all, by number; without those that were undone."""
        where = '' if pid is None else 'AND person = ?'
        query = (
            f'SELECT number, verdict, COALESCE(person, -1), {", ".join(SEEN)} FROM sightings JOIN operations '
            f'USING (op) WHERE undone_by IS NULL {where} ORDER BY number'
        )
        with self._errors():
            return [_seen(row) for row in self.connection.execute(query, () if pid is None else (pid,))]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Iterate over the log, oldest first; see :meth:`~mmosnet.gallery.people.People.log`."""
        empty = dict.fromkeys(COLUMNS)
        with self._errors():
            for op, kind, at, undone in self.connection.execute(
                'SELECT op, kind, at, undone_by IS NOT NULL FROM operations ORDER BY op'
            ).fetchall():
                base = dict(empty, operation=op, undone=bool(undone), at=at)
                query = (
                    'SELECT verdict, start, until, camid, track, pid, distance, runner_up, confidence, reason, image '
                    'FROM sightings WHERE op = ? ORDER BY number'
                )
                names = ('event', *COLUMNS[4:9], *COLUMNS[11:15])
                sightings = self.connection.execute(query, (op,)).fetchall()
                for *values, image in sightings:
                    path, source, _ = json.loads(image)
                    yield dict(base, **dict(zip(names, values, strict=True)), path=path, source=source)
                if not sightings:
                    yield dict(base, event=kind)
                for change in self.changes(op):
                    event = dict(base, event=EVENTS[change.action], pid=change.pid)
                    if change.action == 'rename':
                        yield dict(event, name=change.columns['new'])
                        continue
                    of_image = {name: change.columns[name] for name in (*IMAGE, 'camid', 'time')}
                    to = change.moved_to if change.action == 'move' else None
                    yield dict(event, **of_image, to=to, name=change.columns['name'])

    def _errors(self) -> Any:
        return sqlite_errors(self.path, REMEDY)


def _seen(row: Sequence[Any]) -> Seen:
    number, verdict, pid, camid, start, until, track, image, distance, runner_up, confidence, reason = row
    path, source, _ = json.loads(image)
    times, distances = (_nan(start), _nan(until)), (_nan(distance), _nan(runner_up))
    return Seen(number, verdict, pid, camid, *times, track, path, source, *distances, confidence, reason)


def _null(value: float) -> float | None:
    return None if math.isnan(value) else value


def _nan(value: float | None) -> float:
    return math.nan if value is None else value
