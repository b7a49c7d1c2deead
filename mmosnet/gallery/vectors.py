"""Vectors on disk and indexes over them.

Embeddings as a gallery keeps them, and the distances between them.

Checksums of a gallery's records, embeddings and files: CRC-32, which sees every flipped bit of one of them.

Comparing queries with every vector of a file, in bounded memory.

Vectors in a file that only grows, mapped into memory: float32 in rows, nothing else.

FAISS's indexes over vectors: IVF-PQ and HNSW, in files that are mapped into memory.

An index finds likely candidates among the first rows of a :class:`~mmosnet.gallery.vectors.VectorFile`; which of
them are nearest, the vectors themselves tell. Rows keep their numbers. Jégou et al., "Product Quantization for Nearest
Neighbor Search", TPAMI 2011; Malkov and Yashunin, "Efficient and Robust Approximate Nearest Neighbor Search Using
Hierarchical Navigable Small World Graphs", TPAMI 2020.
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

# Numbers of shorter vectors have lost digits in float32, and with them their direction.
SHORTEST = 2.0**-100
# FAISS and Milvus square distances in float32, which holds 2 ** 128.
LONGEST = 2.0**60


def checked_embeddings(embedding: np.ndarray, dimension: int, distance: str, what: str) -> np.ndarray:
    """Check embeddings, and normalize those for the cosine distance to length 1.

    Args:
        embedding: ``(N, D)`` floating point numbers.
        dimension: D, as the gallery has it.
        distance: ``'cosine'`` or ``'euclidean'``.
        what: Name of the embeddings in errors.

    Returns:
        ``(N, D)`` float32, contiguous; with ``'euclidean'`` it may be the array given.

    Raises:
        DataError: Another shape, another type, NaN or infinity, a vector too short to have a cosine, or so long that
            its squared distances are not finite in float32.
    """
    try:
        embedding = np.asarray(embedding)
    # What torch raises for a tensor with a gradient, or on a GPU; rows of unlike lengths; or no array at all.
    except (ValueError, TypeError, RuntimeError) as e:
        raise DataError(f'{what}: {e}: give floating point numbers, (N, {dimension})') from e
    if embedding.ndim != 2 or embedding.shape[1] != dimension:
        raise DataError(f'{what}: an array of shape {embedding.shape}; this gallery takes (N, {dimension})')
    if embedding.dtype.kind != 'f':
        raise DataError(f'{what}: an array of {embedding.dtype}; give floating point numbers')
    with np.errstate(over='ignore'):
        embedding = np.ascontiguousarray(embedding, np.float32)
    # In double precision squares of any float32 have a sum.
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
    """Compute the distances of one query to embeddings in double precision, as searches return them.

    The libraries' own are rounded to float32, and the Euclidean ones come from ``x² + y² - 2xy``, which for near
    vectors keeps few digits or none.

    Args:
        query: ``(D,)`` of :func:`checked_embeddings`.
        embeddings: ``(N, D)``, likewise.
        distance: ``'cosine'`` or ``'euclidean'``.

    Returns:
        ``(N,)`` float64.
    """
    difference = embeddings.astype(np.float64) - query.astype(np.float64)
    squares = np.einsum('nd,nd->n', difference, difference)
    # |x - y|² = 2 - 2 cos for vectors of length 1; never below 0, as 1 - xy would be.
    return squares / 2 if distance == 'cosine' else np.sqrt(squares)


# Columns of a record that its checksum leaves out: the row, which compacting changes, and itself.
UNCOUNTED = ('row', 'checksum')
# Bytes of a file read at once.
PIECE = 1 << 22


@dataclass(frozen=True)
class DamagedImage:
    """An image whose checksums do not hold.

    Attributes:
        id: Number of the image in the gallery.
        path: As its record has it now, which may be what is damaged.
        part: ``'record'``, ``'embedding'``, or ``'row'``, by which the record finds its embedding.
    """

    id: int
    path: str
    part: str


@dataclass(frozen=True)
class GalleryCheck:
    """What a gallery's check has found.

    Attributes:
        images: Number of checked images.
        damaged: Images whose checksums do not match.
        files: By file and part what was found: an empty text if all is well, else what is wrong with it.
        unchecked: What the gallery has no checksum of, with the reason.
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
    """Return the checksum of a record.

    All columns count, whichever there are, by name and value. NULL does not, so that a column which a later version
    adds leaves the checksums as they are.

    Args:
        names: Names of the table's columns.
        values: Values as SQLite returns them.
    """
    pairs = [pair for pair in zip(names, values, strict=True) if pair[1] is not None and pair[0] not in UNCOUNTED]
    # ASCII is the same in every version of Python, and has a form for bytes that are no text.
    return zlib.crc32(ascii(pairs).encode('ascii'))


