"""Vectors of a gallery in a folder: checks, distances, checksums, their file, exact search, and FAISS's indexes.

Vectors lie in rows of a file that only grows. A search compares the queries with every row, in bounded memory, or asks
an index (IVF-PQ or HNSW) for likely candidates among the first rows. Candidates are ranked by their vectors, in double
precision. Jégou et al., "Product Quantization for Nearest Neighbor Search", TPAMI 2011; Malkov and Yashunin, "Efficient
and Robust Approximate Nearest Neighbor Search Using Hierarchical Navigable Small World Graphs", TPAMI 2020.
"""

from __future__ import annotations

import errno
import math
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmosnet.errors import DataError, need
from mmosnet.io.files import sync_folder, whole_file

# Shorter vectors have lost digits in float32, and with them their direction.
SHORTEST = 2.0**-100
# FAISS and Milvus square distances in float32, which holds up to 2 ** 128.
LONGEST = 2.0**60
# Columns that a record's checksum leaves out: the row, which compacting changes, and the checksum itself.
UNCOUNTED = ('row', 'checksum')
# Type of the numbers in a vector file.
NUMBERS = np.dtype('<f4')
# Bytes to handle at once: of a file for its checksum, and of vectors.
PIECE, CHUNK = 1 << 22, 1 << 26
# Candidates beyond top_k, because FAISS rounds distances and may find several equal that are not.
SPARE = 16
# Row of a candidate that does not exist.
NONE = -1
# Numbers of a vector per byte of an IVF-PQ code.
NUMBERS_PER_BYTE = 8
# Vectors to train on per list and per code: k-means gains little from more.
TRAINING_VECTORS = 64
# A search reads one in so many lists, and at least so many.
LISTS_SHARE, FEWEST_LISTS = 8, 16
# Neighbors of a vertex in the graph, and candidates kept while the graph is built and searched.
NEIGHBORS, BUILDING, SEARCHING = 32, 64, 128
# Candidates that an index returns per image of the result, and at least.
CANDIDATES, FEWEST_CANDIDATES = 10, 100


def checked_embeddings(embedding: np.ndarray, dimension: int, distance: str, what: str) -> np.ndarray:
    """Check embeddings, and normalize those for the cosine distance to length 1.

    Args:
        embedding: ``(N, D)`` floating point numbers.
        dimension: Dimension D of the gallery.
        distance: ``'cosine'`` or ``'euclidean'``.
        what: Name of the embeddings in errors.

    Returns:
        ``(N, D)`` float32, contiguous; for ``'euclidean'`` it may be the same array.

    Raises:
        DataError: The shape or the type is wrong, a number is not finite, or a vector is too short to have a cosine, or
            so long that its squared distances are not finite in float32.
    """
    try:
        embedding = np.asarray(embedding)
    # torch raises RuntimeError for a tensor with a gradient, TypeError for one on a GPU; NumPy ValueError for rows of
    # different lengths.
    except (ValueError, TypeError, RuntimeError) as e:
        raise DataError(f'{what}: {e}: give floating point numbers, (N, {dimension})') from e
    if embedding.ndim != 2 or embedding.shape[1] != dimension:
        raise DataError(f'{what}: an array of shape {embedding.shape}; this gallery takes (N, {dimension})')
    if embedding.dtype.kind != 'f':
        raise DataError(f'{what}: an array of {embedding.dtype}; give floating point numbers')
    with np.errstate(over='ignore'):
        embedding = np.ascontiguousarray(embedding, np.float32)
    # In double precision the squares of any float32 numbers have a finite sum.
    norms = np.sqrt(np.einsum('nd,nd->n', embedding, embedding, dtype=np.float64))
    if not np.isfinite(norms).all():
        row = int(np.flatnonzero(~np.isfinite(norms))[0])
        raise DataError(f'{what}: row {row} holds NaN or infinity: extract the features of its image again')
    if distance == 'euclidean':
        if len(norms) and norms.max() > LONGEST:
            row = int(norms.argmax())
            raise DataError(
                f'{what}: row {row} has length {norms[row]:.3g}; squared distances of more than {LONGEST:.0e} are not '
                'finite in float32: divide the embeddings by a constant, or compare by the cosine distance'
            )
        return embedding
    if len(norms) and norms.min() < SHORTEST:
        row = int(norms.argmin())
        raise DataError(
            f'{what}: row {row} has length {norms[row]:.3g}: zero, or too short to have a cosine: extract its features '
            'again'
        )
    # In one pass, without an array in double precision.
    return np.divide(embedding, norms[:, None], out=np.empty_like(embedding), casting='same_kind')


