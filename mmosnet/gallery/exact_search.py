"""Comparing queries with every vector of a file, in bounded memory."""

from __future__ import annotations

import numpy as np

from mmosnet.errors import need
from mmosnet.gallery.distance import distances
from mmosnet.gallery.vector_file import CHUNK, chunks

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
