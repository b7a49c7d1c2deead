"""The settings of a gallery, its records, and the conditions that select records."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features.features import checked_attributes, checked_track
from mmosnet.io.tables import LAST, UNITS, check_seconds

DISTANCES = ('cosine', 'euclidean')
INDEX_KINDS = ('exact', 'ivfpq', 'hnsw')
# Version of the format, newer ones are refused; the version that added names, sources and, in folders, checksums; and
# that of tracks and attributes, which folders have once they hold some.
VERSION, WITH_CHECKSUMS, WITH_TRACKS = 3, 2, 3
# Fields of a record that every gallery has.
FIELDS = ('id', 'path', 'pid', 'camid', 'time')


@dataclass(frozen=True)
class GallerySettings:
    """Settings of a gallery; back ends store them as JSON.

    Attributes:
        dimension: Dimension of the embeddings.
        distance: ``'cosine'``, 1 - cos; or ``'euclidean'``, not squared.
        index: ``'exact'``, ``'ivfpq'`` or ``'hnsw'``.
        model: Digest of the weights that make the embeddings; empty if unknown.
        threshold: Largest distance at which two images count as one person; None before calibration.
        facts: Information about the calibration of the threshold, in JSON values.
        version: Version of the format.
        track_threshold: The threshold for tracks, likewise.
        track_facts: Information about its calibration.
        attributes: Names of all attributes of enrolled people, sorted.

    Raises:
        DataError: An invalid value.
    """

    dimension: int
    distance: str = 'cosine'
    index: str = 'exact'
    model: str = ''
    threshold: float | None = None
    facts: dict = field(default_factory=dict)
    version: int = 1
    track_threshold: float | None = None
    track_facts: dict = field(default_factory=dict)
    attributes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _is(self.version, int) or self.version > VERSION:
            raise DataError(f'version={self.version!r}: this mmosnet reads up to {VERSION}; upgrade it')
        if not _is(self.dimension, int) or self.dimension < 1:
            raise DataError(f'dimension={self.dimension!r}: give the length of the embeddings')
        for name, allowed in (('distance', DISTANCES), ('index', INDEX_KINDS)):
            if getattr(self, name) not in allowed:
                raise DataError(f'{name}={getattr(self, name)!r}: choose from {", ".join(allowed)}')
        if not isinstance(self.model, str):
            raise DataError(f"model={self.model!r}: give a digest of weights, or ''")
        for name in ('threshold', 'track_threshold'):
            value = getattr(self, name)
            if value is not None and not (_is(value, float, int) and math.isfinite(value) and value >= 0):
                raise DataError(f'{name}={value!r}: give a distance, 0 or more')
        for name in ('facts', 'track_facts'):
            if not isinstance(getattr(self, name), dict):
                raise DataError(f'{name}={getattr(self, name)!r}: give a dict')
        if not isinstance(self.attributes, (list, tuple)) or not all(isinstance(name, str) for name in self.attributes):
            raise DataError(f'attributes={self.attributes!r}: give names')
        # JSON gives a list back.
        object.__setattr__(self, 'attributes', tuple(self.attributes))

    def to_json(self) -> str:
        """Return the settings as JSON text.

        Raises:
            DataError: JSON cannot hold the facts.
        """
        try:
            return json.dumps(asdict(self), indent=1) + '\n'
        except (TypeError, ValueError) as e:
            raise DataError(f'facts of the threshold: {e}: give numbers, texts, lists and dicts') from e

    @classmethod
    def from_json(cls, text: str, place: str) -> GallerySettings:
        """Parse the text that :meth:`to_json` returns.

        Args:
            text: JSON text.
            place: File or collection with the text, for errors.

        Raises:
            DataError: The text is damaged, or of a newer version.
        """
        remedy = 'restore the file, or create the gallery anew'
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as e:
            raise DataError(f'{place}: damaged ({e}): {remedy}') from e
        names = [f.name for f in fields(cls)]
        if not isinstance(content, dict) or 'dimension' not in content:
            raise DataError(f'{place}: not the settings of a gallery: {remedy}')
        try:
            return cls(**{name: content[name] for name in names if name in content})
        except DataError as e:
            raise DataError(f'{place}: {e}, or {remedy}') from e


def _is(value: object, *kinds: type) -> bool:
    """Return whether a value has one of the types; True and False are not numbers."""
    return isinstance(value, kinds) and not isinstance(value, bool)


@dataclass(frozen=True)
class RecordFilter:
    """Conditions, all of which a record has to meet; None is no condition.

    Attributes:
        ids: Numbers in the gallery.
        pids: Identities; -1 for unknown ones.
        camids: Cameras.
        not_camids: Cameras to leave out.
        after: Earliest time in seconds, inclusive. A record without a time meets no condition on time.
        before: Latest time in seconds, exclusive, so that the windows ``[a, b)`` and ``[b, c)`` do not overlap.
        tracks: Names of tracks.
        attributes: Names of attributes, all of which a record has to have.
    """

    ids: tuple[int, ...] | None = None
    pids: tuple[int, ...] | None = None
    camids: tuple[int, ...] | None = None
    not_camids: tuple[int, ...] | None = None
    after: float | None = None
    before: float | None = None
    tracks: tuple[str, ...] | None = None
    attributes: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls,
        ids: int | Iterable[int] | None = None,
        pids: int | Iterable[int] | None = None,
        camids: int | Iterable[int] | None = None,
        not_camids: int | Iterable[int] | None = None,
        after: float | None = None,
        before: float | None = None,
        tracks: int | str | Iterable[int | str] | None = None,
        attributes: str | Iterable[str] | None = None,
    ) -> RecordFilter:
        """Return the filter for a user's arguments: one number or name, or several.

        Raises:
            DataError: A number is not whole, a time is not a number of seconds, or a text is no name.
        """
        numbers = dict(ids=ids, pids=pids, camids=camids, not_camids=not_camids)
        times = dict(after=after, before=before)
        conditions: dict[str, Any] = {name: _whole_numbers(name, value) for name, value in numbers.items()}
        conditions |= {name: _seconds(name, value) for name, value in times.items()}
        conditions |= dict(tracks=_track_names(tracks))
        # No attribute is no condition: every record has all of none.
        conditions |= dict(attributes=(attributes and checked_attributes(attributes, 'attributes')) or None)
        return cls(**conditions)

    @property
    def is_empty(self) -> bool:
        """Whether every record meets the conditions."""
        return self == RecordFilter()

    def mask(self, ids: np.ndarray, pids: np.ndarray, camids: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return which records meet the conditions on numbers and times: all but ``tracks`` and ``attributes``.

        Args:
            ids: ``(N,)`` integers, numbers in the gallery.
            pids: ``(N,)`` integers, identities.
            camids: ``(N,)`` integers, cameras.
            times: ``(N,)`` seconds, NaN for unknown.

        Returns:
            ``(N,)`` bool.
        """
        mask = np.ones(len(ids), bool)
        for column, values in ((ids, self.ids), (pids, self.pids), (camids, self.camids)):
            if values is not None:
                mask &= np.isin(column, values)
        if self.not_camids is not None:
            mask &= ~np.isin(camids, self.not_camids)
        # Comparisons with NaN are false.
        if self.after is not None:
            mask &= times >= self.after
        if self.before is not None:
            mask &= times < self.before
        return mask


