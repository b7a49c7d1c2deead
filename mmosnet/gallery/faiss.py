"""A gallery in a folder of one machine, searched by FAISS.

``gallery.sqlite`` has the records and says how much of the other files counts; ``vectors-0001.f32`` the embeddings, in
rows; ``index-0001-1000000.faiss`` an index of the first so many rows, if the gallery has one. Rows beyond are compared
one by one, so that enrolling does not rewrite the index each time. Files are mapped into memory: a gallery may be
larger. Several processes may read; those that write take turns. Records, embeddings and index have checksums
(:mod:`mmosnet.gallery.vectors`).
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from mmosnet.errors import DataError, need
from mmosnet.features import Features
from mmosnet.gallery.base import Gallery, register_back_end
from mmosnet.gallery.records import GalleryState, RecordTable
from mmosnet.gallery.settings import GallerySettings, Record, RecordFilter
from mmosnet.gallery.vectors import (
    DamagedImage,
    GalleryCheck,
    VectorFile,
    VectorIndex,
    chunks,
    damage_error,
    file_checksum,
    nearest_rows,
    ranked,
    vector_checksums,
)
from mmosnet.gallery.vectors import damaged as damaged_index
from mmosnet.io.files import whole_file

RECORDS, LOCK = 'gallery.sqlite', 'gallery.lock'
# Seconds to wait for another process that writes.
PATIENCE = 600
NO_CHECKSUMS = 'none yet: the next change or compact computes them'
# Times that a search begins anew where another process has deleted what it found; the last time nobody may write.
ATTEMPTS = 4


@dataclass(frozen=True)
class View:
    """What a gallery holds at one moment; searches need nothing else, whatever is written meanwhile.

    Attributes:
        state: Files and rows of the gallery.
        columns: Records without their paths, ascending by row (:meth:`RecordTable.columns`).
        vectors: ``(rows, D)``, mapped.
        alive: ``(rows,)`` bool, rows that were not deleted; None if that is all.
        index: Index of the first rows, if there is one.
        misplaced: Ids of records whose row is none of theirs: damaged.
    """

    state: GalleryState
    columns: np.ndarray
    vectors: np.ndarray
    alive: np.ndarray | None
    index: VectorIndex | None
    misplaced: tuple[int, ...]


@register_back_end
class FaissGallery(Gallery):
    """A folder.

    Attributes:
        index_from: Images from which on the kinds ``'ivfpq'`` and ``'hnsw'`` have an index: fewer are compared one by
            one in milliseconds, and would not do for training.
        exact_up_to: Images that meet the conditions of a search up to which they are compared one by one, too.
        behind_share: Share of the rows in an index that are added before it is written again, but ``index_from`` at
            least.
        retrain: Growth since the training of IVF-PQ at which it is trained anew.

    Raises:
        DataError: Damaged files, or a package that is not installed.
        OSError: Files that cannot be read or written.
    """

    index_from = 10_000
    exact_up_to = 20_000
    behind_share = 0.02
    retrain = 4

    def __init__(self, uri: str) -> None:
        need('faiss', 'gallery')
        self.folder = Path(uri)
        # Threads share the connection.
        self._turn = threading.RLock()
        self._file_lock = FileLock(self.folder / LOCK, timeout=PATIENCE)
        self._table = RecordTable(self.folder / RECORDS)
        self._version: int | None = None
        self._cached: View | None = None
        # Version of the records when all were checked.
        self._checked_version: int | None = None
        self._damaged_index: Path | None = None
        try:
            super().__init__(uri, self._table.head()[0])
        except DataError:
            self._table.close()
            raise

    @staticmethod
    def keeps(uri: str) -> bool:
        """See the base class: any name may be that of a folder."""
        return True

    @classmethod
    def _create(cls, uri: str, settings: GallerySettings) -> FaissGallery:
        folder = Path(uri)
        path = folder / RECORDS
        made = [each for each in (folder, *folder.parents) if not each.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / LOCK, timeout=PATIENCE):
                if path.exists():
                    raise FileExistsError(f'{uri} has a gallery: open it, or name another folder')
                with whole_file(path) as draft:
                    RecordTable.create(draft, settings)
        except BaseException:
            _remove_empty(made)
            raise
        return cls(uri)

    @classmethod
    def _open(cls, uri: str) -> FaissGallery:
        if not (Path(uri) / RECORDS).is_file():
            raise FileNotFoundError(f'no gallery {uri}; `mmosnet gallery create` makes one')
        return cls(uri)

    def __len__(self) -> int:
        return len(self._view().columns)

    def ids(self) -> np.ndarray:
        """Return all ids; see the base class."""
        return self._view().columns['id'].copy()

    def pids(self) -> dict[int, int]:
        """Count images by identity; see the base class."""
        self._check_records()
        return self._counted_pids()

    def _counted_pids(self) -> dict[int, int]:
        pids, counts = np.unique(self._view().columns['pid'], return_counts=True)
        return dict(zip(pids.tolist(), counts.tolist(), strict=True))

    def compact(self) -> None:
        """Write new files without deleted rows, with an index of all rows; remove the old ones."""
        with self._writing():
            view = self._sound_view()
            self._check_records()
            try:
                state = self._copy(view)
                with self._turn:
                    self._cached = None
                    self._table.renumber(state)
            finally:
                # The old files, or if something went wrong the new ones.
                with self._turn:
                    self._remove_strays(self._table.head()[1])
            with self._turn:
                self._table.vacuum()

    def _copy(self, view: View) -> GalleryState:
        """Write the files of the next generation; return the state that names them."""
        generation = view.state.generation + 1
        file = self._vector_file(generation)
        file.path.unlink(missing_ok=True)
        rows = view.columns['row']
        for chunk in chunks(len(rows), file.chunk_rows()):
            self._refuse(self._wrong_vectors(view, view.columns[chunk]))
            file.append(chunk.start, view.vectors[rows[chunk]])
        state = GalleryState(generation, rows=len(rows), next_id=view.state.next_id, records=len(rows))
        state = replace(state, names_checksum=view.state.names_checksum)
        return self._indexed(state, file.map(len(rows)), None)

    def check(self) -> GalleryCheck:
        """Look for damage; see the base class."""
        view = self._view()
        with self._turn:
            records, problem = self._table.damaged(), self._table.check()
        damaged = {image.id: image for image in [*self._wrong_rows(view), *records]}
        for chunk in chunks(len(view.columns), self._vector_file(0).chunk_rows()):
            some = view.columns[chunk]
            for image in self._wrong_vectors(view, some[~np.isin(some['id'], list(damaged))]):
                damaged[image.id] = image
        files = {RECORDS: problem, self._vector_file(view.state.generation).path.name: ''}
        unchecked = {}
        if view.state.records is None:
            unchecked['records, embeddings'] = NO_CHECKSUMS
        if view.state.indexed:
            path = self._index_path(view.state)
            files[path.name] = '' if self._is_index(view.state) else str(damaged_index(path))
            if view.state.index_checksum is None:
                unchecked[path.name] = 'its checksum is computed by compact'
        return GalleryCheck(len(view.columns), tuple(damaged[id] for id in sorted(damaged)), files, unchecked)

    def close(self) -> None:
        """Close the files; see the base class."""
        with self._turn:
            self._cached = None
            self._table.close()

    def _discard(self) -> None:
        self.close()
        for pattern in (RECORDS, 'vectors-*.f32', 'index-*.faiss*'):
            for file in self.folder.glob(pattern):
                file.unlink(missing_ok=True)
        _remove_empty([self.folder])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._file_lock:
                # Settings, too, may have been written by others.
                view = self._view()
                # Left by a process that was killed.
                self._remove_strays(view.state)
                if view.state.records is None:
                    self._add_checksums(view)
                yield
        except Timeout as e:
            raise DataError(f'{self.uri}: another process has been writing for {PATIENCE} s; wait for it') from e

    def _append(self, embedding: np.ndarray, features: Features, settings: GallerySettings) -> np.ndarray:
        state = self._view().state
        ids = np.arange(state.next_id, state.next_id + len(embedding))
        rows = range(state.rows, state.rows + len(embedding))
        times = [None if np.isnan(time) else time for time in features.time.tolist()]
        columns = (ids.tolist(), rows, features.path, features.pid.tolist(), features.camid.tolist(), times)
        columns += ([source or None for source in features.source],)
        # The vectors first: until the records are there nobody sees them.
        file = self._vector_file(state.generation)
        file.append(state.rows, embedding)
        records = None if state.records is None else state.records + len(embedding)
        added = replace(state, rows=rows.stop, next_id=int(ids[-1]) + 1, records=records)
        try:
            with self._turn:
                rows = zip(*columns, vector_checksums(embedding), strict=True)
                self._table.add(rows, added, settings, features.names)
                self._version = None
        except BaseException:
            # Interrupted after the records were there, it has been enrolled.
            with suppress(DataError, OSError), self._turn:
                file.cut(self._table.head()[1].rows)
            raise
        self.settings = settings
        self._update_index()
        return ids

    def _delete(self, where: RecordFilter) -> int:
        if replace(where, ids=None).is_empty:
            # Also what is damaged.
            view = self._view()
        else:
            view = self._sound_view()
            # A person, camera or time that is damaged would be missed, or met.
            self._check_records()
        doomed = view.columns['id'][_meet(view.columns, where)].tolist()
        if doomed:
            records = None if view.state.records is None else view.state.records - len(doomed)
            state = replace(view.state, deletions=view.state.deletions + 1, records=records)
            with self._turn:
                self._table.remove(doomed, state)
                self._version = None
        return len(doomed)

    def _nearest(self, embedding: np.ndarray, top_k: int, where: RecordFilter) -> list[list[tuple[Record, float]]]:
        found: dict[int, list[tuple[Record, float]]] = {}
        for attempt in range(1, ATTEMPTS + 1):
            with self._nobody_writes() if attempt == ATTEMPTS else nullcontext():
                rest = [query for query in range(len(embedding)) if query not in found]
                for query, matches in zip(rest, self._search_once(embedding[rest], top_k, where), strict=True):
                    if matches is not None:
                        found[query] = matches
            if len(found) == len(embedding):
                return [found[query] for query in range(len(embedding))]
        raise DataError(
            f'{self._table.path}: damaged (a record that is there is not found by its id): restore the file, or create '
            'the gallery anew'
        )

    def _search_once(
        self, embedding: np.ndarray, top_k: int, where: RecordFilter
    ) -> list[list[tuple[Record, float]] | None]:
        """Search the current state; None for a query whose matches another process has deleted meanwhile."""
        view = self._sound_view(indexed=True)
        wanted = view.alive
        if not where.is_empty:
            wanted = np.zeros(len(view.vectors), bool)
            wanted[view.columns['row'][_meet(view.columns, where)]] = True
        count = len(view.vectors) if wanted is None else int(wanted.sum())
        if view.index is None or count <= self.exact_up_to:
            candidates = nearest_rows(embedding, view.vectors, wanted, top_k)
        else:
            candidates = _likely_rows(embedding, view, wanted, top_k)
        found = []
        for query, rows in zip(embedding, candidates, strict=True):
            if (rows >= 0).sum() < min(top_k, count):
                # The index looked where too few are that meet the conditions.
                rows = nearest_rows(query[None], view.vectors, wanted, top_k)[0]
            rows = np.unique(rows[rows >= 0])
            # Damaged ones might be the nearest.
            self._refuse(self._wrong_vectors(view, view.columns[np.searchsorted(view.columns['row'], rows)]))
            found.append(ranked(query, view.vectors, rows, top_k, self.distance))
        ids = [view.columns['id'][np.searchsorted(view.columns['row'], rows)].tolist() for rows, _ in found]
        records = {record.id: record for record in self._records(sorted({id for some in ids for id in some}))}
        return [
            [(records[id], distance) for id, distance in zip(some, distances.tolist(), strict=True)]
            if all(id in records for id in some)
            else None
            for some, (_, distances) in zip(ids, found, strict=True)
        ]

    @contextmanager
    def _nobody_writes(self) -> Iterator[None]:
        """Keep other processes and threads from writing inside the ``with`` block."""
        with self._turn, self._table.reading():
            yield

    def _records(self, ids: Sequence[int]) -> list[Record]:
        with self._turn:
            return self._table.records(ids)

    def _known_paths(self, paths: Sequence[str]) -> set[tuple[str, str]]:
        with self._turn:
            return self._table.known_paths(paths)

    def _names(self, key: str) -> dict[int, str]:
        with self._turn:
            return dict(self._table.names()[key])

    def _used(self, key: str) -> list[int]:
        return np.unique(self._view().columns[key]).tolist()

    def _embeddings(self, ids: Sequence[int]) -> np.ndarray:
        view = self._sound_view()
        known = view.columns['id']
        # Another process may have deleted some since their records were read.
        self._require(ids, dict.fromkeys(known.tolist()))
        columns = view.columns[np.searchsorted(known, ids)]
        self._refuse(self._wrong_vectors(view, columns))
        return np.array(view.vectors[columns['row']])

    def _save_settings(self, settings: GallerySettings) -> None:
        with self._turn:
            self._table.save_settings(settings)
            self.settings = settings

    def _more_info(self) -> dict:
        view = self._view()
        return dict(
            kind='FAISS',
            indexed=view.state.indexed,
            deleted=view.state.rows - len(view.columns),
            checksums=self._checksums(view),
            bytes=sum(map(_size, self.folder.iterdir())),
        )

    def _checksums(self, view: View) -> str:
        if view.state.records is None:
            return NO_CHECKSUMS
        with self._turn:
            damaged = len(self._table.damaged())
        known = f'{damaged} records are damaged' if damaged else 'those of the records hold'
        return f'{known}; `mmosnet gallery check {self.uri}` looks at everything'

    def _view(self, indexed: bool = False) -> View:
        """Return a view of the current state; the previous one if nothing has changed.

        Args:
            indexed: Whether to include the index, if there is one.
        """
        with self._turn:
            version = self._table.version()
            known = self._cached
            lacking = indexed and known is not None and known.index is None and known.state.indexed > 0
            lacking = lacking and self._index_path(known.state) != self._damaged_index
            if known is None or version != self._version or lacking:
                # Files that a state names are removed only after another one is written: not while this is read.
                with self._table.reading():
                    self.settings, state = self._table.head()
                    self._cached = self._read(state, known, indexed)
                self._version = version
            return self._cached

    def _sound_view(self, indexed: bool = False) -> View:
        """Return :meth:`_view`, after checking that every record has its embedding.

        Raises:
            DataError: One has not.
        """
        view = self._view(indexed)
        if view.misplaced:
            self._refuse(self._wrong_rows(view))
        return view

    def _read(self, state: GalleryState, known: View | None, indexed: bool) -> View:
        """Read the files that a state names, except those that are already open."""
        columns = index = None
        if known is not None and known.state.generation == state.generation:
            if known.state.deletions == state.deletions:
                columns = np.concatenate([known.columns, self._table.columns(known.state.rows)])
            if known.state.indexed == state.indexed:
                index = known.index
        if columns is None or state.records not in (None, len(columns)):
            columns = self._table.columns()
        if state.records not in (None, len(columns)) or (np.diff(columns['id']) <= 0).any():
            raise DataError(
                f'{self._table.path}: damaged ({len(columns)} records, of which {state.records} were written, or ids '
                'out of order): restore the file, or create the gallery anew'
            )
        if indexed and index is None and state.indexed:
            index = self._index_or_none(state)
        vectors = self._vector_file(state.generation).map(state.rows)
        inside = (columns['row'] >= 0) & (columns['row'] < state.rows)
        alive = None
        if len(columns) < state.rows or not inside.all():
            alive = np.zeros(state.rows, bool)
            alive[columns['row'][inside]] = True
        return View(state, columns, vectors, alive, index, _misplaced(columns, vectors))

    def _index_or_none(self, state: GalleryState) -> VectorIndex | None:
        """Return the index; None if it is damaged: searches then compare with every image."""
        path = self._index_path(state)
        if path == self._damaged_index:
            return None
        try:
            return self._load_index(state, mapped=True)
        except (DataError, OSError) as e:
            self._damaged_index = path
            warnings.warn(f'{e}; until then searches compare with every image', RuntimeWarning, stacklevel=8)
            return None

    def _wrong_rows(self, view: View) -> list[DamagedImage]:
        with self._turn:
            paths = self._table.paths(view.misplaced)
        return [DamagedImage(id, paths.get(id, ''), 'row') for id in view.misplaced]

    def _wrong_vectors(self, view: View, columns: np.ndarray) -> list[DamagedImage]:
        """Return which of some records have an embedding that does not match its checksum."""
        if view.state.records is None or not len(columns):
            return []
        wrong = columns['vector_checksum'] != vector_checksums(view.vectors[columns['row']])
        if not wrong.any():
            return []
        ids = columns['id'][wrong].tolist()
        with self._turn:
            paths = self._table.paths(ids)
        return [DamagedImage(id, paths.get(id, ''), 'embedding') for id in ids]

    def _check_records(self) -> None:
        """Check all records, unless no other process has written since the last check."""
        with self._turn:
            self._view()
            if self._checked_version != self._version:
                self._refuse(self._table.damaged())
                self._checked_version = self._version

    def _refuse(self, damaged: Sequence[DamagedImage]) -> None:
        if damaged:
            raise damage_error(self.uri, damaged[0])

    def _add_checksums(self, view: View) -> None:
        """Add checksums to a gallery that was made before there were any."""
        state = view.state
        path = self._index_path(state)
        checksum = file_checksum(path) if self._is_index(state) else None
        # Others read all of it anew.
        state = replace(state, records=len(view.columns), deletions=state.deletions + 1, index_checksum=checksum)
        with self._turn:
            self._table.add_checksums(lambda rows: vector_checksums(view.vectors[rows]), state)
            self._version = None
            self._view()

    def _update_index(self) -> None:
        """Build or extend the index where that is due."""
        view = self._view()
        state = view.state
        due = state.rows - state.indexed >= max(self.index_from, self.behind_share * state.indexed)
        if self.settings.index == 'exact' or not due:
            return
        try:
            anew = not state.indexed or (self.settings.index == 'ivfpq' and state.rows >= self.retrain * state.trained)
            index = None if anew else self._load_index(state, mapped=False)
            state = self._indexed(state, view.vectors, index)
        except (DataError, OSError) as e:
            # What was enrolled is enrolled, and found.
            warnings.warn(
                f'{self.uri}: the index was not brought up to date ({e}); searches compare what it lacks one by one. '
                f'`mmosnet gallery compact {self.uri}` makes it anew',
                RuntimeWarning,
                stacklevel=4,
            )
            return
        with self._turn:
            self._table.save_state(state)
            self._version = None
        self._remove_strays(state)

    def _indexed(self, state: GalleryState, vectors: np.ndarray, index: VectorIndex | None) -> GalleryState:
        """Write an index of all rows if the gallery should have one; return the state that names it."""
        if self.settings.index == 'exact' or state.rows < self.index_from:
            return state
        trained = state.trained
        if index is None:
            index, trained = VectorIndex.train(self.settings.index, vectors), state.rows
        index.extend(vectors, self._vector_file(state.generation).chunk_rows())
        state = replace(state, indexed=state.rows, trained=trained)
        path = self._index_path(state)
        return replace(state, index_bytes=index.save(path), index_checksum=file_checksum(path))

    def _is_index(self, state: GalleryState) -> bool:
        """Return whether the index file is the one that was written."""
        path = self._index_path(state)
        if not path.is_file() or path.stat().st_size != state.index_bytes:
            return False
        return state.index_checksum in (None, file_checksum(path))

    def _load_index(self, state: GalleryState, mapped: bool) -> VectorIndex:
        path = self._index_path(state)
        # FAISS reads wherever a damaged file sends it; a mapped one that is too short ends the process.
        if not self._is_index(state):
            raise damaged_index(path)
        index = VectorIndex.load(self.settings.index, path, mapped)
        if len(index) != state.indexed or index.index.d != self.dimension:
            raise damaged_index(path)
        return index

    def _vector_file(self, generation: int) -> VectorFile:
        return VectorFile(self.folder / f'vectors-{generation:04d}.f32', self.dimension)

    def _index_path(self, state: GalleryState) -> Path:
        return self.folder / f'index-{state.generation:04d}-{state.indexed}.faiss'

    def _remove_strays(self, state: GalleryState) -> None:
        """Remove vector and index files that the state does not name, and leftovers of killed processes."""
        needed = {self._vector_file(state.generation).path, self._index_path(state)}
        for pattern in ('vectors-*.f32', 'index-*.faiss*', '.draft-*'):
            for file in set(self.folder.glob(pattern)) - needed:
                try:
                    file.unlink(missing_ok=True)
                except PermissionError:
                    # Windows, where another process still reads it: the next time.
                    continue


def _misplaced(columns: np.ndarray, vectors: np.ndarray) -> tuple[int, ...]:
    """Return the ids of records whose row number is damaged: rows ascend with ids."""
    rows = columns['row']
    outside = (rows < 0) | (rows >= len(vectors))
    inside = np.flatnonzero(~outside)
    falls = np.flatnonzero(np.diff(rows[inside]) <= 0)
    if not len(falls):
        return tuple(columns['id'][outside].tolist())
    # One of each two; its embedding is that of another, unless both are the same.
    suspects = inside[np.union1d(falls, falls + 1)]
    wrong = suspects[columns['vector_checksum'][suspects] != vector_checksums(vectors[rows[suspects]])]
    others = np.setdiff1d(inside, wrong)
    if not len(wrong) or (np.diff(rows[others]) <= 0).any():
        wrong = suspects
    return tuple(np.sort(np.concatenate([columns['id'][outside], columns['id'][wrong]])).tolist())


def _size(file: Path) -> int:
    """Return the size in bytes; 0 for a file that another process has just removed."""
    try:
        return file.stat().st_size if file.is_file() else 0
    except FileNotFoundError:
        return 0


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove empty folders of a gallery whose creation failed, the inner one first."""
    with suppress(OSError):
        if folders and {file.name for file in folders[0].iterdir()} <= {LOCK}:
            (folders[0] / LOCK).unlink(missing_ok=True)
        for folder in folders:
            folder.rmdir()


def _meet(columns: np.ndarray, where: RecordFilter) -> np.ndarray:
    """Return which records meet the conditions, ``(N,)`` bool."""
    return where.mask(columns['id'], columns['pid'], columns['camid'], columns['time'])


def _likely_rows(queries: np.ndarray, view: View, wanted: np.ndarray | None, top_k: int) -> np.ndarray:
    """Return the candidates of the index, and the rows that the index does not have."""
    rows = len(view.index)
    head, tail = (None, None) if wanted is None else (wanted[:rows], wanted[rows:])
    if head is not None and head.all():
        head = None
    parts = [nearest_rows(queries, view.vectors[rows:], tail, top_k) + rows]
    if head is None or head.any():
        parts.append(view.index.candidates(queries, top_k, head))
    return np.hstack(parts)
