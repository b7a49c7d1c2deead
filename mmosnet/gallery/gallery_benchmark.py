"""How fast a gallery of drawn embeddings is, how much it finds, and what it takes: in steps that can be cut off."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mmosnet.gallery.drawn_vectors import CAMERAS, drawn_features
from mmosnet.gallery.faiss_gallery import FaissGallery
from mmosnet.gallery.gallery import Gallery
from mmosnet.gallery.vector_file import CHUNK
from mmosnet.optional_package import need

# Images enrolled at once.
STEP = 50_000
TOP_K = 10
# Queries at once, where there are many.
BATCH = 100
# Queries searched one by one at most: for exact search each takes a part of a second.
SINGLE = 100
RESULT = 'benchmark.json'


@dataclass
class BenchmarkResult:
    """Figures of one gallery.

    Attributes:
        index: Kind of index.
        vectors: Number of vectors.
        dimension: Dimension of each embedding.
        build_seconds: For enrolling all of them and for the index, without drawing them.
        build_memory: Largest amount of memory meanwhile, without mapped files, in bytes.
        file_bytes: Size of the folder in bytes.
        recall: Share of the 10 nearest that are found.
        camera_recall: The same among images of one camera of eight.
        single: Queries a second, one at a time.
        batch: Queries a second, 100 at a time.
        camera_single: One at a time among images of one camera.
        memory: Largest amount while searching, without mapped files, in bytes.
        threads: Computing.
    """

    index: str
    vectors: int
    dimension: int
    build_seconds: float = 0.0
    build_memory: int = 0
    file_bytes: int = 0
    recall: float | None = None
    camera_recall: float | None = None
    single: float | None = None
    batch: float | None = None
    camera_single: float | None = None
    memory: int = 0
    threads: int = 1


class GalleryBenchmark:
    """Builds a gallery and searches it. What was done before in the same folder is not done again.

    Args:
        folder: Folder of the gallery.
        index: Kind of index.
        vectors: Number of vectors.
        dimension: Dimension of each embedding.
        threads: Number of threads.
    """

    def __init__(self, folder: str | Path, index: str, vectors: int, dimension: int, threads: int = 1) -> None:
        self.folder = Path(folder)
        self.file = self.folder / RESULT
        self.result = BenchmarkResult(index, vectors, dimension, threads=threads)
        if self.file.exists():
            self.result = BenchmarkResult(**json.loads(self.file.read_text()))
        need('faiss', 'gallery').omp_set_num_threads(threads)

    def build(self, seconds: float, report: Callable[[int], None]) -> bool:
        """Enroll images until all of them are there or the time is over.

        Args:
            seconds: Time after which no further step begins.
            report: Told the number of images after each step.

        Returns:
            Whether all are there.
        """
        result = self.result
        opened = time.perf_counter()
        if (self.folder / 'gallery.sqlite').exists():
            gallery = Gallery.open(self.folder)
        else:
            gallery = Gallery.create(self.folder, result.dimension, result.index)
        with gallery:
            while len(gallery) < result.vectors and time.perf_counter() - opened < seconds:
                stop = min(len(gallery) + STEP, result.vectors)
                features = drawn_features(len(gallery), stop, result.dimension)
                with PeakMemory() as memory:
                    start = time.perf_counter()
                    gallery.enroll(features)
                    result.build_seconds += time.perf_counter() - start
                result.build_memory = max(result.build_memory, memory.peak)
                result.file_bytes = gallery.info()['bytes']
                self._save()
                report(len(gallery))
            return len(gallery) >= result.vectors

    def search(self, queries: int) -> BenchmarkResult:
        """Measure searches for images of people in the gallery."""
        result = self.result
        spread = np.linspace(0, result.vectors - 1, queries).astype(int)
        embedding = np.concatenate(
            [drawn_features(i, i + 1, result.dimension, queries=True).embedding for i in spread.tolist()]
        )
        with Gallery.open(self.folder) as gallery:
            camera = dict(camids=CAMERAS - 1)
            self._read_files()
            with PeakMemory() as memory:
                gallery.search(embedding[:1], TOP_K)
                found, result.batch = _timed(gallery, embedding, BATCH)
                camera_found, _ = _timed(gallery, embedding, BATCH, **camera)
                _, result.single = _timed(gallery, embedding[:SINGLE], 1)
                _, result.camera_single = _timed(gallery, embedding[:SINGLE], 1, **camera)
            truth, camera_truth = _exactly(gallery, embedding), _exactly(gallery, embedding, **camera)
        result.memory = memory.peak
        result.recall = _recall(found, truth)
        result.camera_recall = _recall(camera_found, camera_truth)
        self._save()
        return result

    def _read_files(self) -> None:
        """Read the files once, so that they are in memory like those of a gallery in use."""
        for path in self.folder.glob('*-*'):
            with path.open('rb') as file:
                while file.read(CHUNK):
                    pass

    def _save(self) -> None:
        self.file.write_text(json.dumps(asdict(self.result), indent=1) + '\n')


class PeakMemory:
    """Watches how much memory this process gets on top of what it has, without files mapped into it.

    Attributes:
        peak: Bytes; Linux only, elsewhere 0.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._before = self._now()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.peak = max(self.peak, self._now() - self._before)

    @staticmethod
    def _now() -> int:
        status = Path('/proc/self/status')
        if not status.exists():
            return 0
        lines = dict(line.split(':', 1) for line in status.read_text().splitlines())
        return 1024 * int(lines['RssAnon'].split()[0])


def _exactly(gallery: FaissGallery, embedding: np.ndarray, **conditions: object) -> list[list[int]]:
    """Return the ids of the 10 nearest of each query by comparing it with all images."""
    usual, gallery.exact_up_to = gallery.exact_up_to, len(gallery)
    found = _timed(gallery, embedding, BATCH, **conditions)[0]
    gallery.exact_up_to = usual
    return found


def _timed(gallery: Gallery, embedding: np.ndarray, batch: int, **conditions: object) -> tuple[list[list[int]], float]:
    """Return the ids of the 10 nearest of each query, and the queries per second."""
    found = []
    start = time.perf_counter()
    for first in range(0, len(embedding), batch):
        found += gallery.search(embedding[first : first + batch], TOP_K, **conditions)
    seconds = time.perf_counter() - start
    return [[match.id for match in matches] for matches in found], len(embedding) / seconds


def _recall(found: list[list[int]], truth: list[list[int]]) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, truth, strict=True)]))
