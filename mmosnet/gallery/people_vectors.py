"""Distances to people instead of images: the embeddings of a gallery in memory, one group of images per person."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from mmosnet.errors import DataError
from mmosnet.gallery.base import Gallery
from mmosnet.gallery.people_log import image_key
from mmosnet.gallery.vectors import distances

VERDICTS = ('best', 'mean')
# Images to read at once, and tries to read while other processes delete.
AT_ONCE, ATTEMPTS = 10_000, 4


@dataclass(frozen=True)
class Image:
    """An image of a person.

    Attributes:
        id: Number in the gallery.
        pid: The person.
        key: Path, source and track as one text (:func:`~mmosnet.gallery.people_log.image_key`).
        time: Seconds; infinite if unknown, so that such images come last.
    """

    id: int
    pid: int
    key: str
    time: float

    @property
    def order(self) -> tuple:
        """What images of a person are sorted by, whatever their numbers in the gallery."""
        return self.time, self.key, self.id


class PeopleVectors:
    """The images of all people in a gallery, with their embeddings; those of unknown people (-1) are left out.

    Takes ``4 * D`` bytes per image, and about 500 more.

    Args:
        gallery: The gallery.
        verdict: Distance to a person: that of the ``'best'`` (nearest) image, or the ``'mean'`` of all images.
    """

    def __init__(self, gallery: Gallery, verdict: str) -> None:
        self.gallery = gallery
        self.is_mean = verdict == 'mean'
        # Names of people and cameras by number.
        self.names: dict[int, str] = {}
        self.cameras: dict[int, str] = {}
        self.images: dict[int, Image] = {}
        self.members: dict[int, list[Image]] = {}
        self.keys: dict[str, int] = {}
        self._version: Hashable = None
        # All images as last read from the gallery, ascending by id.
        self._ids, self._pids = np.empty(0, np.int64), np.empty(0, np.int64)
        # In rows, dense: embeddings, their squared lengths, ids, and the slot of the person.
        self._count = 0
        self._vectors = np.empty((64, gallery.dimension), np.float32)
        self._squares = np.empty(64, np.float32)
        self._row_ids, self._slots = np.empty(64, np.int64), np.empty(64, np.int64)
        self._rows: dict[int, int] = {}
        # People by slot, None for a free one.
        self._people: list[int | None] = []
        self._slot_of: dict[int, int] = {}
        self._free: list[int] = []

    @property
    def largest_pid(self) -> int:
        """Largest number of a person; -1 if there is none."""
        return int(self._pids.max(initial=-1))

    def invalidate(self) -> None:
        """Let the next :meth:`sync` read in any case."""
        self._version = None

    def sync(self, changed: int | None) -> None:
        """Read what has changed in the gallery since the last call.

        Args:
            changed: Number of the last operation that changed the gallery: Milvus does not tell when an image moves.
                None to read in any case.
        """
        for attempt in range(1, ATTEMPTS + 1):
            version = (self.gallery.version(), changed)
            if self._version in (version, (version[0], None)) and changed is not None:
                # Under the lock nothing was observed since the last reading, if that was in any case.
                self._version = version
                return
            try:
                self._read()
                self._version = version
                return
            except DataError as e:
                # Another process may have deleted images since their numbers were read.
                if 'no image with id' not in str(e) or attempt == ATTEMPTS:
                    raise

    def _read(self) -> None:
        ids, pids = self.gallery.identities()
        known = len(self._ids)
        grown = len(ids) >= known and np.array_equal(ids[:known], self._ids)
        if grown and np.array_equal(pids[:known], self._pids):
            gone, new = self._ids[:0], ids[known:]
        else:
            # An image that has moved is read again.
            kept = np.isin(ids, self._ids)
            kept[kept] = pids[kept] == self._pids[np.searchsorted(self._ids, ids[kept])]
            gone, new = self._ids[~np.isin(self._ids, ids[kept])], ids[~kept]
        for id in gone.tolist():
            if id in self.images:
                self._remove(id)
        # Forgotten before the new ones are read: after an error the next call reads them.
        left = ~np.isin(ids, new)
        self._ids, self._pids = ids[left], pids[left]
        for start in range(0, len(new), AT_ONCE):
            features = self.gallery.features(new[start : start + AT_ONCE])
            for row, id in enumerate(new[start : start + AT_ONCE].tolist()):
                pid, time = int(features.pid[row]), float(features.time[row])
                if pid >= 0:
                    key = image_key(features.path[row], features.source[row], features.track[row])
                    image = Image(id, pid, key, math.inf if math.isnan(time) else time)
                    self._add(image, features.embedding[row])
        self._ids, self._pids = ids, pids
        self.names, self.cameras = self.gallery.names.values()

    def _add(self, image: Image, embedding: np.ndarray) -> None:
        if self._count == len(self._vectors):
            for name in ('_vectors', '_squares', '_row_ids', '_slots'):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.empty_like(array)]))
        row, self._count = self._count, self._count + 1
        self._vectors[row] = embedding
        self._squares[row] = np.dot(embedding.astype(np.float64), embedding.astype(np.float64))
        self._row_ids[row], self._rows[image.id] = image.id, row
        if image.pid not in self._slot_of:
            slot = self._free.pop() if self._free else len(self._people)
            self._people[slot : slot + 1] = [image.pid]
            self._slot_of[image.pid] = slot
        self._slots[row] = self._slot_of[image.pid]
        self.images[image.id] = image
        self.members[image.pid] = sorted([*self.members.get(image.pid, []), image], key=lambda each: each.order)
        self.keys[image.key] = self.keys.get(image.key, 0) + 1

    def _remove(self, id: int) -> None:
        image, row = self.images.pop(id), self._rows.pop(id)
        self._count -= 1
        if row != self._count:
            for array in (self._vectors, self._squares, self._row_ids, self._slots):
                array[row] = array[self._count]
            self._rows[int(self._row_ids[row])] = row
        self.members[image.pid].remove(image)
        if not self.members[image.pid]:
            del self.members[image.pid]
            slot = self._slot_of.pop(image.pid)
            self._people[slot] = None
            self._free.append(slot)
        self.keys[image.key] -= 1
        if not self.keys[image.key]:
            del self.keys[image.key]

    def embeddings(self, images: Sequence[Image]) -> np.ndarray:
        """Return the embeddings of images, ``(N, D)`` float32."""
        return self._vectors[[self._rows[image.id] for image in images]]

    def ranked(self, queries: np.ndarray, limits: Sequence[float], count: int) -> list[list[tuple[int, float]]]:
        """Return the nearest people to each query.

        Distances in float32 select candidates, with a margin for their rounding; the results are computed in double
        precision from the images of each person alone, and do not depend on who else is in the gallery.

        Args:
            queries: ``(Q, D)`` float32, as :func:`~mmosnet.gallery.vectors.checked_embeddings` returns them.
            limits: Distance for each query; all people up to it are returned.
            count: Number of people to return at least, as far as there are so many.

        Returns:
            People and distances for each query, by distance and then by number.
        """
        if not self.members:
            return [[] for _ in queries]
        rows = self._count
        products = queries @ self._vectors[:rows].T
        lengths = np.einsum('qd,qd->q', queries, queries, dtype=np.float64)
        longest = math.sqrt(self._squares[:rows].max())
        found = []
        for query, length, product, limit in zip(queries, lengths, products, limits, strict=True):
            squares = self._squares[:rows] + np.float32(length) - 2 * product
            # Bound of the rounding of D products and their sum, twice over.
            slack = (queries.shape[1] + 8) * 2.0**-23 * (longest + math.sqrt(length)) ** 2
            low, high = self._bounds(squares, slack)
            enough = np.partition(high, count - 1)[count - 1] if count < len(high) else math.inf
            slots = np.flatnonzero(low <= max(limit, enough))
            people = [self._people[slot] for slot in slots.tolist()]
            exact = self._exact(query, [pid for pid in people if pid is not None])
            found.append(sorted(exact.items(), key=lambda pair: (pair[1], pair[0])))
        return found

    def _bounds(self, squares: np.ndarray, slack: float) -> tuple[np.ndarray, np.ndarray]:
        """Return bounds of the distances to people by slot; infinite for free ones."""
        slots, people = self._slots[: self._count], len(self._people)
        is_cosine = self.gallery.distance == 'cosine'

        def distance(values: np.ndarray) -> np.ndarray:
            values = np.maximum(values, 0)
            return values / 2 if is_cosine else np.sqrt(values)

        if self.is_mean:
            with np.errstate(invalid='ignore', divide='ignore'):
                counts = np.bincount(slots, minlength=people)
                sums = [np.bincount(slots, distance(squares + sign * slack), people) / counts for sign in (-1, 1)]
            return np.where(counts, sums[0], np.inf), np.where(counts, sums[1], np.inf)
        nearest = np.full(people, np.inf, np.float32)
        np.minimum.at(nearest, slots, squares)
        return distance(nearest - slack), distance(nearest + slack)

    def _exact(self, query: np.ndarray, people: Sequence[int]) -> dict[int, float]:
        groups = [self.members[pid] for pid in people]
        images = [image for group in groups for image in group]
        exact = distances(query, self.embeddings(images), self.gallery.distance)
        result, start = {}, 0
        for pid, group in zip(people, groups, strict=True):
            own = exact[start : start + len(group)]
            # fsum: the same sum in every order.
            result[pid] = math.fsum(own) / len(own) if self.is_mean else float(own.min())
            start += len(group)
        return result


def most_different(embeddings: np.ndarray, fixed: np.ndarray, most: int, distance: str) -> list[int]:
    """Choose the most different images by farthest-point sampling (Gonzalez, 1985).

    The first image is the one with the smallest sum of distances to the others, unless some are fixed. Then the image
    that is farthest from those chosen so far follows, until there are enough. The first one counts where two are
    equal.

    Args:
        embeddings: ``(N, D)`` float32.
        fixed: ``(N,)`` bool, images that are kept in any case and do not count.
        most: Images to choose.
        distance: ``'cosine'`` or ``'euclidean'``.

    Returns:
        Rows of the chosen images, ascending, without the fixed ones.
    """
    free = np.flatnonzero(~fixed)
    if len(free) <= most:
        return free.tolist()
    candidates = embeddings[free]
    nearest = np.full(len(free), np.inf)
    for row in np.flatnonzero(fixed):
        nearest = np.minimum(nearest, distances(embeddings[row], candidates, distance))
    chosen: list[int] = []
    if not fixed.any():
        sums = [math.fsum(distances(one, candidates, distance)) for one in candidates]
        chosen.append(int(np.argmin(sums)))
        nearest = distances(candidates[chosen[0]], candidates, distance)
    while len(chosen) < most:
        nearest[chosen] = -1
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, distances(candidates[chosen[-1]], candidates, distance))
    return free[sorted(chosen)].tolist()
