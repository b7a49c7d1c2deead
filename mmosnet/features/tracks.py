"""Pool the embeddings of a track, the images of one person in successive frames, to one embedding.

Each embedding is brought to length 1 first, and the pooled one gets the mean of their lengths, so that it can be
compared with those of single images by either distance. The mean is the default: in our measurement, with one set of
weights and one seed (docs/features.md), no weighting gained more than one point. Memory does not grow with the length
of a track.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmosnet.errors import DataError
from mmosnet.features.features import Features, check_alike
from mmosnet.io.images import as_image
from mmosnet.io.regions import split_frame, split_region

# What a row of features, and a query, may be: one image, or a track, which is pooled from several.
PER = ('image', 'track')
POOLINGS = ('mean', 'max', 'quality')
# Exponents of area, sharpness and length of the embedding in the quality. They were chosen among a few with one set of
# weights, on the images of docs/features.md itself; on images of WARD as they are, sharpness**1 gained 0.3 points.
EXPONENTS = dict(area=0.25, sharpness=0.25, norm=-1.0)
# Size in pixels, width and height, at which sharpness is measured: it depends on the size of an image.
SHARPNESS_SIZE = (64, 128)
# Weights of the rows of features.
Quality = Callable[[Features], np.ndarray]


class TrackPool:
    """Pool embeddings as they come; holds a few numbers per dimension.

    Args:
        how: ``'mean'``, ``'max'`` (largest value of each number), or ``'quality'``, the weighted mean.

    Raises:
        DataError: ``how`` is none of these.
    """

    def __init__(self, how: str = 'mean') -> None:
        if how not in POOLINGS:
            raise DataError(f'how={how!r}: choose from {", ".join(POOLINGS)}')
        self.how = how
        self._pooled: np.ndarray | None = None
        self._weight = self._length = 0.0
        self._images = 0

    def add(self, embedding: np.ndarray, weight: float = 1.0, images: int = 1) -> None:
        """Add one embedding.

        Args:
            embedding: ``(D,)``.
            weight: Its quality; only ``'quality'`` regards it. Default: 1.
            images: Number of images from which it was pooled itself. Default: 1.

        Raises:
            DataError: The embedding is zero or not finite.
        """
        row = np.asarray(embedding, np.float64)
        length = float(np.sqrt(row @ row))
        if not 0 < length < np.inf:
            raise DataError(
                f'an embedding of length {length:g} has no direction: leave out boxes without a pixel in the frame '
                '(Embedder.last_valid), and extract again what is not finite'
            )
        row = row / length
        share = images * (weight if self.how == 'quality' else 1.0)
        if self.how != 'max':
            row *= share
        if self._pooled is None:
            self._pooled = row
        elif self.how == 'max':
            np.maximum(self._pooled, row, out=self._pooled)
        else:
            self._pooled += row
        self._weight += share
        self._length += images * length
        self._images += images

    def result(self) -> np.ndarray:
        """Return the pooled embedding, ``(D,)`` float32.

        Raises:
            DataError: There is no embedding, all weights are 0, or the embeddings cancel each other out.
        """
        if self._pooled is None or not self._weight > 0:
            raise DataError('a track without an image whose quality is above 0: give one or more')
        length = float(np.sqrt(self._pooled @ self._pooled))
        # A sum is divided by its weights; the largest values are none.
        weight = 1.0 if self.how == 'max' else self._weight
        if not length > 1e-6 * weight:
            raise DataError('the embeddings of the track cancel each other out: are they of one person?')
        return (self._pooled * (self._length / self._images / weight)).astype(np.float32)


def pool_track(embedding: Any, how: str = 'mean', quality: Any = None) -> np.ndarray:
    """Pool the embeddings of a track.

    Args:
        embedding: ``(T, D)`` numbers, one row per image.
        how: ``'mean'`` (default), ``'max'`` (largest value of each number), or ``'quality'``, the mean weighted by
            ``quality``.
        quality: ``(T,)`` weights, 0 or more; for ``'quality'`` only, where :func:`track_quality` of the embeddings'
            lengths is the default.

    Returns:
        ``(D,)`` float32.

    Raises:
        DataError: ``how`` is unknown, a shape or a value is wrong, a row is zero, or there is no row; names the row.

    Example:
        >>> pool_track(embedder(frame, boxes)[embedder.last_valid])
    """
    pool = TrackPool(how)
    try:
        rows = np.asarray(embedding, np.float64)
    except (ValueError, TypeError, RuntimeError) as e:
        raise DataError(f'embedding: {e}: give numbers, (T, D)') from e
    if rows.ndim != 2 or not rows.size:
        raise DataError(f'embedding has the shape {rows.shape}: give (T, D), one row or more')
    if quality is not None and how != 'quality':
        raise DataError(f"quality is given, and how={how!r} does not regard it: give how='quality'")
    if how == 'quality' and quality is None:
        quality = track_quality(norm=_lengths(rows))
    weights = _factor('quality', np.ones(len(rows)) if quality is None else quality, len(rows), zero=True)
    for row, (numbers, weight) in enumerate(zip(rows, weights.tolist(), strict=True)):
        try:
            pool.add(numbers, weight)
        except DataError as e:
            raise DataError(f'embedding, row {row}: {e}') from e
    return pool.result()


def track_quality(area: Any = None, sharpness: Any = None, norm: Any = None) -> np.ndarray:
    """Return the quality of the images of a track, as weights: ``area**0.25 * sharpness**0.25 / norm``.

    Give what is known, at least one. Area and sharpness give a small or blurred image a lower weight, and so does the
    length of the embedding, if such images have longer embeddings. This was so for the one network that we measured
    (docs/features.md); another one may give them shorter embeddings, and needs other weights.

    Args:
        area: ``(T,)`` pixels of each image or box.
        sharpness: ``(T,)``, see :func:`image_sharpness`.
        norm: ``(T,)`` lengths of the embeddings before normalization; of normalized ones it says nothing.

    Returns:
        ``(T,)`` float64; only their ratios matter.

    Raises:
        DataError: Nothing is given, lengths differ, or a value is not above 0 (sharpness: below 0); names the row.
    """
    given = {
        name: value for name, value in dict(area=area, sharpness=sharpness, norm=norm).items() if value is not None
    }
    if not given:
        raise DataError('track_quality: give area, sharpness or norm, one number per image')
    number = np.size(next(iter(given.values())))
    quality = np.ones(number)
    for name, value in given.items():
        quality *= _factor(name, value, number, zero=name == 'sharpness') ** EXPONENTS[name]
    return quality


def image_sharpness(image: np.ndarray) -> float:
    """Return the variance of the Laplacian of an image, in gray and at 64x128 pixels, 0 for a uniform one.

    Args:
        image: ``(H, W, 3)`` uint8, BGR.

    Raises:
        DataError: It is no image.
    """
    gray = cv2.cvtColor(as_image(image, 'image_sharpness'), cv2.COLOR_BGR2GRAY)
    smaller = gray.shape[0] > SHARPNESS_SIZE[1]
    gray = cv2.resize(gray, SHARPNESS_SIZE, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return float(cv2.Laplacian(gray.astype(np.float32), cv2.CV_32F).var())


def track_keys(
    path: Sequence[str], source: Sequence[str], camera: Sequence[Hashable], track: Sequence[str]
) -> list[Hashable]:
    """Return what identifies the track of each row: source, video or folder, camera and track.

    Args:
        path: ``N`` texts.
        source: ``N`` texts.
        camera: ``N`` numbers or names.
        track: ``N`` texts; empty for a single image.

    Returns:
        Equal keys for rows of one track; None for a single image.
    """
    rows = zip(path, source, camera, track, strict=True)
    return [(place, _video(one), seen_by, name) if name else None for one, place, seen_by, name in rows]


def tracks_of(
    features: Features | Iterable[Features],
    how: str = 'mean',
    quality: Quality | None = None,
    by_person: bool = False,
) -> Features:
    """Pool the rows of each track to one row; single images stay as they are.

    Rows of one source, video (or folder of images), camera and track are one track. Its path, source and time are those
    of its first row, ``frames`` is the number of its images, and ``attributes`` are those of at least half of them.

    Args:
        features: Features, or parts of them, such as :class:`~mmosnet.features.FeatureShards`, one of which is in
            memory at a time.
        how: ``'mean'`` (default), ``'max'`` or ``'quality'``; see :func:`pool_track`.
        quality: Function that returns the weights of the rows of features, for ``'quality'``; by default
            :func:`track_quality` of the embeddings' lengths.
        by_person: Whether to pool all rows of a person by one camera instead, whatever their tracks, and to leave out
            people who are unknown. Default: False.

    Returns:
        One row per track or single image, in the order of their first rows.

    Raises:
        DataError: No features, features that cannot be joined, a track of two people, or embeddings that cannot be
            pooled; names the track.
    """
    TrackPool(how)
    groups: dict[Hashable, _Group] = {}
    firsts: list[Features] = []
    for part in [features] if isinstance(features, Features) else features:
        people, cameras = (_labels(part, key) for key in ('pid', 'camid'))
        keys = track_keys(part.path, part.source, cameras, part.track)
        if by_person:
            keys = [person and (person, camera) for person, camera in zip(people, cameras, strict=True)]
        weights = np.ones(len(part))
        if how == 'quality':
            weights = track_quality(norm=_lengths(part.embedding)) if quality is None else np.asarray(quality(part))
            weights = _factor('quality', weights, len(part), zero=True)
        new = []
        for row, key in enumerate(keys):
            if key is None and not by_person:
                # A key that no other row has.
                key = (len(groups), None)
            if not key:
                continue
            if key not in groups:
                groups[key] = _Group(how, people[row], cameras[row])
                new.append(row)
            groups[key].add(part, row, weights[row], people[row])
        if firsts:
            check_alike(firsts[0], part.dimension, part.model, 'features of one and another part')
        if new or not firsts:
            firsts.append(part[new])
    # The names and numbers of people are those of all parts.
    joined = Features.concat(firsts)
    if not len(joined):
        return joined
    columns = vars(joined) | dict(
        embedding=np.stack([group.embedding() for group in groups.values()]),
        frames=[group.images for group in groups.values()],
        attributes=[group.attributes() for group in groups.values()],
    )
    if by_person:
        columns['track'] = [f'person {one.person}, camera {one.camera or "unknown"}' for one in groups.values()]
    return Features(**columns)


class _Group:
    """The rows of one track.

    Args:
        how: Way of pooling.
        person: Label of the person; empty if unknown.
        camera: Label of the camera, likewise.
    """

    def __init__(self, how: str, person: str, camera: str) -> None:
        self.person, self.camera = person, camera
        self._pool, self._first = TrackPool(how), ''
        self._single: np.ndarray | None = None
        self._counts: Counter[str] = Counter()
        self.images = 0

    def add(self, part: Features, row: int, weight: float, person: str) -> None:
        """Add a row of features."""
        images, track = int(part.frames[row]), part.track[row]
        self._first = self._first or part.path[row]
        if person != self.person:
            raise DataError(
                f'track {track!r}: {self._first} shows {self.person or "an unknown person"}, and {part.path[row]} '
                f'{person or "an unknown one"}: a track is of one person; name videos and cameras apart'
            )
        # A row that stays alone keeps its numbers.
        self._single = None if self.images else part.embedding[row].copy()
        try:
            self._pool.add(part.embedding[row], float(weight), images)
        except DataError as e:
            raise DataError(f'{part.path[row]}: {e}') from e
        self.images += images
        for name in part.attributes[row]:
            self._counts[name] += images

    def embedding(self) -> np.ndarray:
        """Return the pooled embedding."""
        if self._single is not None:
            return self._single
        try:
            return self._pool.result()
        except DataError as e:
            raise DataError(f'{self._first}: {e}') from e

    def attributes(self) -> tuple[str, ...]:
        """Return the attributes of at least half of the images."""
        return tuple(name for name, count in self._counts.items() if 2 * count >= self.images)


def _labels(features: Features, key: str) -> list[str]:
    """Return the name or number of each row's person or camera; empty if unknown."""
    labels = features.labels(key)
    return [labels.get(number, '') for number in getattr(features, key).tolist()]


def _video(path: str) -> str:
    """Return the video of a path, or the folder of an image."""
    file, frame, _ = split_frame(path)
    return file if frame is not None else str(Path(split_region(path)[0]).parent)


def _lengths(embedding: np.ndarray) -> np.ndarray:
    lengths = np.sqrt(np.einsum('nd,nd->n', embedding, embedding, dtype=np.float64))
    # Zeros and numbers that are not finite are refused with their rows when they are pooled.
    return np.where((lengths > 0) & np.isfinite(lengths), lengths, 1.0)


def _factor(name: str, value: Any, number: int, zero: bool) -> np.ndarray:
    try:
        array = np.asarray(value, np.float64)
    except (ValueError, TypeError) as e:
        raise DataError(f'{name}: {e}: give {number} numbers') from e
    if array.shape != (number,):
        raise DataError(f'{name} has the shape {array.shape}: give ({number},), one number per image')
    wrong = ~np.isfinite(array) | (array < 0 if zero else array <= 0)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f'{name}, row {row}: {array[row]}: give a number {"from 0 up" if zero else "above 0"}')
    return array