def distances(query: np.ndarray, embeddings: np.ndarray, distance: str) -> np.ndarray:
    """Return the distances of one query to embeddings in double precision.

    Those of FAISS and Milvus are rounded to float32, and their Euclidean ones come from ``x² + y² - 2xy``, which for
    near vectors keeps few digits or none.

    Args:
        query: ``(D,)``, a row that :func:`checked_embeddings` returned.
        embeddings: ``(N, D)``, likewise.
        distance: ``'cosine'`` or ``'euclidean'``.

    Returns:
        ``(N,)`` float64.
    """
    difference = embeddings.astype(np.float64) - query.astype(np.float64)
    squares = np.einsum('nd,nd->n', difference, difference)
    # |x - y|² = 2 - 2 cos for vectors of length 1; unlike 1 - xy it is never below 0.
    return squares / 2 if distance == 'cosine' else np.sqrt(squares)


@dataclass(frozen=True)
class DamagedImage:
    """An image whose checksums do not match.

    Attributes:
        id: Number of the image in the gallery.
        path: Path in its record, which may itself be damaged.
        part: The damaged part: ``'record'``, ``'embedding'``, or ``'row'``, the row of the embedding.
    """

    id: int
    path: str
    part: str


@dataclass(frozen=True)
class GalleryCheck:
    """The result of a gallery's check.

    Attributes:
        images: Number of checked images.
        damaged: Images whose checksums do not match.
        files: Damage by file name; empty for a sound file.
        unchecked: Parts without a checksum, with the reason.
    """

    images: int
    damaged: tuple[DamagedImage, ...]
    files: dict[str, str]
    unchecked: dict[str, str]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damaged and not any(self.files.values())


def record_checksum(names: Sequence[str], values: Sequence) -> int:
    """Return the checksum (CRC-32) of a record.

    It covers names and values of all columns but NULL values, so that a column which a later version adds keeps the
    checksums valid.

    Args:
        names: Names of the table's columns.
        values: Values as SQLite returns them.
    """
    pairs = [pair for pair in zip(names, values, strict=True) if pair[1] is not None and pair[0] not in UNCOUNTED]
    # ascii() gives the same text in every version of Python, also for bytes that are no text.
    return zlib.crc32(ascii(pairs).encode('ascii'))


def vector_checksums(vectors: np.ndarray) -> list[int]:
    """Return the checksum of each row of ``(N, D)`` float32, by its bytes in the file."""
    return [zlib.crc32(row) for row in np.ascontiguousarray(vectors, NUMBERS)]


def file_checksum(path: Path) -> int:
    """Return the checksum of a file."""
    checksum = 0
    with path.open('rb') as file:
        while piece := file.read(PIECE):
            checksum = zlib.crc32(piece, checksum)
    return checksum


def text_checksum(*texts: str) -> int:
    """Return the checksum of texts."""
    return zlib.crc32('\0'.join(texts).encode('utf-8', 'surrogatepass'))


def damage_error(gallery: str | Path, image: DamagedImage) -> DataError:
    """Return the error to raise for a damaged image; it names the image and the remedy."""
    return DataError(
        f'{gallery}: the {image.part} of image {image.id} ({image.path!r}) is damaged, its checksum does not hold: '
        f'restore the gallery, or `mmosnet gallery delete {gallery} --id {image.id}` and enroll the image '
        f'again; `mmosnet gallery check {gallery}` finds all that are damaged'
    )


def chunks(rows: int, size: int) -> Iterator[slice]:
    """Iterate over slices of at most ``size`` rows."""
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


