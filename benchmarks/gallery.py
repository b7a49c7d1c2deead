"""Speed, recall and memory of a gallery of random embeddings, measured in steps, of which the last may be left out.

The embeddings are clustered as those of people are: people look more or less alike, and a person's images differ.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mmosnet.errors import need
from mmosnet.features import Features
from mmosnet.gallery.base import Gallery
from mmosnet.gallery.milvus_connection import MilvusAddress, keeps_milvus
from mmosnet.gallery.vectors import checked_embeddings
from mmosnet.io.text_tables import text_table

# Images enrolled at once, in a folder (FAISS) and in Milvus.
FOLDER_STEP, MILVUS_STEP = 50_000, 20_000
TOP_K = 10
# Queries per call of a search with many.
BATCH = 100
# Largest number of queries that are searched one by one, and the seconds that this may take.
SINGLE, SINGLE_SECONDS = 100, 20
# Of a folder: the figures so far.
RESULT = 'benchmark.json'

# Images per person, people per group of similar people, cameras.
IMAGES, PEOPLE, CAMERAS = 20, 50, 8
# Directions in which people differ, and by how much groups, people of a group and images of a person differ; there is
# noise in all dimensions. Two images of a person are about 0.3 apart (cosine), two people of a group about 0.5, others
# about 1.
DIRECTIONS = 96
GROUP, PERSON, IMAGE, NOISE = 1.0, 0.65, 0.8, 0.1
# Rows of random numbers generated at once.
BLOCK = 1024


def random_features(start: int, stop: int, dimension: int, seed: int = 0, queries: bool = False) -> Features:
    """Generate images ``start`` to ``stop`` of an endless sequence.

    Args:
        start: Number of the first image.
        stop: Number after the last image.
        dimension: Size of the embeddings.
        seed: Seed of people and images.
        queries: Whether other images of the same people are generated.

    Returns:
        Features of images that follow each other at 100 per second, from camera 0 to 7 in turn.
    """
    number = np.arange(start, stop)
    pid = number // IMAGES
    directions = np.random.default_rng([seed, 0]).standard_normal((DIRECTIONS, dimension), dtype=np.float32)
    latent = GROUP * _normal_rows(pid // PEOPLE, DIRECTIONS, [seed, 1])
    latent += PERSON * _normal_rows(pid, DIRECTIONS, [seed, 2])
    latent += IMAGE * _normal_rows(number, DIRECTIONS, [seed, 3, queries])
    embedding = latent @ (directions / np.sqrt(np.float32(DIRECTIONS)))
    embedding += NOISE * _normal_rows(number, dimension, [seed, 4, queries])
    return Features(
        embedding=embedding,
        path=[_path(row) for row in number],
        pid=pid,
        camid=number % CAMERAS,
        time=number / 100,
        model='',
    )


def _path(row: int) -> str:
    return f'random/{row:08d}.jpg'


def _normal_rows(numbers: np.ndarray, width: int, seed: list[int]) -> np.ndarray:
    """Generate normal numbers ``(N, width)``. A row does not depend on the other rows of a call.

    Args:
        numbers: Numbers of the rows ``(N,)``, ascending.
        width: Numbers per row.
        seed: Seed of all rows.
    """
    first, last = numbers[0] // BLOCK, numbers[-1] // BLOCK
    blocks = [
        np.random.default_rng([*seed, block]).standard_normal((BLOCK, width), dtype=np.float32)
        for block in range(first, last + 1)
    ]
    return np.concatenate(blocks)[numbers - first * BLOCK]


@dataclass
class GalleryResult:
    """Figures of one gallery.

    Attributes:
        index: Kind of its index.
        vectors: Number of images.
        dimension: Size of the embeddings.
        build_seconds: Time for enrolling all images and for the index, without generating the images.
        build_memory: Largest memory while building, without mapped files, in bytes.
        file_bytes: Size of its files; 0 on a server.
        recall: Share of the 10 nearest images that a search returns.
        camera_recall: The same among images of one camera of eight.
        single: Queries per second, one at a time.
        batch: Queries per second, 100 at a time.
        camera_single: Queries per second, one at a time, among images of one camera.
        memory: Largest memory while searching, without mapped files, in bytes.
        threads: Number of threads of FAISS.
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
    """Build a gallery and search it. Images that are enrolled in the same place already are not enrolled again.

    Args:
        place: Folder below which a gallery for FAISS is made; or a file ``NAME.db`` or an address of Milvus, where a
            new collection is made, whatever collection the address names.
        index: Kind of index.
        vectors: Number of images.
        dimension: Size of the embeddings.
        threads: Threads that FAISS computes with. Milvus chooses its own.
    """

    def __init__(self, place: str | Path, index: str, vectors: int, dimension: int, threads: int = 1) -> None:
        self.result = GalleryResult(index, vectors, dimension, threads=threads)
        self.in_milvus = keeps_milvus(str(place))
        self.step = MILVUS_STEP if self.in_milvus else FOLDER_STEP
        if self.in_milvus:
            place = MilvusAddress.of(str(place)).place
            self.uri, self.folder = f'{place}#benchmark_{index}_{vectors}x{dimension}', Path(place)
            return
        need('faiss', 'gallery').omp_set_num_threads(threads)
        self.folder = Path(place) / f'{index}-{vectors}x{dimension}'
        self.uri = str(self.folder)
        if (self.folder / RESULT).exists():
            self.result = GalleryResult(**json.loads((self.folder / RESULT).read_text()))

    def build(self, seconds: float, report: Callable[[int], None]) -> bool:
        """Enroll until all images are there, or the time is over.

        Args:
            seconds: Time after which no further step begins.
            report: Called with the number of images after each step.

        Returns:
            Whether all images are enrolled.
        """
        result, opened = self.result, time.perf_counter()
        try:
            gallery = Gallery.create(self.uri, result.dimension, result.index)
        except FileExistsError:
            gallery = Gallery.open(self.uri)
        with gallery:
            enrolled = len(gallery)
            while enrolled < result.vectors and time.perf_counter() - opened < seconds:
                features = random_features(enrolled, min(enrolled + self.step, result.vectors), result.dimension)
                self._build_step(lambda features=features: gallery.enroll(features))
                enrolled += len(features)
                report(enrolled)
            if self.in_milvus and enrolled >= result.vectors:
                # What is new is searched without an index until then.
                self._build_step(gallery.compact)
        return enrolled >= result.vectors

    def _build_step(self, work: Callable[[], object]) -> None:
        result = self.result
        with PeakAnonymousMemory() as memory:
            start = time.perf_counter()
            work()
            result.build_seconds += time.perf_counter() - start
        result.build_memory = max(result.build_memory, memory.peak)
        result.file_bytes = sum(path.stat().st_size for path in self._files())
        self._save()

    def search(self, queries: int) -> GalleryResult:
        """Measure searches, by other images of people in the gallery.

        Args:
            queries: Number of searches.
        """
        result = self.result
        rows = np.linspace(0, result.vectors - 1, queries).astype(int).tolist()
        embedding = np.concatenate(
            [random_features(row, row + 1, result.dimension, queries=True).embedding for row in rows]
        )
        camera = dict(camids=CAMERAS - 1)
        self._read_files()
        with PeakAnonymousMemory() as memory, Gallery.open(self.uri) as gallery:
            _search(gallery, embedding[:1], 1)
            _, speed = _search(gallery, embedding[1:2], 1)
            matched, result.batch = _search(gallery, embedding, BATCH)
            camera_found, _ = _search(gallery, embedding, BATCH, **camera)
            few = embedding[: min(SINGLE, max(3, int(SINGLE_SECONDS * speed)))]
            _, result.single = _search(gallery, few, 1)
            _, result.camera_single = _search(gallery, few, 1, **camera)
        result.memory = memory.peak
        nearest = self.nearest(embedding, [range(CAMERAS), [CAMERAS - 1]])
        result.recall, result.camera_recall = _recall(matched, nearest[0]), _recall(camera_found, nearest[1])
        self._save()
        return result

    def nearest(self, embedding: np.ndarray, cameras: Sequence[Sequence[int]]) -> list[list[list[str]]]:
        """Return the 10 nearest images of each query, compared with all generated images.

        Args:
            embedding: Queries ``(Q, D)``.
            cameras: Lists of cameras; each list limits a search to its images.

        Returns:
            For each list of cameras and each query, the paths of its 10 nearest, the nearest first.
        """
        result = self.result
        queries = checked_embeddings(embedding, result.dimension, 'cosine', 'queries')
        best = [(np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)) for _ in cameras]
        for start in range(0, result.vectors, self.step):
            features = random_features(start, min(start + self.step, result.vectors), result.dimension)
            distances = 1 - queries @ checked_embeddings(features.embedding, result.dimension, 'cosine', 'images').T
            for part, camids in enumerate(cameras):
                columns = np.flatnonzero(np.isin(features.camid, camids))
                rows = np.broadcast_to(columns + start, (len(queries), len(columns)))
                best[part] = _smallest(
                    np.hstack([best[part][0], distances[:, columns]]), np.hstack([best[part][1], rows])
                )
        return [[[_path(row) for row in rows] for rows in matched.tolist()] for _, matched in best]

    def _files(self) -> list[Path]:
        return [path for path in self.folder.rglob('*') if path.is_file()]

    def _read_files(self) -> None:
        """Read all files once, so that they are in the page cache, as those of a gallery in use."""
        for path in self._files():
            with path.open('rb') as file:
                while file.read(2**24):
                    pass

    def _save(self) -> None:
        if not self.in_milvus:
            (self.folder / RESULT).write_text(json.dumps(asdict(self.result), indent=1) + '\n')


