"""The state behind :class:`~mmosnet.gallery.people.People`: gallery, journal and embeddings change together or not."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mmosnet.errors import DataError
from mmosnet.gallery.base import Gallery
from mmosnet.gallery.people_log import PENDING, REVERTING, Change, PeopleLog, Seen, features_of
from mmosnet.gallery.people_vectors import Image, PeopleVectors

JOURNAL = 'people.sqlite'
# Seconds to wait for another process that observes.
LOCK_TIMEOUT = 600


class PeopleStore:
    """A gallery with its journal and its embeddings in memory.

    An operation is written to the journal as pending, then the gallery is changed, then the operation is complete. The
    next operation of any process completes what a killed process has left pending.

    Args:
        gallery: The gallery.
        journal: File of the journal; None for the default one in the gallery's folder.
        verdict: Distance to a person; see :class:`~mmosnet.gallery.people_vectors.PeopleVectors`.
        model: Digest of the weights, for a gallery that does not know its own.
        kept: Operations that can be undone.

    Attributes:
        log: The journal.
        vectors: The embeddings.

    Raises:
        DataError: A file is damaged, the journal is that of another gallery, or a gallery without a folder needs one.
        OSError: A file cannot be read or written.
    """

    def __init__(self, gallery: Gallery, journal: str | Path | None, verdict: str, model: str, kept: int) -> None:
        self.gallery, self.model, self.kept = gallery, model, kept
        folder = getattr(gallery, 'folder', None)
        if journal is None and folder is None:
            raise DataError(
                f'{gallery.uri}: give journal=, a file that all processes share which observe people in this gallery'
            )
        path = Path(folder) / JOURNAL if journal is None else Path(journal)
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # Changes of the current operation that may have been made.
        self._reached = 0
        # Threads share the connection.
        self._lock, self._is_closed = threading.RLock(), False
        self._file_lock = FileLock(path.with_name(path.name + '.lock'), timeout=LOCK_TIMEOUT)
        with self._locked():
            self.log = PeopleLog(path, '' if journal is None else gallery.uri)
            try:
                self.vectors = PeopleVectors(gallery, verdict)
                self._catch_up()
            except BaseException:
                self.log.close()
                raise

    def close(self) -> None:
        """Close the journal; closing twice is allowed."""
        with self._lock:
            self._is_closed = True
            self.log.close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with self._lock, self._file_lock:
                yield
        except Timeout as e:
            raise DataError(f'{self.path}: another process has been observing for {LOCK_TIMEOUT} s; wait for it') from e

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Keep other threads and processes from observing inside the ``with`` block, after reading their changes."""
        with self._locked():
            if self._is_closed:
                raise DataError(f'{self.path}: this People is closed: open another one')
            try:
                self._catch_up()
                yield
            except BaseException:
                self.vectors.invalidate()
                raise

    def _catch_up(self) -> None:
        """Complete the operation of a killed process, and read what others have changed."""
        pending = self.log.pending()
        if pending is not None:
            op, kind, stage, done = pending
            changes = self.log.changes(op)
            self.vectors.sync(None)
            if stage == REVERTING:
                self._revert(op, changes, done)
            else:
                self._apply(op, changes, done)
                self._finish(op, kind)
        self.vectors.sync(self.log.facts()['changed'])

    def commit(
        self,
        kind: str,
        seen: Sequence[Seen] = (),
        changes: Sequence[Change] = (),
        moves: Sequence[tuple[int, int, int]] = (),
        undoes: int | None = None,
        facts: Mapping[str, int] | None = None,
        erase: tuple[float | None, int | None] | None = None,
    ) -> None:
        """Write an operation to the journal, and then change the gallery.

        Args:
            kind: See :meth:`PeopleLog.add`, as for the others.
            seen: Sightings.
            changes: Changes of the gallery.
            moves: Sightings that move to another person.
            undoes: The operation that this one takes back.
            facts: New values of counters.
            erase: Time and person to delete from the journal (:meth:`PeopleLog.erase`); None for none.
        """
        if erase is not None:
            # Nothing is restored: the journal gets no embedding.
            changes = [replace(change, embedding=None) for change in changes]
        with self.log.transaction(durable=bool(changes or moves)):
            if erase is not None:
                self.log.erase(*erase)
            op = self.log.add(kind, seen, changes, moves, undoes, pending=bool(changes) or erase is not None)
            self.log.set_facts(**(facts or {}))
            self.log.keep(self.kept)
        if not changes and erase is None:
            return
        try:
            self._apply(op, changes)
        except BaseException:
            if erase is None:
                # If this fails too, the next operation completes either the changes or their reversal.
                self.log.set_stage(op, REVERTING, self._reached)
                self.vectors.sync(None)
                self._revert(op, changes, self._reached)
            raise
        self._finish(op, kind)
        self.vectors.sync(self.log.facts()['changed'])

    def _finish(self, op: int, kind: str) -> None:
        if kind == 'erase':
            self.gallery.compact()
            # Paths and names of what was erased.
            self.log.erase_changes(op)
        self.log.complete(op)

    def _apply(self, op: int, changes: Sequence[Change], done: int = 0) -> None:
        """Change the gallery, group by group, from the first change that is not known to be done."""
        for group in _groups(changes[done:]):
            self._reached = done + len(group)
            self._change(group)
            done = self._reached
            if done < len(changes) and _depend(changes):
                self.log.set_stage(op, PENDING, done)

    def _revert(self, op: int, changes: Sequence[Change], done: int) -> None:
        """Take back the first changes of an operation, and then the operation itself."""
        for group in _groups([change.reversed() for change in reversed(changes[:done])]):
            self._change(group)
            done -= len(group)
            if done and _depend(changes):
                self.log.set_stage(op, REVERTING, done)
        self.log.withdraw(op)
        self.vectors.sync(self.log.facts()['changed'])

    def _change(self, group: Sequence[Change]) -> None:
        """Make changes of one kind; those that are made already have no further effect."""
        action = group[0].action
        ids = [id for change in group for id in self._ids_of(change)]
        if action == 'enroll':
            new = [change for change in group if not self._ids_of(change)]
            if new:
                self.gallery.enroll(features_of(new, self.gallery.model or self.model))
        elif action == 'drop' and ids:
            self.gallery.delete(ids=ids)
        elif action == 'move' and ids:
            self.gallery.relabel(ids, group[0].moved_to)
        elif action == 'rename' and group[0].pid in self.vectors.members:
            self.gallery.rename(group[0].pid, group[0].columns['new'])
        self.vectors.sync(None)

    def _ids_of(self, change: Change) -> list[int]:
        """Return the images of a change's person that have its path and source."""
        return [image.id for image in self.vectors.members.get(change.pid, []) if image.key == change.image]

    def changes(self, action: str, images: Sequence[Image], **more: Any) -> list[Change]:
        """Return the same change of several images."""
        if not images:
            return []
        own = self.log.own_images(image.key for image in images)
        features = self.gallery.features([image.id for image in images])
        return [Change.of(action, features, row, own=image.key in own, **more) for row, image in enumerate(images)]


def _depend(changes: Sequence[Change]) -> bool:
    """Return whether some changes made twice may have another effect after others: an image that has moved, say."""
    return any(change.action in ('move', 'rename') for change in changes)


def _groups(changes: Sequence[Change]) -> list[list[Change]]:
    """Return changes in groups of one kind, in order: moves to one person, renamings one by one."""

    def kind(change: Change) -> tuple:
        return change.action, change.moved_to, change.pid if change.action == 'rename' else -1

    return [list(group) for _, group in groupby(changes, key=kind)]