class VectorFile:
    """A file of float32 vectors in rows, which only grows.

    Args:
        path: The file; the first :meth:`append` creates it.
        dimension: Numbers per row.
    """

    def __init__(self, path: Path, dimension: int) -> None:
        self.path = path
        self.dimension = dimension
        self.row_bytes = dimension * NUMBERS.itemsize

    def append(self, rows: int, vectors: np.ndarray) -> None:
        """Write vectors behind the first ``rows`` rows, and wait until they are on the disk.

        Further rows in the file, from an enrollment that was cut off, are overwritten.

        Raises:
            DataError: The file has fewer rows.
            OSError: There is no space; the file is as before.
        """
        new = not self.path.exists()
        # Without a buffer, which closing the file would write once more.
        with self.path.open('ab', buffering=0) as file:
            try:
                self._check_size(rows)
                file.truncate(rows * self.row_bytes)
                rest = np.ascontiguousarray(vectors, NUMBERS).data.cast('B')
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except BaseException as e:
                self._undo(rows, new)
                if isinstance(e, OSError):
                    # Errors of write() do not name the file.
                    raise OSError(e.errno, e.strerror, str(self.path)) from e
                raise
        if new:
            sync_folder(self.path.parent)

    def cut(self, rows: int) -> None:
        """Truncate the file to its first rows."""
        if self.path.exists() and self.path.stat().st_size > rows * self.row_bytes:
            os.truncate(self.path, rows * self.row_bytes)

    def map(self, rows: int) -> np.ndarray:
        """Return the first rows, ``(rows, D)`` float32, mapped: they are read from the disk on use.

        Raises:
            DataError: The file has fewer rows.
        """
        if rows == 0:
            return np.empty((0, self.dimension), np.float32)
        self._check_size(rows)
        return np.memmap(self.path, NUMBERS, 'r', shape=(rows, self.dimension))

    def chunk_rows(self) -> int:
        """Return the number of rows per chunk."""
        return max(1, CHUNK // self.row_bytes)

    def _undo(self, rows: int, new: bool) -> None:
        # The caller raises the first error.
        with suppress(OSError):
            self.path.unlink() if new else self.cut(rows)

    def _check_size(self, rows: int) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < rows * self.row_bytes:
            raise DataError(
                f'{self.path}: {size} bytes, but the gallery has {rows} vectors of {self.row_bytes} bytes: restore '
                'the file, or create the gallery anew'
            )


def nearest_rows(queries: np.ndarray, vectors: np.ndarray, selected: np.ndarray | None, top_k: int) -> np.ndarray:
    """Return the rows of the nearest vectors by Euclidean distance, in the order of FAISS.

    For vectors of length 1 that is also the order by cosine.

    Args:
        queries: ``(Q, D)`` float32.
        vectors: ``(N, D)`` float32, may be mapped from a file.
        selected: ``(N,)`` bool, vectors to compare with; None for all.
        top_k: Rows per query.

    Returns:
        ``(Q, K)`` int64, K at most ``top_k`` + :data:`SPARE`; -1 where there are fewer vectors.
    """
    faiss = need('faiss', 'gallery')
    keep = top_k + SPARE
    best_distances = np.empty((len(queries), 0), np.float32)
    best_rows = np.empty((len(queries), 0), np.int64)
    for chunk in chunks(len(vectors), max(1, CHUNK // (4 * vectors.shape[1]))):
        rows = None
        block = vectors[chunk]
        if selected is not None and not selected[chunk].all():
            rows = np.flatnonzero(selected[chunk])
            block = block[rows]
        if not len(block):
            continue
        block_distances, block_rows = faiss.knn(queries, np.asarray(block), min(keep, len(block)))
        block_rows = (block_rows if rows is None else rows[block_rows]) + chunk.start
        best_distances = np.hstack([best_distances, block_distances])
        best_rows = np.hstack([best_rows, block_rows])
        if best_rows.shape[1] > keep:
            order = np.argpartition(best_distances, keep - 1, axis=1)[:, :keep]
            best_distances = np.take_along_axis(best_distances, order, axis=1)
            best_rows = np.take_along_axis(best_rows, order, axis=1)
    return best_rows


def ranked(query: np.ndarray, vectors: np.ndarray, rows: np.ndarray, top_k: int, distance: str) -> tuple:
    """Rank candidates by distances in double precision, and return the nearest.

    Args:
        query: ``(D,)`` float32.
        vectors: ``(N, D)`` float32.
        rows: ``(K,)`` candidates, -1 for none.
        top_k: Number of rows to return.
        distance: ``'cosine'`` or ``'euclidean'``.

    Returns:
        Rows and distances, ``(top_k,)`` or fewer, by distance; equally near ones by row.
    """
    rows = np.unique(rows[rows != NONE])
    exact = distances(query, vectors[rows], distance)
    order = np.argsort(exact, kind='stable')[:top_k]
    return rows[order], exact[order]


def damaged_index(path: Path) -> DataError:
    """Return the error to raise for a damaged index file."""
    return DataError(f'{path}: damaged: `mmosnet gallery compact {path.parent}` makes it anew from the vectors')


class VectorIndex:
    """An index of the first rows of a :class:`VectorFile`, with the same row numbers.

    Args:
        kind: ``'ivfpq'`` or ``'hnsw'``.
        index: Index object of FAISS.
    """

    def __init__(self, kind: str, index: Any) -> None:
        self.kind = kind
        self.index = index

    @classmethod
    def train(cls, kind: str, vectors: np.ndarray) -> VectorIndex:
        """Return an empty index trained on vectors.

        Args:
            kind: ``'ivfpq'`` or ``'hnsw'``.
            vectors: ``(N, D)`` float32; if there are many, a fixed random sample is used.
        """
        faiss = need('faiss', 'gallery')
        dimension = vectors.shape[1]
        if kind == 'hnsw':
            # float16 takes half the memory, and the final distances do not come from the index.
            index = faiss.IndexHNSWSQ(dimension, faiss.ScalarQuantizer.QT_fp16, NEIGHBORS)
            index.hnsw.efConstruction = BUILDING
            index.is_trained = True
            return cls(kind, index)
        lists = 2 ** round(math.log2(math.sqrt(len(vectors))))
        codes = max(m for m in range(1, dimension + 1) if dimension % m == 0 and m <= dimension / NUMBERS_PER_BYTE + 1)
        index = faiss.IndexIVFPQ(faiss.IndexFlatL2(dimension), dimension, lists, codes, 8)
        index.pq.cp.max_points_per_centroid = TRAINING_VECTORS
        number = min(len(vectors), max(TRAINING_VECTORS * lists, 40 * 256))
        rows = np.sort(np.random.default_rng(0).choice(len(vectors), number, replace=False))
        index.train(vectors[rows])
        return cls(kind, index)

    @classmethod
    def load(cls, kind: str, path: Path, mapped: bool) -> VectorIndex:
        """Read a file.

        Args:
            kind: Kind of index that the file should hold.
            path: File whose size has been checked.
            mapped: Leave most of the index on the disk; such an index cannot be extended.

        Raises:
            DataError: The file is damaged.
        """
        faiss = need('faiss', 'gallery')
        # Lists are mapped by one flag, codes and graphs by another, which older versions of FAISS lack.
        flag = faiss.IO_FLAG_MMAP if kind == 'ivfpq' else getattr(faiss, 'IO_FLAG_MMAP_IFC', 0)
        try:
            index = faiss.read_index(str(path), flag if mapped else 0)
        except (RuntimeError, MemoryError) as e:
            # A hostile file may claim sizes beyond any memory.
            raise damaged_index(path) from e
        if not isinstance(index, faiss.IndexIVFPQ if kind == 'ivfpq' else faiss.IndexHNSWSQ):
            raise damaged_index(path)
        return cls(kind, index)

    def __len__(self) -> int:
        return self.index.ntotal

    def extend(self, vectors: np.ndarray, chunk_rows: int) -> None:
        """Add the rows that the index lacks.

        Args:
            vectors: ``(N, D)`` float32, all rows.
            chunk_rows: Rows to add at once.
        """
        start = len(self)
        for chunk in chunks(len(vectors) - start, chunk_rows):
            self.index.add(np.asarray(vectors[start + chunk.start : start + chunk.stop]))

    def save(self, path: Path) -> int:
        """Write the file completely or not at all; return its size in bytes."""
        faiss = need('faiss', 'gallery')
        with whole_file(path) as draft:
            try:
                faiss.write_index(self.index, str(draft))
            except RuntimeError as e:
                # FAISS reports the system's error only in its text.
                causes = (errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES)
                code = next((code for code in causes if os.strerror(code) in str(e)), errno.EIO)
                raise OSError(code, os.strerror(code), str(path)) from e
        return path.stat().st_size

    def candidates(self, queries: np.ndarray, top_k: int, selected: np.ndarray | None) -> np.ndarray:
        """Return rows that are likely the nearest.

        Args:
            queries: ``(Q, D)`` float32.
            top_k: Number of rows that the caller finally needs.
            selected: ``(N,)`` bool, rows of the index to search; None for all. With fewer rows the search visits more
                of the index.

        Returns:
            ``(Q, K)`` int64, -1 for none.
        """
        faiss = need('faiss', 'gallery')
        count = min(len(self), max(FEWEST_CANDIDATES, CANDIDATES * top_k))
        share, selector = 1.0, None
        if selected is not None:
            share = selected.mean()
            bits = np.packbits(selected, bitorder='little')
            selector = faiss.IDSelectorBitmap(bits)
        if self.kind == 'ivfpq':
            # The nearest of few selected rows lie in more lists, but still in near ones.
            lists = math.ceil(max(FEWEST_LISTS, self.index.nlist / LISTS_SHARE) / math.sqrt(share))
            parameters = faiss.SearchParametersIVF(nprobe=min(self.index.nlist, lists), sel=selector)
        else:
            visited = min(len(self), math.ceil(max(SEARCHING, count) / share))
            parameters = faiss.SearchParametersHNSW(efSearch=visited, sel=selector)
        return self.index.search(queries, count, params=parameters)[1]
