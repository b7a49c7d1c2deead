"""What is observed, checked, and the answers: images and tracks of people, cameras, times and sightings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features import Features
from mmosnet.features.tracks import pool_track
from mmosnet.gallery.base import Gallery
from mmosnet.gallery.vectors import checked_embeddings
from mmosnet.io.tables import LAST, check_seconds

# Seconds; first and last time of a track, or the times of its images; None or NaN for unknown.
When = float | Sequence[float] | np.ndarray | None


@dataclass(frozen=True)
class Sighting:
    """The answer to "who is this?".

    Attributes:
        pid: The person, also a new one; -1 if unsure.
        known: True for a known person, False for a new one, None for unsure.
        distance: Distance to the known person, or else to the nearest person who it can be; NaN if there is none.
        runner_up: Distance to the nearest other person who it can be; NaN if there is none.
        confidence: Distance of the decision from another one, from 0 to 1; no probability
            (:func:`~mmosnet.gallery.people_verdicts.confidence`).
        reason: Reason for the decision. Known: ``'near'``. New: ``'far'``; ``'taken'`` if those near are others of the
            frame. Unsure: ``'between'`` the limits; ``'runner-up'``, another person is nearly as near; ``'frame'``,
            somebody else of the frame may be the near person; ``'invalid'``, there is no image.
        name: Name of the person; empty for an unnamed one.
        nearest: The person that ``distance`` belongs to; -1 if there is none.
        enrolled: Whether the image is in the gallery now.
        number: Number of the sighting in the log; -1 for an invalid one.
    """

    pid: int
    known: bool | None
    distance: float
    runner_up: float
    confidence: float
    reason: str
    name: str = ''
    nearest: int = -1
    enrolled: bool = False
    number: int = -1


INVALID = Sighting(-1, None, math.nan, math.nan, 0.0, 'invalid')


@dataclass(frozen=True)
class Observed:
    """The N people of one call of :meth:`~mmosnet.gallery.people.People.observe`, checked.

    Attributes:
        features: N rows, with embeddings as the gallery keeps them; invalid rows hold anything. All have the first
            time of the call, NaN if unknown.
        valid: ``(N,)`` bool, rows with an image.
        frames: Number of images of each row, more than 1 for a track.
        until: Last time of the call, NaN if unknown.
    """

    features: Features
    valid: np.ndarray
    frames: list[int]
    until: float

    @property
    def camid(self) -> int:
        """Camera; -1 if unknown."""
        return int(self.features.camid[0])

    @property
    def start(self) -> float:
        """First time in seconds; NaN if unknown."""
        return float(self.features.time[0])

    @classmethod
    def of(
        cls,
        gallery: Gallery,
        rows: Sequence[Any],
        camid: int,
        time: When,
        valid: Sequence[bool] | np.ndarray | None,
        tracks: Sequence[str | int],
        zeros: bool,
        **columns: Any,
    ) -> Observed:
        """Check the arguments of a call, and pool each track to one embedding.

        Args:
            gallery: The gallery, whose dimension and distance count.
            rows: N times ``(D,)`` or ``(T, D)``.
            camid: Number of the camera, or -1.
            time: One time, or several.
            valid: Rows with an image; all by default.
            tracks: N names or numbers.
            zeros: Whether zeros stand for somebody without an image.
            **columns: Further columns of features: ``path``, ``source`` ...

        Raises:
            DataError: A value is invalid; names the row.
        """
        mask = np.ones(len(rows), bool) if valid is None else np.asarray(valid)
        if mask.shape != (len(rows),) or (len(rows) and mask.dtype != bool):
            raise DataError(f'valid={valid!r}: give True or False for each of the {len(rows)} people')
        mask, frames = mask.astype(bool), []
        embedding = np.ones((len(rows), gallery.dimension), np.float32)
        for number, row in enumerate(rows):
            images = _images(row, gallery.dimension, f'person {number}')
            frames.append(len(images))
            if zeros and not images.any():
                mask[number] = False
            if mask[number]:
                embedding[number] = _pooled(images, gallery, f'person {number}')
        start, until = _span(time)
        whole: dict[str, Any] = {name: [value] * len(rows) for name, value in dict(pid=-1, camid=camid).items()}
        # A track gets its name and number of images when it is enrolled.
        features = Features(embedding, time=np.full(len(rows), start), track=list(tracks), **whole, **columns)
        return cls(features, mask, frames, until)


def _images(row: Any, dimension: int, what: str) -> np.ndarray:
    """Return the images of one person, ``(T, D)``."""
    try:
        images = np.asarray(row)
    # torch raises RuntimeError for a tensor with a gradient, TypeError for one on a GPU.
    except (ValueError, TypeError, RuntimeError) as e:
        raise DataError(f'{what}: {e}: give floating point numbers, ({dimension},) or (T, {dimension})') from e
    images = images[None] if images.ndim == 1 else images
    if images.ndim != 2 or images.shape[1] != dimension or not len(images):
        raise DataError(f'{what}: an array of shape {np.shape(row)}; give ({dimension},) or (T, {dimension})')
    return images


def _pooled(images: np.ndarray, gallery: Gallery, what: str) -> np.ndarray:
    """Return the embedding of a person as the gallery keeps it, ``(D,)``; of a track, the pooled one."""
    checked = checked_embeddings(images, gallery.dimension, gallery.distance, what)
    if len(images) > 1:
        pooled = pool_track(images)[None]
        checked = checked_embeddings(pooled, gallery.dimension, gallery.distance, f'{what}, pooled')
    return checked[0]


def checked_camid(value: Any) -> int:
    """Return the number of a camera.

    Raises:
        DataError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not -1 <= value < 2**63:
        raise DataError(f'camid={value!r}: give the number of a camera, from 0 on, or -1 if unknown')
    return int(value)


def seconds_of(value: Any, name: str) -> float:
    """Return a number of seconds, which may be NaN or infinite.

    Raises:
        DataError: It is none.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        raise DataError(f'{name}={value!r}: give a number of seconds')
    return float(value)


def checked_travel_times(given: Mapping[tuple[int, int], float]) -> dict[tuple[int, int], float]:
    """Check travel times, and complete them in the other direction.

    Raises:
        DataError: A pair of cameras or a time is invalid.
    """
    times: dict[tuple[int, int], float] = {}
    for pair, value in given.items():
        what = f'travel_times[{pair!r}]'
        if not isinstance(pair, tuple) or len(pair) != 2 or checked_camid(pair[0]) == checked_camid(pair[1]):
            raise DataError(f'{what}: give pairs of two cameras, {{(0, 1): 30.0}}')
        seconds = seconds_of(value, what)
        if not math.isfinite(seconds) or seconds < 0:
            raise DataError(f'{what}={value!r}: give seconds, 0 or more')
        times[int(pair[0]), int(pair[1])] = seconds
    return {(b, a): seconds for (a, b), seconds in times.items()} | times


def _span(time: When) -> tuple[float, float]:
    """Return first and last time; both NaN if unknown."""
    if time is None:
        return math.nan, math.nan
    try:
        values = np.asarray(time).reshape(-1).tolist()
    except ValueError as e:
        raise DataError(f'time={time!r}: {e}: give seconds') from e
    numbers = [seconds_of(value, 'time') for value in values]
    for number in numbers:
        if math.isinf(number):
            raise DataError(f'time={time!r}: give seconds, or nan if unknown')
        # Times in milliseconds and the like.
        if number >= LAST:
            check_seconds(number, f'time={number!r}')
    numbers = [number for number in numbers if not math.isnan(number)]
    return (min(numbers), max(numbers)) if numbers else (math.nan, math.nan)
