"""FAISS's indexes over vectors: IVF-PQ and HNSW, in files that are mapped into memory.

An index finds likely candidates among the first rows of a :class:`~mmosnet.gallery.vector_file.VectorFile`; which of
them are nearest, the vectors themselves tell. Rows keep their numbers. Jégou et al., "Product Quantization for Nearest
Neighbor Search", TPAMI 2011; Malkov and Yashunin, "Efficient and Robust Approximate Nearest Neighbor Search Using
Hierarchical Navigable Small World Graphs", TPAMI 2020.
"""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from mmosnet.errors import DataError, need
from mmosnet.gallery.vector_file import chunks
from mmosnet.io.files import whole_file

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
    """What is raised for an index file that is not what was written."""
    return DataError(f'{path}: damaged: `mmosnet gallery compact {path.parent}` makes it anew from the vectors')
