"""A gallery in a folder of one machine, searched by FAISS.

``gallery.sqlite`` holds the records and the state: which files belong to the gallery, and how many of their rows.
``vectors-0001.f32`` holds the embeddings in rows, and ``index-0001-1000000.faiss`` an index of the first 1,000,000
rows, if the gallery has one. Later rows are compared one by one, so that enrolling need not rewrite the index each
time. Files are mapped into memory, which may be smaller than the gallery. Several processes may read at once; those
that write take turns. Records, embeddings and index have checksums (:mod:`mmosnet.gallery.vectors`).
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
from mmosnet.gallery.records import BREAK, GalleryState, RecordTable
from mmosnet.gallery.settings import GallerySettings, Record, RecordFilter
from mmosnet.gallery.vectors import (
    DamagedImage,
    GalleryCheck,
    VectorFile,
    VectorIndex,
    chunks,
    damage_error,
    damaged_index,
    file_checksum,
    nearest_rows,
    ranked,
    vector_checksums,
)
from mmosnet.io.files import whole_file

RECORDS, LOCK = 'gallery.sqlite', 'gallery.lock'
# Seconds to wait for another process that writes.
LOCK_TIMEOUT = 600
NO_CHECKSUMS = 'none yet: the next change or compact computes them'
# Tries of a search whose matches another process deletes meanwhile; during the last one other processes cannot write.
ATTEMPTS = 4


@dataclass(frozen=True)
class View:
    """The records and vectors of a gallery at one moment, unaffected by later changes.

    Attributes:
        state: Files and rows of the gallery.
        columns: Records without their paths, ascending by row (:meth:`RecordTable.columns`).
        vectors: ``(rows, D)`` float32, mapped.
        alive: ``(rows,)`` bool, rows that were not deleted; None if none was deleted.
        misplaced: Ids of records with a damaged row number.
    """

    state: GalleryState
    columns: np.ndarray
    vectors: np.ndarray
    alive: np.ndarray | None
    misplaced: tuple[int, ...]


@register_back_end
class FaissGallery(Gallery):
    """A gallery in a folder; see :class:`~mmosnet.gallery.Gallery`.

    Attributes:
        index_from: Number of rows from which on ``'ivfpq'`` and ``'hnsw'`` galleries have an index: fewer rows are
            compared one by one within milliseconds, and are too few to train on.
        exact_up_to: Searches compare images one by one if at most this many meet the conditions.
        behind_share: The index is extended once the rows that it lacks exceed this share of its rows, and
            ``index_from``.
        retrain: Growth factor of the gallery at which IVF-PQ is trained again.

    Raises:
        DataError: A file is damaged, or a package is not installed.
        OSError: A file cannot be read or written.
    """

    index_from = 10_000
    exact_up_to = 20_000
    behind_share = 0.02
    retrain = 4

    def __init__(self, uri: str) -> None:
        need('faiss', 'gallery')
        self.folder = Path(uri)
        # Threads share the connection.
        self._lock = threading.RLock()
        self._file_lock = FileLock(self.folder / LOCK, timeout=LOCK_TIMEOUT)
        self._table = RecordTable(self.folder / RECORDS)
        # Version of the records that the view shows, and at which all records were checked.
        self._version: int | None = None
        self._checked_version: int | None = None
        self._cached: View | None = None
        # The last index, by its file; None in place of a damaged one.
        self._index: tuple[Path, VectorIndex | None] | None = None
        try:
            super().__init__(uri, self._table.head()[0])
        except DataError:
            self._table.close()
            raise

    @staticmethod
    def keeps(uri: str) -> bool:
        """Return True: any name may be that of a folder."""
        return True

    @classmethod
    def _create(cls, uri: str, settings: GallerySettings) -> FaissGallery:
        folder = Path(uri)
        path = folder / RECORDS
        new_folders = [each for each in (folder, *folder.parents) if not each.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / LOCK, timeout=LOCK_TIMEOUT):
                if path.exists():
                    raise FileExistsError(f'{uri} has a gallery: open it, or name another folder')
                with whole_file(path) as draft:
                    RecordTable.create(draft, settings)
        except BaseException:
            _remove_empty(new_folders)
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
        """Return all ids; see :meth:`Gallery.ids`."""
        return self._view().columns['id'].copy()

    def identities(self) -> tuple[np.ndarray, np.ndarray]:
        """Return images and their identities; see :meth:`Gallery.identities`."""
        columns = self._view().columns
        return columns['id'].copy(), columns['pid'].copy()

    def version(self) -> tuple:
        """Return what tells states of the gallery apart; see :meth:`Gallery.version`."""
        state = self._view().state
        return state.generation, state.rows, state.deletions, state.names_checksum

    def pids(self) -> dict[int, int]:
        """Count images by identity; see :meth:`Gallery.pids`."""
        self._check_records()
        return self._counted_pids()

    def _counted_pids(self) -> dict[int, int]:
        pids, counts = np.unique(self._view().columns['pid'], return_counts=True)
        return dict(zip(pids.tolist(), counts.tolist(), strict=True))

    def compact(self) -> None:
        """Write new files without the deleted rows, with an index of all rows; remove the old files."""
        with self._writing():
            view = self._sound_view()
            self._check_records()
            try:
                state = self._copy(view)
                with self._lock:
                    self._cached = self._index = None
                    self._table.renumber(state)
            finally:
                # The old files, or after an error the new ones.
                with self._lock:
                    self._remove_strays(self._table.head()[1])
            with self._lock:
                self._table.vacuum()

    def _copy(self, view: View) -> GalleryState:
        """Write the files of the next generation, and return its state."""
        generation = view.state.generation + 1
        file = self._vector_file(generation)
        file.path.unlink(missing_ok=True)
        rows = view.columns['row']
        for chunk in chunks(len(rows), file.chunk_rows()):
            self._refuse(self._wrong_vectors(view, view.columns[chunk]))
            file.append(chunk.start, view.vectors[rows[chunk]])
        state = GalleryState(generation, rows=len(rows), next_id=view.state.next_id, records=len(rows))
        state = replace(state, names_checksum=view.state.names_checksum)
        return self._with_index(state, file.map(len(rows)), None)

    def check(self) -> GalleryCheck:
        """Look for damage; see :meth:`Gallery.check`."""
        view = self._view()
        with self._lock:
            records, problem = self._table.damaged(), self._table.check()
        damaged = {image.id: image for image in [*self._wrong_rows(view), *records]}
        for chunk in chunks(len(view.columns), self._vector_file(0).chunk_rows()):
            columns = view.columns[chunk]
            for image in self._wrong_vectors(view, columns[~np.isin(columns['id'], list(damaged))]):
                damaged[image.id] = image
        files = {RECORDS: problem, self._vector_file(view.state.generation).path.name: ''}
        unchecked = {}
        if view.state.records is None:
            unchecked['records, embeddings'] = NO_CHECKSUMS
        if view.state.indexed:
            path = self._index_path(view.state)
            files[path.name] = '' if self._is_index_intact(view.state) else str(damaged_index(path))
            if view.state.index_checksum is None:
                unchecked[path.name] = 'its checksum is computed by compact'
        return GalleryCheck(len(view.columns), tuple(damaged[id] for id in sorted(damaged)), files, unchecked)

    def close(self) -> None:
        """Close the files; see :meth:`Gallery.close`."""
        with self._lock:
            self._cached = self._index = None
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
                # Another process may have changed the settings too.
                view = self._view()
                # Files of a process that was killed.
                self._remove_strays(view.state)
                if view.state.records is None:
                    self._add_checksums(view)
                yield
        except Timeout as e:
            raise DataError(f'{self.uri}: another process has been writing for {LOCK_TIMEOUT} s; wait for it') from e

    def _append(self, embedding: np.ndarray, features: Features, settings: GallerySettings) -> np.ndarray:
        state = self._view().state
        ids = np.arange(state.next_id, state.next_id + len(embedding))
        rows = range(state.rows, state.rows + len(embedding))
        times = [None if np.isnan(time) else time for time in features.time.tolist()]
        columns = (ids.tolist(), rows, features.path, features.pid.tolist(), features.camid.tolist(), times)
        attributes = [f'{BREAK}{BREAK.join(names)}{BREAK}' if names else None for names in features.attributes]
        frames = [number if number > 1 else None for number in features.frames.tolist()]
        columns += (features.source, features.track, frames, attributes)
        # Vectors first: without records they do not count.
        file = self._vector_file(state.generation)
        file.append(state.rows, embedding)
        records = None if state.records is None else state.records + len(embedding)
        added = replace(state, rows=rows.stop, next_id=int(ids[-1]) + 1, records=records)
        try:
            with self._lock:
                values = zip(*columns, vector_checksums(embedding), strict=True)
                self._table.add(values, added, settings, features.names)
                self._version = None
        except BaseException:
            # After an interruption the records may be there: then the vectors stay.
            with suppress(DataError, OSError), self._lock:
                file.cut(self._table.head()[1].rows)
            raise
        self.settings = settings
        self._update_index()
        return ids

    def _delete(self, where: RecordFilter) -> int:
        if replace(where, ids=None).is_empty:
            # Damaged images can be deleted by id.
            view = self._view()
        else:
            view = self._sound_view()
            # A damaged person, camera or time would give a wrong selection.
            self._check_records()
        doomed = view.columns['id'][self._meet(view.columns, where)].tolist()
        if doomed:
            records = None if view.state.records is None else view.state.records - len(doomed)
            state = replace(view.state, deletions=view.state.deletions + 1, records=records)
            with self._lock:
                self._table.remove(doomed, state)
                self._version = None
                self._keep_view(view, state, ~np.isin(view.columns['id'], doomed))
        return len(doomed)

    def _relabel(self, ids: Sequence[int], pid: int, name: str) -> None:
        view = self._view()
        state = replace(view.state, deletions=view.state.deletions + 1)
        with self._lock:
            self._table.relabel(ids, pid, state)
            self._version = None

    def _rename(self, pid: int, name: str, ids: Sequence[int]) -> None:
        with self._lock:
            self._table.rename(pid, name, self._view().state)
            self._version = None

    def _keep_view(self, view: View, state: GalleryState, left: np.ndarray) -> None:
        """Take the records that are left over into the next view, which would read all of them again."""
        alive = np.zeros(state.rows, bool)
        alive[view.columns['row'][left]] = True
        if not view.misplaced:
            self._cached = replace(view, state=self._table.head()[1], columns=view.columns[left], alive=alive)
            self._version = self._table.version()

    def _nearest(self, embedding: np.ndarray, top_k: int, where: RecordFilter) -> list[list[tuple[Record, float]]]:
        done: dict[int, list[tuple[Record, float]]] = {}
        for attempt in range(1, ATTEMPTS + 1):
            with self._reading() if attempt == ATTEMPTS else nullcontext():
                remaining = [query for query in range(len(embedding)) if query not in done]
                for query, matches in zip(
                    remaining, self._search_once(embedding[remaining], top_k, where), strict=True
                ):
                    if matches is not None:
                        done[query] = matches
            if len(done) == len(embedding):
                return [done[query] for query in range(len(embedding))]
        raise DataError(
            f'{self._table.path}: damaged (a record that is there is not found by its id): restore the file, or create '
            'the gallery anew'
        )

    def _search_once(
        self, embedding: np.ndarray, top_k: int, where: RecordFilter
    ) -> list[list[tuple[Record, float]] | None]:
        """Search the current state; None for a query whose matches another process has deleted meanwhile."""
        # Inside, the files of the state stay: they are removed only after another state is written.
        with self._reading():
            view = self._sound_view()
            index = self._opened_index(view.state)
            meet = None if where.is_empty else self._meet(view.columns, where)
        selected = view.alive
        if meet is not None:
            selected = np.zeros(len(view.vectors), bool)
            selected[view.columns['row'][meet]] = True
        count = len(view.vectors) if selected is None else int(selected.sum())
        if index is None or count <= self.exact_up_to:
            candidates = nearest_rows(embedding, view.vectors, selected, top_k)
        else:
            candidates = _likely_rows(embedding, view.vectors, index, selected, top_k)
        nearest = []
        for query, rows in zip(embedding, candidates, strict=True):
            if (rows >= 0).sum() < min(top_k, count):
                # The index looked where too few images meet the conditions.
                rows = nearest_rows(query[None], view.vectors, selected, top_k)[0]
            rows = np.unique(rows[rows >= 0])
            # A damaged embedding might be the nearest one.
            self._refuse(self._wrong_vectors(view, view.columns[np.searchsorted(view.columns['row'], rows)]))
            rows, distances = ranked(query, view.vectors, rows, top_k, self.distance)
            ids = view.columns['id'][np.searchsorted(view.columns['row'], rows)]
            nearest.append((ids.tolist(), distances.tolist()))
        records = {record.id: record for record in self._records(sorted({id for ids, _ in nearest for id in ids}))}
        return [
            [(records[id], distance) for id, distance in zip(ids, distances, strict=True)]
            if all(id in records for id in ids)
            else None
            for ids, distances in nearest
        ]

    def _meet(self, columns: np.ndarray, where: RecordFilter) -> np.ndarray:
        """Return which records of the current state meet the conditions, ``(N,)`` bool."""
        mask = where.mask(columns['id'], columns['pid'], columns['camid'], columns['time'])
        if where.tracks is not None or where.attributes is not None:
            # The columns in memory hold no texts.
            with self._lock:
                mask &= np.isin(columns['id'], self._table.selected(where.tracks, where.attributes))
        return mask

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Keep other processes and threads from writing inside the ``with`` block."""
        with self._lock, self._table.reading():
            yield

    def _records(self, ids: Sequence[int]) -> list[Record]:
        with self._lock:
            return self._table.records(ids)

    def _count_pooled(self) -> int:
        with self._lock:
            return self._table.count_pooled()

    def _refresh(self) -> None:
        self._view()

    def _known_paths(self, paths: Sequence[str]) -> set[tuple[str, str, str]]:
        with self._lock:
            return self._table.known_paths(paths)

    def _names(self, key: str) -> dict[int, str]:
        with self._lock:
            return dict(self._table.names()[key])

    def _used(self, key: str) -> list[int]:
        return np.unique(self._view().columns[key]).tolist()

    def _embeddings(self, ids: Sequence[int]) -> np.ndarray:
        view = self._sound_view()
        known = view.columns['id']
        places = np.searchsorted(known, ids)
        if not np.array_equal(known[places[places < len(known)]], ids):
            # Another process may have deleted some since their records were read.
            self._require(ids, dict.fromkeys(known.tolist()))
        columns = view.columns[places]
        self._refuse(self._wrong_vectors(view, columns))
        return np.array(view.vectors[columns['row']])

    def _save_settings(self, settings: GallerySettings) -> None:
        with self._lock:
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
        with self._lock:
            damaged = len(self._table.damaged())
        records = f'{damaged} records are damaged' if damaged else 'those of the records hold'
        return f'{records}; `mmosnet gallery check {self.uri}` looks at everything'

    def _view(self) -> View:
        """Return a view of the current state; the previous one if nothing has changed."""
        with self._lock:
            version = self._table.version()
            if self._cached is None or version != self._version:
                with self._reading():
                    self.settings, state = self._table.head()
                    self._cached = self._read(state, self._cached)
                self._version = version
            return self._cached

    def _sound_view(self) -> View:
        """Return :meth:`_view`, after checking that every record has its embedding.

        Raises:
            DataError: A record has none.
        """
        view = self._view()
        if view.misplaced:
            self._refuse(self._wrong_rows(view))
        return view

    def _read(self, state: GalleryState, known: View | None) -> View:
        """Read the records and vectors of a state; after enrolling only the records that the known view lacks."""
        columns = None
        if known is not None and (known.state.generation, known.state.deletions) == (state.generation, state.deletions):
            columns = np.concatenate([known.columns, self._table.columns(known.state.next_id)])
        if columns is None or state.records not in (None, len(columns)):
            columns = self._table.columns()
        if state.records not in (None, len(columns)) or (np.diff(columns['id']) <= 0).any():
            raise DataError(
                f'{self._table.path}: damaged ({len(columns)} records, of which {state.records} were written, or ids '
                'out of order): restore the file, or create the gallery anew'
            )
        vectors = self._vector_file(state.generation).map(state.rows)
        inside = (columns['row'] >= 0) & (columns['row'] < state.rows)
        alive = None
        if len(columns) < state.rows or not inside.all():
            alive = np.zeros(state.rows, bool)
            alive[columns['row'][inside]] = True
        return View(state, columns, vectors, alive, _misplaced(columns, vectors))

    def _wrong_rows(self, view: View) -> list[DamagedImage]:
        with self._lock:
            paths = self._table.paths(view.misplaced)
        return [DamagedImage(id, paths.get(id, ''), 'row') for id in view.misplaced]

    def _wrong_vectors(self, view: View, columns: np.ndarray) -> list[DamagedImage]:
        """Return the records among ``columns`` whose embedding does not match its checksum."""
        if view.state.records is None or not len(columns):
            return []
        wrong = columns['vector_checksum'] != vector_checksums(view.vectors[columns['row']])
        if not wrong.any():
            return []
        ids = columns['id'][wrong].tolist()
        with self._lock:
            paths = self._table.paths(ids)
        return [DamagedImage(id, paths.get(id, ''), 'embedding') for id in ids]

    def _check_records(self) -> None:
        """Check all records, unless no other process has written since the last check."""
        with self._lock:
            self._view()
            if self._checked_version != self._version:
                self._refuse(self._table.damaged())
                self._checked_version = self._version

    def _refuse(self, damaged: Sequence[DamagedImage]) -> None:
        if damaged:
            raise damage_error(self.uri, damaged[0])

    def _add_checksums(self, view: View) -> None:
        """Add checksums to a gallery of version 1, which has none."""
        state = view.state
        checksum = file_checksum(self._index_path(state)) if self._is_index_intact(state) else None
        # Another number of deletions lets other processes read all records again.
        state = replace(state, records=len(view.columns), deletions=state.deletions + 1, index_checksum=checksum)
        with self._lock:
            self._table.add_checksums(lambda rows: vector_checksums(view.vectors[rows]), state)
            self._version = None
            self._view()

    def _opened_index(self, state: GalleryState) -> VectorIndex | None:
        """Return the index of a state; None if there is none, or a damaged one: then searches do without."""
        if not state.indexed:
            return None
        path = self._index_path(state)
        if self._index is None or self._index[0] != path:
            try:
                self._index = path, self._load_index(state, mapped=True)
            except (DataError, OSError) as e:
                self._index = path, None
                warnings.warn(f'{e}; until then searches compare with every image', RuntimeWarning, stacklevel=5)
        return self._index[1]

    def _update_index(self) -> None:
        """Build or extend the index if it lacks many rows."""
        view = self._view()
        state = view.state
        due = state.rows - state.indexed >= max(self.index_from, self.behind_share * state.indexed)
        if self.settings.index == 'exact' or not due:
            return
        try:
            anew = not state.indexed or (self.settings.index == 'ivfpq' and state.rows >= self.retrain * state.trained)
            index = None if anew else self._load_index(state, mapped=False)
            state = self._with_index(state, view.vectors, index)
        except (DataError, OSError) as e:
            # The images are enrolled, and searches find them without the index.
            warnings.warn(
                f'{self.uri}: the index was not brought up to date ({e}); searches compare what it lacks one by one. '
                f'`mmosnet gallery compact {self.uri}` makes it anew',
                RuntimeWarning,
                stacklevel=4,
            )
            return
        with self._lock:
            self._table.save_state(state)
            self._version = None
        self._remove_strays(state)

    def _with_index(self, state: GalleryState, vectors: np.ndarray, index: VectorIndex | None) -> GalleryState:
        """Write an index of all rows if the gallery should have one, and return the state with it.

        Args:
            state: State with the vectors.
            vectors: ``(rows, D)`` float32.
            index: Index to extend; None to train one.
        """
        if self.settings.index == 'exact' or state.rows < self.index_from:
            return state
        trained = state.trained
        if index is None:
            index, trained = VectorIndex.train(self.settings.index, vectors), state.rows
        index.extend(vectors, self._vector_file(state.generation).chunk_rows())
        state = replace(state, indexed=state.rows, trained=trained)
        path = self._index_path(state)
        return replace(state, index_bytes=index.save(path), index_checksum=file_checksum(path))

    def _is_index_intact(self, state: GalleryState) -> bool:
        """Return whether the index file is the one that was written."""
        path = self._index_path(state)
        if not path.is_file() or path.stat().st_size != state.index_bytes:
            return False
        return state.index_checksum in (None, file_checksum(path))

    def _load_index(self, state: GalleryState, mapped: bool) -> VectorIndex:
        path = self._index_path(state)
        # FAISS trusts the sizes in a file: a mapped file that is too short ends the process.
        if not self._is_index_intact(state):
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
                    # On Windows, while another process reads the file; the next change tries again.
                    continue


def _misplaced(columns: np.ndarray, vectors: np.ndarray) -> tuple[int, ...]:
    """Return the ids of records whose row number is damaged: rows ascend with ids."""
    rows = columns['row']
    outside = (rows < 0) | (rows >= len(vectors))
    inside = np.flatnonzero(~outside)
    falls = np.flatnonzero(np.diff(rows[inside]) <= 0)
    if not len(falls):
        return tuple(columns['id'][outside].tolist())
    # One row of each pair is wrong: the one whose embedding has another checksum.
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


def _likely_rows(
    queries: np.ndarray, vectors: np.ndarray, index: VectorIndex, selected: np.ndarray | None, top_k: int
) -> np.ndarray:
    """Return candidates of the index, and the nearest of the rows that the index lacks."""
    rows = len(index)
    head, tail = (None, None) if selected is None else (selected[:rows], selected[rows:])
    if head is not None and head.all():
        head = None
    parts = [nearest_rows(queries, vectors[rows:], tail, top_k) + rows]
    if head is None or head.any():
        parts.append(index.candidates(queries, top_k, head))
    return np.hstack(parts)
