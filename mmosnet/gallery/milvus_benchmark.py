"""How fast a gallery of drawn embeddings in Milvus is, how much it finds, and what it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmosnet.gallery.distance import checked_embeddings
from mmosnet.gallery.drawn_vectors import CAMERAS, drawn_features
from mmosnet.gallery.gallery import Gallery
from mmosnet.gallery.gallery_benchmark import BATCH, SINGLE, TOP_K, BenchmarkResult, PeakMemory
from mmosnet.gallery.milvus_connection import MilvusAddress

# Images enrolled at once.
STEP = 20_000
# For searches one at a time, of which each may take seconds.
SINGLE_SECONDS = 20


class MilvusBenchmark:
    """Builds a gallery in a collection of its own and searches it; what was enrolled before stays and counts.

    Args:
        uri: Address of Milvus; a collection that it names is not used.
        index: Kind of index.
        vectors: Number of vectors.
        dimension: Dimension of each embedding.
    """

    def __init__(self, uri: str, index: str, vectors: int, dimension: int) -> None:
        self.place = MilvusAddress.of(uri).place
        self.uri = f'{self.place}#benchmark_{index}_{vectors}x{dimension}'
        self.result = BenchmarkResult(index, vectors, dimension)

    def build(self, seconds: float, report: Callable[[int], None]) -> bool:
        """Enroll images until all of them are there or the time is over.

        Args:
            seconds: Time after which no further step begins.
            report: Told the number of images after each step.

        Returns:
            Whether all are there.
        """
        result, opened = self.result, time.perf_counter()
        try:
            gallery = Gallery.create(self.uri, result.dimension, result.index)
        except FileExistsError:
            gallery = Gallery.open(self.uri)
        with gallery, PeakMemory() as memory:
            there = len(gallery)
            while there < result.vectors and time.perf_counter() - opened < seconds:
                features = drawn_features(there, min(there + STEP, result.vectors), result.dimension)
                start = time.perf_counter()
                there += len(gallery.enroll(features))
                result.build_seconds += time.perf_counter() - start
                report(there)
            start = time.perf_counter()
            gallery.compact()
            result.build_seconds += time.perf_counter() - start
        result.build_memory = memory.peak
        result.file_bytes = sum(path.stat().st_size for path in Path(self.place).rglob('*') if path.is_file())
        return there >= result.vectors

    def search(self, queries: int) -> BenchmarkResult:
        """Measure searches for other images of people in the gallery."""
        result = self.result
        rows = np.linspace(0, result.vectors - 1, queries).astype(int).tolist()
        drawn = [drawn_features(row, row + 1, result.dimension, queries=True).embedding for row in rows]
        embedding = np.concatenate(drawn)
        camera = dict(camids=CAMERAS - 1)
        with PeakMemory() as memory, Gallery.open(self.uri) as gallery:
            _timed(gallery, embedding[:1], 1)
            _, alone = _timed(gallery, embedding[1:2], 1)
            found, result.batch = _timed(gallery, embedding, BATCH)
            camera_found, _ = _timed(gallery, embedding, BATCH, **camera)
            few = embedding[: min(SINGLE, max(3, int(SINGLE_SECONDS * alone)))]
            _, result.single = _timed(gallery, few, 1)
            _, result.camera_single = _timed(gallery, few, 1, **camera)
        result.memory = memory.peak
        truth, camera_truth = self._nearest(embedding, range(CAMERAS)), self._nearest(embedding, [CAMERAS - 1])
        result.recall, result.camera_recall = _recall(found, truth), _recall(camera_found, camera_truth)
        return result

    def _nearest(self, embedding: np.ndarray, camids: range | list[int]) -> list[list[str]]:
        """Return the paths of the 10 nearest of each query by comparing it with all images."""
        result = self.result
        queries = checked_embeddings(embedding, result.dimension, 'cosine', 'queries')
        best = np.empty((len(queries), 0))
        best_rows = np.empty((len(queries), 0), np.int64)
        for start in range(0, result.vectors, STEP):
            features = drawn_features(start, min(start + STEP, result.vectors), result.dimension)
            rows = np.flatnonzero(np.isin(features.camid, camids))
            drawn = checked_embeddings(features.embedding[rows], result.dimension, 'cosine', 'drawn')
            best = np.hstack([best, 1 - queries @ drawn.T])
            best_rows = np.hstack([best_rows, np.broadcast_to(rows + start, (len(queries), len(rows)))])
            order = np.argsort(best, axis=1, kind='stable')[:, :TOP_K]
            best, best_rows = np.take_along_axis(best, order, axis=1), np.take_along_axis(best_rows, order, axis=1)
        return [[f'drawn/{row:08d}.jpg' for row in rows] for rows in best_rows.tolist()]


def _timed(gallery: Gallery, embedding: np.ndarray, batch: int, **conditions: object) -> tuple[list[list[str]], float]:
    """Return the paths of the 10 nearest of each query, and the queries per second."""
    found = []
    start = time.perf_counter()
    for first in range(0, len(embedding), batch):
        found += gallery.search(embedding[first : first + batch], TOP_K, **conditions)
    seconds = time.perf_counter() - start
    return [[match.path for match in matches] for matches in found], len(embedding) / seconds


def _recall(found: list[list[str]], truth: list[list[str]]) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, truth, strict=True)]))
