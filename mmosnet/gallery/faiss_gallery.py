"""A gallery in a folder of one machine, searched by FAISS.

``gallery.sqlite`` has the records and says how much of the other files counts; ``vectors-0001.f32`` the embeddings, in
rows; ``index-0001-1000000.faiss`` an index of the first so many rows, if the gallery has one. Rows beyond are compared
one by one, so that enrolling does not rewrite the index each time. Files are mapped into memory: a gallery may be
larger. Several processes may read; those that write take turns.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from mmosnet.errors import DataError
from mmosnet.features import Features
from mmosnet.gallery.exact_search import nearest_rows, ranked
from mmosnet.gallery.gallery import Gallery
from mmosnet.gallery.gallery_settings import GallerySettings
from mmosnet.gallery.match import Record
from mmosnet.gallery.record_filter import RecordFilter
from mmosnet.gallery.record_table import GalleryState, RecordTable
from mmosnet.gallery.vector_file import VectorFile, chunks
from mmosnet.gallery.vector_index import VectorIndex, damaged
from mmosnet.optional_package import need

RECORDS, LOCK = 'gallery.sqlite', 'gallery.lock'
# Seconds to wait for another process that writes.
PATIENCE = 600


@dataclass(frozen=True)
class View:
    """What a gallery holds at one moment; searches need nothing else, whatever is written meanwhile.

    Attributes:
        state: Its files and rows.
        columns: Records without their paths, ascending by row (:meth:`RecordTable.columns`).
        vectors: ``(rows, D)``, mapped.
        alive: ``(rows,)`` bool, rows that were not deleted; None if that is all.
        index: Of the first rows, if there is one.
    """

    state: GalleryState
    columns: np.ndarray
    vectors: np.ndarray
    alive: np.ndarray | None
    index: VectorIndex | None


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
        try:
            super().__init__(uri, self._table.head()[0])
        except DataError:
            self._table.close()
            raise

    @classmethod
    def _create(cls, uri: str, settings: GallerySettings) -> FaissGallery:
        path = Path(uri) / RECORDS
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.parent / LOCK, timeout=PATIENCE):
            if path.exists():
                raise FileExistsError(f'{uri} has a gallery: open it, or name another folder')
            part = path.with_name(RECORDS + '.part')
            part.unlink(missing_ok=True)
            RecordTable.create(part, settings)
            part.rename(path)
        return cls(uri)

    @classmethod
    def _open(cls, uri: str) -> FaissGallery:
        if not (Path(uri) / RECORDS).is_file():
            raise FileNotFoundError(f'no gallery {uri}; tools/gallery.py create makes one')
        return cls(uri)

    def __len__(self) -> int:
        return len(self._view().columns)

    def ids(self) -> np.ndarray:
        """See the base class."""
        return self._view().columns['id'].copy()

    def pids(self) -> dict[int, int]:
        """See the base class."""
        pids, counts = np.unique(self._view().columns['pid'], return_counts=True)
        return dict(zip(pids.tolist(), counts.tolist(), strict=True))

    def compact(self) -> None:
        """Write new files without what was deleted, with an index of all rows; the old ones are removed."""
        with self._writing():
            view = self._view()
            generation = view.state.generation + 1
            file = self._vector_file(generation)
            file.path.unlink(missing_ok=True)
            rows = view.columns['row']
            for chunk in chunks(len(rows), file.chunk_rows()):
                file.append(chunk.start, view.vectors[rows[chunk]])
            state = GalleryState(generation, rows=len(rows), next_id=view.state.next_id)
            state = self._indexed(state, file.map(len(rows)), None)
            with self._turn:
                self._table.renumber(state)
                self._cached = None
                self._table.vacuum()
            self._remove_strays(state)

    def close(self) -> None:
        """See the base class."""
        with self._turn:
            self._cached = None
            self._table.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._file_lock:
                # Settings, too, may have been written by others.
                self._view()
                yield
        except Timeout as e:
            raise DataError(f'{self.uri}: another process has been writing for {PATIENCE} s; wait for it') from e

    def _append(self, embedding: np.ndarray, features: Features) -> np.ndarray:
        state = self._view().state
        ids = np.arange(state.next_id, state.next_id + len(embedding))
        rows = range(state.rows, state.rows + len(embedding))
        times = [None if np.isnan(time) else time for time in features.time.tolist()]
        columns = (ids.tolist(), rows, features.path, features.pid.tolist(), features.camid.tolist(), times)
        columns += (features.source,)
        # The vectors first: until the records are there nobody sees them.
        self._vector_file(state.generation).append(state.rows, embedding)
        added = replace(state, rows=rows.stop, next_id=int(ids[-1]) + 1)
        with self._turn:
            self._table.add(zip(*columns, strict=True), added, features.names)
            self._version = None
        self._update_index()
        return ids

    def _delete(self, where: RecordFilter) -> int:
        view = self._view()
        doomed = view.columns['id'][_meet(view.columns, where)].tolist()
        if doomed:
            with self._turn:
                self._table.remove(doomed, replace(view.state, deletions=view.state.deletions + 1))
                self._version = None
        return len(doomed)

    def _nearest(self, embedding: np.ndarray, top_k: int, where: RecordFilter) -> list[list[tuple[Record, float]]]:
        view = self._view(indexed=True)
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
            found.append(ranked(query, view.vectors, rows, top_k, self.distance))
        ids = [view.columns['id'][np.searchsorted(view.columns['row'], rows)].tolist() for rows, _ in found]
        records = {record.id: record for record in self._records(sorted({id for some in ids for id in some}))}
        return [
            # What another process has deleted meanwhile has no record any more.
            [(records[id], distance) for id, distance in zip(some, distances.tolist(), strict=True) if id in records]
            for some, (_, distances) in zip(ids, found, strict=True)
        ]

    def _records(self, ids: Sequence[int]) -> list[Record]:
        with self._turn:
            return self._table.records(ids)

    def _known_paths(self, paths: Sequence[str]) -> set[tuple[str, str]]:
        with self._turn:
            return self._table.known_paths(paths)

    def _names(self, key: str) -> dict[int, str]:
        with self._turn:
            return self._table.names(key)

    def _used(self, key: str) -> list[int]:
        return np.unique(self._view().columns[key]).tolist()

    def _embeddings(self, ids: Sequence[int]) -> np.ndarray:
        view = self._view()
        known = view.columns['id']
        # Another process may have deleted some since their records were read.
        self._require(ids, dict.fromkeys(known.tolist()))
        rows = view.columns['row'][np.searchsorted(known, ids)]
        return np.array(view.vectors[rows])

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
            bytes=sum(file.stat().st_size for file in self.folder.iterdir() if file.is_file()),
        )

    def _view(self, indexed: bool = False) -> View:
        """What the gallery holds now; of an unchanged one what was read before.

        Args:
            indexed: With the index, if there is one.
        """
        with self._turn:
            version = self._table.version()
            known = self._cached
            lacking = indexed and known is not None and known.index is None and known.state.indexed > 0
            if known is None or version != self._version or lacking:
                # Files that a state names are removed only after another one is written: not while this is read.
                with self._table.reading():
                    self.settings, state = self._table.head()
                    self._cached = self._read(state, known, indexed)
                self._version = version
            return self._cached

    def _read(self, state: GalleryState, known: View | None, indexed: bool) -> View:
        """What a state names, as far as it is not known."""
        columns = index = None
        if known is not None and known.state.generation == state.generation:
            if known.state.deletions == state.deletions:
                columns = np.concatenate([known.columns, self._table.columns(known.state.rows)])
            if known.state.indexed == state.indexed:
                index = known.index
        if columns is None:
            columns = self._table.columns()
        if indexed and index is None and state.indexed:
            index = self._load_index(state, mapped=True)
        alive = None
        if len(columns) < state.rows:
            alive = np.zeros(state.rows, bool)
            alive[columns['row']] = True
        return View(state, columns, self._vector_file(state.generation).map(state.rows), alive, index)

    def _update_index(self) -> None:
        """Make the index, or let it catch up, where that is due."""
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
                f'`python tools/gallery.py compact {self.uri}` makes it anew',
                RuntimeWarning,
                stacklevel=4,
            )
            return
        with self._turn:
            self._table.save_state(state)
            self._version = None
        self._remove_strays(state)

    def _indexed(self, state: GalleryState, vectors: np.ndarray, index: VectorIndex | None) -> GalleryState:
        """Write an index of all rows, if the gallery should have one; gives the state that names it."""
        if self.settings.index == 'exact' or state.rows < self.index_from:
            return state
        trained = state.trained
        if index is None:
            index, trained = VectorIndex.train(self.settings.index, vectors), state.rows
        index.extend(vectors, self._vector_file(state.generation).chunk_rows())
        state = replace(state, indexed=state.rows, trained=trained)
        return replace(state, index_bytes=index.save(self._index_path(state)))

    def _load_index(self, state: GalleryState, mapped: bool) -> VectorIndex:
        path = self._index_path(state)
        # A mapped file that is too short ends the process.
        if not path.is_file() or path.stat().st_size != state.index_bytes:
            raise damaged(path)
        index = VectorIndex.load(self.settings.index, path, mapped)
        if len(index) != state.indexed or index.index.d != self.dimension:
            raise damaged(path)
        return index

    def _vector_file(self, generation: int) -> VectorFile:
        return VectorFile(self.folder / f'vectors-{generation:04d}.f32', self.dimension)

    def _index_path(self, state: GalleryState) -> Path:
        return self.folder / f'index-{state.generation:04d}-{state.indexed}.faiss'

    def _remove_strays(self, state: GalleryState) -> None:
        """Remove files of vectors and indexes that the state does not name."""
        needed = {self._vector_file(state.generation).path, self._index_path(state)}
        for file in [*self.folder.glob('vectors-*.f32'), *self.folder.glob('index-*.faiss*')]:
            if file not in needed:
                try:
                    file.unlink()
                except PermissionError:
                    # Windows, where another process still reads it: the next time.
                    continue


def _meet(columns: np.ndarray, where: RecordFilter) -> np.ndarray:
    """Which records meet the conditions, ``(N,)`` bool."""
    return where.mask(columns['id'], columns['pid'], columns['camid'], columns['time'])


def _likely_rows(queries: np.ndarray, view: View, wanted: np.ndarray | None, top_k: int) -> np.ndarray:
    """Candidates of the index, and of the rows that it does not have."""
    rows = len(view.index)
    head, tail = (None, None) if wanted is None else (wanted[:rows], wanted[rows:])
    if head is not None and head.all():
        head = None
    parts = [nearest_rows(queries, view.vectors[rows:], tail, top_k) + rows]
    if head is None or head.any():
        parts.append(view.index.candidates(queries, top_k, head))
    return np.hstack(parts)