def _whole_numbers(name: str, value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    array = np.asarray(value if np.isscalar(value) else list(value))
    if array.ndim > 1 or (array.size and array.dtype.kind not in 'iu'):
        raise DataError(f'{name}={value!r}: give a whole number, or a list of them')
    return tuple(array.reshape(-1).tolist())


def _track_names(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    listed = [value] if isinstance(value, str) or np.ndim(value) == 0 else list(value)
    names = tuple(checked_track(name, 'track') for name in listed)
    if '' in names:
        raise DataError(f'track={value!r}: give the name of a track; single images have none')
    return names


def _seconds(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or math.isnan(value):
        raise DataError(f'{name}={value!r}: give a number of seconds')
    # Times in milliseconds and the like are refused; infinity means all times.
    if LAST <= value <= LAST * max(UNITS.values()):
        check_seconds(value, f'{name}={value!r}')
    return float(value)


@dataclass(frozen=True)
class Record:
    """An image in a gallery, or a track: several images with one embedding.

    Attributes:
        id: Number of the image in the gallery; numbers are never reused.
        path: Path of the image or of a region, ``frame.jpg#xywh=120,80,64,190``; the first one of a track.
        pid: Identity; -1 if unknown.
        camid: Camera, counted from 0; -1 if unknown.
        time: Seconds by the clock of the features; NaN if unknown.
        name: Name of the person; empty for an unnamed one.
        camera: Name of the camera; empty for an unnamed one.
        source: Host and folder of the path, as ``mmosnet extract`` notes them; empty if unknown.
        track: Name of the track that the image belongs to; empty if unknown.
        frames: Number of images from which the embedding was pooled; 1 for a single image.
        attributes: Names of the attributes that the model predicted, sorted.
    """

    id: int
    path: str
    pid: int = -1
    camid: int = -1
    time: float = math.nan
    name: str = ''
    camera: str = ''
    source: str = ''
    track: str = ''
    frames: int = 1
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Match(Record):
    """An image or a track in the result of a search.

    Attributes:
        distance: Distance to the query, as :class:`~mmosnet.gallery.Gallery` defines it.
        same_person: Whether the distance is at most the gallery's threshold, the one for tracks if the query is a
            track; None for a gallery without one.
    """

    distance: float = math.nan
    same_person: bool | None = None
