"""From a list of people to shards of features; interrupted, it goes on with the first shard that is not there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features.embedder import Embedder
from mmosnet.features.extraction_folder import ExtractionFolder
from mmosnet.features.extraction_progress import ExtractionProgress
from mmosnet.features.feature_shards import write_shard
from mmosnet.features.features import Features
from mmosnet.features.person_batches import PersonBatches
from mmosnet.features.person_list import PersonList

# Seconds between looks at what other processes have finished.
PAUSE = 1.0
# Seconds without a new shard after which the other processes are given up, at least; and in times of an own shard.
PATIENCE, MUCH_LONGER = 3600.0, 10


@dataclass(frozen=True)
class Part:
    """Which shards this process extracts: ``number``, ``number + total`` and so on."""

    number: int = 0
    total: int = 1


class Extraction:
    """Extracts the shards of one process. Processes need no connection, only the same folder.

    Every shard is computed by itself, in batches that do not reach into the next: whatever the interruptions and the
    number of processes, the numbers are the same.

    Args:
        people: All of them, the same in every process.
        embedder: The model.
        folder: Folder of the shards.
        batch_size: Images that the model gets at once.
        workers: Threads that read images.
        skip: Leave out images that cannot be used, and note them in the shard.
        fps: Frames a second of videos that state none.
    """

    def __init__(
        self,
        people: PersonList,
        embedder: Embedder,
        folder: ExtractionFolder,
        batch_size: int = 64,
        workers: int = 1,
        skip: bool = False,
        fps: float | None = None,
    ) -> None:
        self.people, self.embedder, self.folder = people, embedder, folder
        self.batch_size, self.workers, self.skip, self.fps = batch_size, workers, skip, fps

    def run(self, part: Part, progress: ExtractionProgress) -> None:
        """Extract what is missing of a part.

        Raises:
            DataError: An image cannot be used, the model gives numbers that are not finite, or another extraction has
                taken the folder.
            OSError: A shard cannot be written.
        """
        with PersonBatches(self.embedder.read_file, self.embedder.prepare, self.workers, self.fps) as batches:
            for number in range(part.number, len(self.folder.sizes), part.total):
                if self.folder.is_done(number):
                    progress.advance(self.folder.sizes[number], was_there=True)
                    continue
                features, skipped = self._extract(batches, number, progress)
                self.folder.check_own()
                facts = dict(extraction=self.folder.extraction, skipped=skipped)
                write_shard(self.folder.shard(number), features, facts)
                progress.written(number)

    def wait(self, say: Callable[[str], None], total: int = 1, seconds: float = 0) -> None:
        """Wait until other processes have written their shards too, and report how many are missing.

        Args:
            say: Takes a line for the user.
            total: Number of processes.
            seconds: Time that this process took for its own shards.

        Raises:
            DataError: No shard was written for much longer than one takes; names the processes that owe some.
        """
        patience = max(PATIENCE, MUCH_LONGER * seconds / max(1, len(self.folder.sizes) // total))
        number, last = 0, time.monotonic()
        while missing := self.folder.missing():
            if len(missing) != number:
                number, last = len(missing), time.monotonic()
                say(f'waiting for {number} shards of other processes')
            if time.monotonic() - last > patience:
                owing = ', '.join(map(str, sorted({shard % total for shard in missing})))
                raise DataError(
                    f'no shard was written for {patience:.0f} s; missing are {number} of the processes (RANK) {owing}, '
                    'which have stopped or are lost. Finished shards stay: the same command goes on with the others'
                )
            time.sleep(PAUSE)

    def _extract(
        self, batches: PersonBatches, number: int, progress: ExtractionProgress
    ) -> tuple[Features, list[list[str]]]:
        """Return the features of one shard, and path and reason of each person left out."""
        rows = self.folder.rows(number)
        paths = self.people.path[rows]
        faulty = {row - rows.start: text for row, text in self.people.errors.items() if rows.start <= row < rows.stop}
        wanted = [row for row in range(len(paths)) if row not in faulty]
        embedding = np.empty((len(paths), self.embedder.dimension), np.float32)
        done = 0
        for items in batches.read([paths[row] for row in wanted], self.batch_size):
            for row, outcome in zip(wanted[done : done + len(items)], self._embedded(items), strict=True):
                if isinstance(outcome, Exception):
                    place = self.people.place[rows.start + row]
                    text = str(outcome)
                    faulty[row] = f'{place}: {text}' if place and not text.startswith(place) else text
                    if not self.skip:
                        raise DataError(f'{faulty[row]}. --bad-images skip goes on without it') from outcome
                else:
                    embedding[row] = outcome
            done += len(items)
            progress.advance(len(items))
        progress.advance(len(paths) - len(wanted))
        kept = [row for row in range(len(paths)) if row not in faulty]
        features = Features(
            embedding[kept],
            [paths[row] for row in kept],
            self.people.pid[rows][kept],
            self.people.camid[rows][kept],
            self.people.time[rows][kept],
            self.embedder.model,
            names={key: {number: name for name, number in found.items()} for key, found in self.people.names.items()},
            source=[self.people.source[rows.start + row] for row in kept],
        )
        return features, [[paths[row], faulty[row]] for row in sorted(faulty)]

    def _embedded(self, items: list[Any]) -> list[np.ndarray | DataError]:
        """Return the embeddings of a batch; errors among the items are passed through."""
        outcomes = list(items)
        good = [place for place, item in enumerate(items) if not isinstance(item, Exception)]
        if good:
            for place, outcome in zip(good, self.embedder.embed([items[place] for place in good]), strict=True):
                outcomes[place] = outcome
        return outcomes