def measure_galleries(
    place: str,
    indexes: Sequence[str],
    vectors: int,
    dimension: int,
    queries: int,
    threads: int = 1,
    seconds: float = float('inf'),
    say: Callable[[str], None] = lambda line: None,
) -> str:
    """Build and search one gallery for each kind of index.

    Args:
        place: Argument of :class:`GalleryBenchmark`.
        indexes: Kinds of index.
        vectors: Number of images.
        dimension: Size of the embeddings.
        queries: Number of searches.
        threads: Threads that FAISS computes with.
        seconds: Time after which no further step of building begins.
        say: Function that prints a line of progress.

    Returns:
        A table; or, when the time is over, advice on how to continue.
    """
    results = []
    for index in indexes:
        benchmark = GalleryBenchmark(place, index, vectors, dimension, threads)
        if not benchmark.build(seconds, lambda rows, index=index: say(f'{index}: {rows:,} enrolled')):
            return f'{benchmark.uri}: {seconds:g} seconds are over; the same command goes on'
        results.append(benchmark.search(queries))
    return result_table(results)


def result_table(results: Sequence[GalleryResult]) -> str:
    """Lay out results, one gallery per line."""
    titles = ('index', 'vectors', 'build', 'memory, build', 'files', 'recall@10', 'recall@10, 1 camera of 8')
    titles += ('queries/s, single', 'of 1 camera', 'queries/s, 100 at once', 'memory')
    rows = []
    for result in results:
        built = (f'{result.build_seconds:.0f} s', _megabytes(result.build_memory), _megabytes(result.file_bytes))
        searched = ('',) * 6
        if result.recall is not None:
            recall = (f'{result.recall:.4f}', f'{result.camera_recall:.4f}')
            speed = (f'{value:.1f}' for value in (result.single, result.camera_single, result.batch))
            searched = (*recall, *speed, _megabytes(result.memory))
        rows.append((result.index, f'{result.vectors:,} x {result.dimension}', *built, *searched))
    return text_table(titles, rows)