def vector_checksums(vectors: np.ndarray) -> list[int]:
    """Return the checksum of each row of ``(N, D)`` float32, as its bytes are in the file."""
    return [zlib.crc32(row) for row in np.ascontiguousarray(vectors, '<f4')]


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


# Vectors that FAISS finds are ranked anew by distances of double precision: some more than wanted, for those whose
# distances it rounds to the same.
SPARE = 16
NONE = -1


def nearest_rows(queries: np.ndarray, vectors: np.ndarray, wanted: np.ndarray | None, top_k: int) -> np.ndarray:
    """Return the rows of the nearest vectors by Euclidean distance, in the order of FAISS.

    For vectors of length 1 that is the order by cosine too.

    Args:
        queries: ``(Q, D)`` float32.
        vectors: ``(N, D)`` float32, may be mapped from a file.
        wanted: ``(N,)`` bool, which vectors count; None for all.
        top_k: Rows a query.

    Returns:
        ``(Q, K)`` int64, K at most ``top_k`` and a few more, -1 where there are fewer.
    """
    faiss = need('faiss', 'gallery')
    keep = top_k + SPARE
    best_distances = np.empty((len(queries), 0), np.float32)
    best_rows = np.empty((len(queries), 0), np.int64)
    for chunk in chunks(len(vectors), max(1, CHUNK // (4 * vectors.shape[1]))):
        rows = None
        block = vectors[chunk]
        if wanted is not None and not wanted[chunk].all():
            rows = np.flatnonzero(wanted[chunk])
            block = block[rows]
        if not len(block):
            continue
        found_distances, found = faiss.knn(queries, np.asarray(block), min(keep, len(block)))
        found_rows = (found if rows is None else rows[found]) + chunk.start
        best_distances = np.hstack([best_distances, found_distances])
        best_rows = np.hstack([best_rows, found_rows])
        if best_rows.shape[1] > keep:
            order = np.argpartition(best_distances, keep - 1, axis=1)[:, :keep]
            best_distances = np.take_along_axis(best_distances, order, axis=1)
            best_rows = np.take_along_axis(best_rows, order, axis=1)
    return best_rows


def ranked(query: np.ndarray, vectors: np.ndarray, rows: np.ndarray, top_k: int, distance: str) -> tuple:
    """Rank some rows by distances in double precision, and return the nearest.

    Args:
        query: ``(D,)`` float32.
        vectors: ``(N, D)`` float32.
        rows: ``(K,)`` candidates, -1 for none.
        top_k: Number of rows to return.
        distance: ``'cosine'`` or ``'euclidean'``.

    Returns:
        Rows and distances, ``(top_k,)`` or fewer: by distance, equally near ones by row.
    """
    rows = np.unique(rows[rows != NONE])
    found = distances(query, vectors[rows], distance)
    order = np.argsort(found, kind='stable')[:top_k]
    return rows[order], found[order]


KIND = np.dtype('<f4')
# Bytes handled at once where a whole file is gone through.
CHUNK = 1 << 26


class VectorFile:
    """One file of vectors.

    Args:
        path: Made when the first vectors are appended.
        dimension: Numbers in a row.
    """

    def __init__(self, path: Path, dimension: int) -> None:
        self.path = path
        self.dimension = dimension
        self.row_bytes = dimension * KIND.itemsize

    def append(self, rows: int, vectors: np.ndarray) -> None:
        """Write vectors behind the first ``rows`` rows, and wait until they are on the disk.

        What the file has beyond those rows, of an enrolment that was cut off, is overwritten.

        Raises:
            DataError: The file has fewer rows.
            OSError: There is no space; the file is what it was before.
        """
        new = not self.path.exists()
        # Without a buffer, which would be written once more where the file is closed.
        with self.path.open('ab', buffering=0) as file:
            try:
                self._check_size(rows)
                file.truncate(rows * self.row_bytes)
                rest = np.ascontiguousarray(vectors, KIND).data.cast('B')
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except BaseException as e:
                self._undo(rows, new)
                if isinstance(e, OSError):
                    # Python knows no name for what fails while it writes.
                    raise OSError(e.errno, e.strerror, str(self.path)) from e
                raise
        if new:
            sync_folder(self.path.parent)

    def cut(self, rows: int) -> None:
        """Truncate the file to the first rows, so that the rest takes no space."""
        if self.path.exists() and self.path.stat().st_size > rows * self.row_bytes:
            os.truncate(self.path, rows * self.row_bytes)

    def map(self, rows: int) -> np.ndarray:
        """Return the first rows, ``(rows, D)`` float32, read from the disk as they are used.

        Raises:
            DataError: The file has fewer rows.
        """
        if rows == 0:
            return np.empty((0, self.dimension), np.float32)
        self._check_size(rows)
        return np.memmap(self.path, KIND, 'r', shape=(rows, self.dimension))

    def chunk_rows(self) -> int:
        """Return the number of rows per chunk."""
        return max(1, CHUNK // self.row_bytes)

    def _undo(self, rows: int, new: bool) -> None:
        # The first error is the one that counts.
        with suppress(OSError):
            self.path.unlink() if new else self.cut(rows)

    def _check_size(self, rows: int) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < rows * self.row_bytes:
            raise DataError(
                f'{self.path}: {size} bytes, but the gallery has {rows} vectors of {self.row_bytes} bytes: restore '
                'the file, or create the gallery anew'
            )


def chunks(rows: int, size: int) -> Iterator[slice]:
    """Iterate over slices of at most ``size`` rows."""
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


# Numbers of a vector that become one byte of IVF-PQ's codes.
NUMBERS_A_BYTE = 8
# Vectors to train on for each list and each code: k-means gains little from more.
TRAINING_VECTORS = 64
# One list in so many is looked through.
LISTS_SHARE, FEWEST_LISTS = 8, 16
# Neighbours of a vertex, and candidates kept while the graph is built and searched.
NEIGHBOURS, BUILDING, SEARCHING = 32, 64, 128
# Candidates that the vectors are asked about, for each image wanted, and at least.
CANDIDATES, FEWEST_CANDIDATES = 10, 100


class VectorIndex:
    """One index.

    Args:
        kind: ``'ivfpq'`` or ``'hnsw'``.
        index: FAISS's.
    """

    def __init__(self, kind: str, index: Any) -> None:
        self.kind = kind
        self.index = index

    @classmethod
    def train(cls, kind: str, vectors: np.ndarray) -> VectorIndex:
        """Return an empty index trained for vectors like these.

        Args:
            kind: ``'ivfpq'`` or ``'hnsw'``.
            vectors: ``(N, D)`` float32; of many a part is looked at, always the same one.
        """
        faiss = need('faiss', 'gallery')
        dimension = vectors.shape[1]
        if kind == 'hnsw':
            # Half the memory; the vectors themselves tell the distances.
            index = faiss.IndexHNSWSQ(dimension, faiss.ScalarQuantizer.QT_fp16, NEIGHBOURS)
            index.hnsw.efConstruction = BUILDING
            index.is_trained = True
            return cls(kind, index)
        lists = 2 ** round(math.log2(math.sqrt(len(vectors))))
        codes = max(m for m in range(1, dimension + 1) if dimension % m == 0 and m <= dimension / NUMBERS_A_BYTE + 1)
        index = faiss.IndexIVFPQ(faiss.IndexFlatL2(dimension), dimension, lists, codes, 8)
        index.pq.cp.max_points_per_centroid = TRAINING_VECTORS
        wanted = min(len(vectors), max(TRAINING_VECTORS * lists, 40 * 256))
        rows = np.sort(np.random.default_rng(0).choice(len(vectors), wanted, replace=False))
        index.train(vectors[rows])
        return cls(kind, index)

    @classmethod
    def load(cls, kind: str, path: Path, mapped: bool) -> VectorIndex:
        """Read a file.

        Args:
            kind: Kind of index that the file should hold.
            path: File whose size has been checked.
            mapped: Leave the bulk on the disc; such an index takes no more vectors.

        Raises:
            DataError: Damaged.
        """
        faiss = need('faiss', 'gallery')
        # Lists are mapped by one flag, codes and graphs by another, which older versions do not have.
        flag = faiss.IO_FLAG_MMAP if kind == 'ivfpq' else getattr(faiss, 'IO_FLAG_MMAP_IFC', 0)
        try:
            index = faiss.read_index(str(path), flag if mapped else 0)
        except (RuntimeError, MemoryError) as e:
            # A hostile one may claim sizes that no memory has.
            raise damaged(path) from e
        if not isinstance(index, faiss.IndexIVFPQ if kind == 'ivfpq' else faiss.IndexHNSWSQ):
            raise damaged(path)
        return cls(kind, index)

    def __len__(self) -> int:
        return self.index.ntotal

    def extend(self, vectors: np.ndarray, chunk_rows: int) -> None:
        """Add the rows that the index does not have yet, out of all vectors ``(N, D)``."""
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
                # FAISS has the system's error in its text alone.
                causes = (errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES)
                code = next((code for code in causes if os.strerror(code) in str(e)), errno.EIO)
                raise OSError(code, os.strerror(code), str(path)) from e
        return path.stat().st_size

    def candidates(self, queries: np.ndarray, top_k: int, wanted: np.ndarray | None) -> np.ndarray:
        """Return rows that are likely the nearest.

        Args:
            queries: ``(Q, D)`` float32.
            top_k: Number of rows that are needed in the end.
            wanted: ``(N,)`` bool for the rows of the index; None for all. The fewer, the farther the search looks.

        Returns:
            ``(Q, K)`` int64, -1 for none.
        """
        faiss = need('faiss', 'gallery')
        count = min(len(self), max(FEWEST_CANDIDATES, CANDIDATES * top_k))
        share, selector = 1.0, None
        if wanted is not None:
            share = wanted.mean()
            bits = np.packbits(wanted, bitorder='little')
            selector = faiss.IDSelectorBitmap(bits)
        if self.kind == 'ivfpq':
            # The nearest of few lie in more lists, but still in near ones.
            lists = math.ceil(max(FEWEST_LISTS, self.index.nlist / LISTS_SHARE) / math.sqrt(share))
            parameters = faiss.SearchParametersIVF(nprobe=min(self.index.nlist, lists), sel=selector)
        else:
            visited = min(len(self), math.ceil(max(SEARCHING, count) / share))
            parameters = faiss.SearchParametersHNSW(efSearch=visited, sel=selector)
        return self.index.search(queries, count, params=parameters)[1]


def damaged(path: Path) -> DataError:
    """Return the error to raise for an index file that is not the one that was written."""
    return DataError(f'{path}: damaged: `mmosnet gallery compact {path.parent}` makes it anew from the vectors')
