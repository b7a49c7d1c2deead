"""Speed of :class:`mmosnet.People` in galleries of random embeddings."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mmosnet.features import Features
from mmosnet.gallery import Gallery, People
from mmosnet.io.text_tables import text_table

# Distances between images of one person: by the first noise about 0.1, by the second 0.2; by the third 0.0001, an
# image that People does not keep.
NOISE, MORE, LESS = 0.3, 0.5, 0.01
THRESHOLD = 0.3
IMAGES_PER_PERSON = 2
FRAME = 20


class PeopleBenchmark:
    """Time the answers to random embeddings of known and new people.

    Args:
        folder: Folder for the gallery.
        people: Number of people.
        images: Images of each person that are enrolled before.
        dimension: Size of the embeddings.
        calls: Calls of each kind.
    """

    def __init__(self, folder: str | Path, people: int, images: int, dimension: int, calls: int) -> None:
        self.random = np.random.default_rng(0)
        self.centers = self.random.standard_normal((people, dimension), dtype=np.float32)
        self.calls, self.clock = calls, 0.0
        pids = np.repeat(np.arange(people), images)
        self.features = Features(
            self._near(pids, NOISE), [f'{row}.jpg' for row in range(len(pids))], pids + 1, 0 * pids, 0.0 * pids
        )
        self.gallery = Gallery.create(folder, dimension)
        self.gallery.enroll(self.features)

    def _near(self, pids: np.ndarray, noise: float) -> np.ndarray:
        return self.centers[pids] + noise * self.random.standard_normal(
            (len(pids), self.centers.shape[1]), dtype=np.float32
        )

    def run(self) -> dict[str, tuple[float, float]]:
        """Return the least CPU time and the least time of each kind of call, in milliseconds."""
        with self.gallery, People(self.gallery, threshold=THRESHOLD, images_per_person=IMAGES_PER_PERSON) as people:
            row = np.arange(self.calls) % len(self.centers)
            frame = np.arange(FRAME) % len(self.centers)
            kept = [self._near(row, NOISE)[[number]] for number in range(self.calls)]
            result = {'known, image kept': self._time(people, kept)}
            for _ in range(2 * IMAGES_PER_PERSON):
                self._time(people, [self._near(frame, MORE), *self._near(row, MORE)[:, None]])
            result['known, image not kept'] = self._time(people, list(self._near(row, LESS)[:, None]))
            strangers = self.random.standard_normal((self.calls, 1, self.centers.shape[1]), dtype=np.float32)
            result['new'] = self._time(people, list(strangers))
            frames = [self._near(frame, LESS) for _ in range(self.calls)]
            result[f'frame of {len(frame)}, images not kept'] = self._time(people, frames)
            return result

    def _time(self, people: People, frames: Sequence[np.ndarray]) -> tuple[float, float]:
        seconds = []
        for frame in frames:
            self.clock += 1
            start = time.process_time(), time.perf_counter()
            people.observe_frame(frame, 0, self.clock)
            seconds.append((time.process_time() - start[0], time.perf_counter() - start[1]))
        return tuple(1000 * min(column) for column in zip(*seconds, strict=True))


def measure_people(
    place: str | Path,
    people: int,
    images: Sequence[int],
    dimension: int = 512,
    calls: int = 20,
    say: Callable[[str], None] = lambda line: None,
) -> str:
    """Measure galleries with several numbers of images per person.

    Args:
        place: Folder, in which galleries are made and removed.
        people: Number of people.
        images: Numbers of images per person.
        dimension: Size of the embeddings.
        calls: Calls of each kind.
        say: Called with a line after each gallery.

    Returns:
        A table.
    """
    rows, titles = [], []
    Path(place).mkdir(parents=True, exist_ok=True)
    for number in images:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            result = PeopleBenchmark(Path(folder) / 'gallery', people, number, dimension, calls).run()
        say(f'{people * number:,} images: done')
        titles = ['images', *(f'{name}: ms of CPU (elapsed)' for name in result)]
        rows.append([f'{people * number:,}', *(f'{cpu:.1f} ({elapsed:.1f})' for cpu, elapsed in result.values())])
    return text_table(titles, rows, 'r')