def _megabytes(number: int) -> str:
    return f'{number / 1e6:,.0f} MB'


class PeakAnonymousMemory:
    """Measure by how much this process's memory grows, without mapped files (Linux's RssAnon, every 20 ms).

    Attributes:
        peak: Bytes; 0 on other systems than Linux.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._before = self._now()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakAnonymousMemory:
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


def _search(gallery: Gallery, embedding: np.ndarray, batch: int, **conditions: object) -> tuple[list[list[str]], float]:
    """Return the paths of the 10 nearest images of each query, and queries per second."""
    matched = []
    start = time.perf_counter()
    for first in range(0, len(embedding), batch):
        matched += gallery.search(embedding[first : first + batch], TOP_K, **conditions)
    seconds = time.perf_counter() - start
    return [[match.path for match in matches] for matches in matched], len(embedding) / seconds


def _smallest(distances: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 10 smallest distances of each query with their rows, the smallest first."""
    if distances.shape[1] > TOP_K:
        columns = np.argpartition(distances, TOP_K - 1, axis=1)[:, :TOP_K]
        distances, rows = np.take_along_axis(distances, columns, axis=1), np.take_along_axis(rows, columns, axis=1)
    order = np.argsort(distances, axis=1, kind='stable')
    return np.take_along_axis(distances, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _recall(matched: list[list[str]], nearest: list[list[str]]) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(matched, nearest, strict=True)]))
