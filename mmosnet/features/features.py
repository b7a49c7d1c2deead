"""Embeddings of people, with the cameras and times at which they were seen. Needs only NumPy."""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from numbers import Integral, Real
from typing import Any

import numpy as np

from mmosnet.errors import DataError
from mmosnet.io.tables import LAST, check_seconds

# Columns beside embedding and path.
TYPES = dict(pid=np.int64, camid=np.int64, time=np.float64)
# Columns that are arrays, and those that are lists.
ARRAYS, TEXTS = ('embedding', *TYPES, 'frames'), ('path', 'source', 'track', 'attributes')
# Columns whose numbers may have names, with the column of these names in files and databases.
NAME_COLUMNS = dict(pid='name', camid='camera')
NAMED = tuple(NAME_COLUMNS)
INT64 = np.iinfo(np.int64)
# Texts of missing values in pandas and NumPy: as names they would all be one person.
UNKNOWN_AS_TEXT = ('nan', 'NaN', 'NaT', '<NA>', 'None')


@dataclass(eq=False)
class Features:
    """Features of N people; arrays are converted to the types below.

    A person is a number or a name. ``pid=['anna', 'bob']`` assigns numbers to the people, and :attr:`names` keeps their
    names. The number of a person without a name serves as name: ``'2'`` is person 2. The same holds for cameras.

    Attributes:
        embedding: ``(N, D)`` float32.
        path: Path of each image; a region of one is ``frame.jpg#xywh=l,t,w,h`` or ``video.mp4#frame=7&xywh=l,t,w,h``.
        pid: ``(N,)`` int64; -1 if unknown.
        camid: ``(N,)`` int64; -1 if unknown.
        time: ``(N,)`` float64, seconds; NaN if unknown.
        model: Digest of the weights that computed the embeddings (:func:`~mmosnet.models.weights.weights_digest`);
            empty if unknown.
        names: Names of people and cameras by number, ``dict(pid={1: 'anna'}, camid={2: 'door'})``.
        source: ``N`` texts, or one for all: the place of the path, as host and folder; empty if unknown. A path and its
            source identify an image.
        track: ``N`` names or numbers of the tracks that the images belong to, or one for all; empty texts if there are
            none. Trackers number anew in each video: source, video, camera and track together identify a track
            (:mod:`~mmosnet.features.tracks`).
        frames: ``(N,)`` int64, the number of images of the track from which the embedding was pooled; 1 (default) for
            one image. One number stands for all. The path of a pooled embedding is that of the first image.
        attributes: ``N`` collections of names of attributes, such as ``('backpack', 'hat')``, which a model predicts
            for the person; sorted tuples. None by default.

    Raises:
        DataError: Columns of unequal lengths, or invalid values; names column, row and value.
    """

    embedding: np.ndarray
    path: list[str]
    pid: np.ndarray
    camid: np.ndarray
    time: np.ndarray
    model: str = ''
    names: dict[str, dict[int, str]] = field(default_factory=dict)
    source: Any = ''  # list[str], or one text for all
    track: Any = ''  # likewise
    frames: Any = 1  # np.ndarray, or one number for all
    attributes: Any = ()  # list[tuple[str, ...]], or () for none

    def __post_init__(self) -> None:
        self.embedding = _embedding(self.embedding)
        self.path = _texts('path', self.path)
        self.source = [self.source] * len(self.path) if isinstance(self.source, str) else self.source
        self.source = _texts('source', self.source)
        one_track = isinstance(self.track, str) or np.ndim(self.track) == 0
        self.track = _tracks([self.track] * len(self.path) if one_track else self.track)
        self.frames = np.full(len(self.path), self.frames) if np.ndim(self.frames) == 0 else self.frames
        self.attributes = _attributes(self.attributes or [()] * len(self.path))
        given = {key: _array(key, getattr(self, key)) for key in (*TYPES, 'frames')}
        columns = {name: getattr(self, name) for name in ('path', 'source', 'track')} | given
        # NumPy would read tuples of equal lengths as a second axis.
        lengths = {name: np.shape(column) for name, column in columns.items()}
        lengths['attributes'] = (len(self.attributes),)
        if set(lengths.values()) != {(len(self.embedding),)}:
            shapes = ', '.join(f'{name} {shape}' for name, shape in lengths.items())
            raise DataError(f'{len(self.embedding)} embeddings, but {shapes}: every column needs one value for each')
        self.time = _seconds(given['time'])
        self.frames = _frames(given['frames'], self.track)
        if not isinstance(self.names, Mapping) or set(self.names) - set(NAMED):
            raise DataError(f'names={self.names!r}: give dict(pid={{1: name}}, camid={{1: name}})')
        names, self.names = self.names, {}
        for key in NAMED:
            column, own_names = _numbered(key, given[key])
            if own_names and names.get(key):
                raise DataError(f'{key} has names, and names[{key!r}] too: give one of them')
            setattr(self, key, column)
            self.names[key] = own_names or _checked_names(key, column, names.get(key) or {})

    def __len__(self) -> int:
        return len(self.path)

    @property
    def dimension(self) -> int:
        """Dimension D of the embeddings."""
        return self.embedding.shape[1]

    @property
    def has_tracks(self) -> bool:
        """Whether a row is a track or has attributes, which features of older versions have not."""
        return any(self.track) or any(self.attributes)

    def labels(self, key: str) -> dict[int, str]:
        """Return the name of each person (``'pid'``) or camera (``'camid'``) by number; unnamed ones: the number."""
        names, numbers = self.names[key], np.unique(getattr(self, key)).tolist()
        return {number: names.get(number) or str(number) for number in numbers if number >= 0}

    def renumbered(self, key: str, numbers: Mapping[str, int]) -> Features:
        """Return features in which the people or cameras have other numbers.

        Args:
            key: ``'pid'`` or ``'camid'``.
            numbers: New number of each of the :meth:`labels`.
        """
        labels = self.labels(key)
        old = np.fromiter([-1, *labels], np.int64)
        new = np.fromiter([-1, *(numbers[label] for label in labels.values())], np.int64)
        columns: dict[str, Any] = {name: getattr(self, name) for name in (*TYPES, 'frames', *TEXTS)}
        columns[key] = new[np.searchsorted(old, np.maximum(columns[key], -1))]
        names = self.names | {key: {numbers[label]: label for label in labels.values()}}
        return Features(self.embedding, model=self.model, names=names, **columns)

    def __eq__(self, other: object) -> bool:
        """Return whether all rows are equal, with people and cameras compared by name, and NaN times equal."""
        if not isinstance(other, Features):
            return NotImplemented
        if any(getattr(self, name) != getattr(other, name) for name in (*TEXTS, 'model')):
            return False
        columns = [(getattr(self, name), getattr(other, name)) for name in ('embedding', 'time', 'frames')]
        if not all(np.array_equal(one, two, equal_nan=True) for one, two in columns):
            return False
        return all(self._labels_of_rows(key) == other._labels_of_rows(key) for key in NAMED)

    def __getitem__(self, rows: slice | Sequence[int] | np.ndarray) -> Features:
        """Return some rows by a slice, numbers or a mask, as NumPy does; refuse a single number.

        Raises:
            IndexError: There is no such row.
            TypeError: A single number is given.
        """
        chosen = np.arange(len(self))[rows if isinstance(rows, slice) else _index(rows)]
        if chosen.ndim != 1:
            raise TypeError('features[row] takes a slice, a list of rows or a mask; for one row write features[[row]]')
        columns: dict[str, Any] = {name: getattr(self, name)[chosen] for name in ARRAYS}
        texts: dict[str, Any] = {name: [getattr(self, name)[row] for row in chosen] for name in TEXTS}
        return Features(model=self.model, names=self.names, **texts, **columns)

    @classmethod
    def concat(cls, parts: Sequence[Features]) -> Features:
        """Join features, in order.

        People with equal names are one person, whatever their numbers; people with different names get different
        numbers. The same holds for cameras.

        Raises:
            DataError: No features, or embeddings of different dimensions or models.
        """
        if not parts:
            raise DataError('no features to join')
        first = parts[0]
        for number, part in enumerate(parts):
            check_alike(first, part.dimension, part.model, f'features 0 and {number}')
        names = {}
        for key in NAMED:
            if any(part.names[key] for part in parts):
                preferred: dict[str, int] = {}
                for part in parts:
                    preferred = {label: number for number, label in part.labels(key).items()} | preferred
                numbers = own_numbers(preferred, preferred=preferred)
                parts = [part.renumbered(key, numbers) for part in parts]
                names[key] = {number: label for label, number in numbers.items()}
        columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
        texts: dict[str, Any] = {name: [text for part in parts for text in getattr(part, name)] for name in TEXTS}
        return cls(model=first.model, names=names, **texts, **columns)

    def _labels_of_rows(self, key: str) -> list[str | None]:
        labels = self.labels(key)
        return [labels.get(number) for number in getattr(self, key).tolist()]


def own_numbers(
    names: Iterable[str], known: Mapping[str, int] | None = None, preferred: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Assign a number of its own to each name of a person or camera.

    A name that is a whole number keeps its value: ``'7'`` is 7, and ``'07'`` too if there is no ``'7'``. The other
    names get the lowest free numbers from 1 on, in alphabetical order.

    Args:
        names: Names; repeated ones count once.
        known: Numbers of names that already have one; no other name gets these.
        preferred: Numbers that names get if they are free; of two names with the same one the first gets it.

    Returns:
        The number of each name.
    """
    known, preferred = known or {}, preferred or {}
    ordered = sorted(set(names))
    numbers = {name: known[name] for name in ordered if name in known}
    taken = set(known.values())
    new = [name for name in ordered if name not in numbers]
    # Eighteen digits fit into int64.
    whole = {name: int(name) for name in new if name.isascii() and name.isdigit() and len(name) <= 18}
    whole |= {name: number for name, number in preferred.items() if name not in known}
    # Plain numbers first: beside a person '7' no other name should get the number 7.
    for plain in (True, False):
        for name, number in whole.items():
            if (name == str(number)) == plain and number not in taken and name not in numbers:
                numbers[name] = number
                taken.add(number)
    # A number that is also a name could be mistaken for it.
    texts = {name for name in (*known, *ordered) if name.isdigit()}
    free = (number for number in count(1) if number not in taken and str(number) not in texts)
    numbers |= {name: next(free) for name in new if name not in numbers}
    return {name: numbers[name] for name in ordered}


def checked_name(name: str, what: str) -> str:
    """Return a name of a person or camera in Unicode's composed form, without blanks around it.

    Args:
        name: Name as the user wrote it.
        what: Column and row of the name, for errors.

    Raises:
        DataError: The name is empty, or cannot be printed.
    """
    # Like mmosnet.io.media.same_name, which needs OpenCV.
    checked = unicodedata.normalize('NFC', str(name)).strip()
    if not checked or any(unicodedata.category(character) in ('Cc', 'Cs') for character in checked):
        raise DataError(f'{what}: {name!a} is no name: give text in one line, or -1 if unknown')
    return checked


def check_alike(first: Features, dimension: int, model: str, place: str) -> None:
    """Refuse to join embeddings that cannot be compared with the first ones.

    Args:
        first: Features to compare with.
        dimension: Dimension of the other embeddings.
        model: Digest of their weights.
        place: Names of both, for errors.

    Raises:
        DataError: The dimension or the model differs.
    """
    if dimension != first.dimension:
        raise DataError(f'{place}: embeddings of {first.dimension} and {dimension} numbers; extract all with one model')
    if model != first.model:
        named = [repr(name) if name else 'unknown' for name in (first.model, model)]
        raise DataError(f'{place}: embeddings of the models {named[0]} and {named[1]}; extract all with one model')


def _embedding(given: Any) -> np.ndarray:
    try:
        array = np.asarray(given)
    # torch raises RuntimeError for a tensor with a gradient, TypeError for one on a GPU.
    except (ValueError, TypeError, RuntimeError) as e:
        raise DataError(f'embedding: {e}: give numbers, (N, D)') from e
    if array.dtype.kind not in 'fiu':
        raise DataError(f'embedding has values of the type {array.dtype}: give numbers, (N, D)')
    if array.ndim != 2 or array.shape[1] == 0:
        raise DataError(f'embedding has the shape {array.shape}: give (N, D)')
    return array.astype(np.float32, copy=False)


def _texts(key: str, given: Any) -> list[str]:
    if isinstance(given, (str, bytes, os.PathLike)) or not isinstance(given, Iterable):
        raise DataError(f'{key}={given!r}: give a list with one for each embedding')
    texts = list(given)
    for row, text in enumerate(texts):
        if type(text) is not str:
            if not isinstance(text, (str, os.PathLike)) or not isinstance(os.fspath(text), str):
                raise DataError(f'{key}, row {row}: {text!r} is no text')
            texts[row] = str(text)
    return texts


def checked_track(track: Any, what: str) -> str:
    """Return the name of a track as text; empty for none.

    Args:
        track: Text, or whole number of a tracker; ``''`` and -1 stand for none.
        what: Column and row, for errors.

    Raises:
        DataError: The value is no name of a track.
    """
    if isinstance(track, str):
        text = track.strip()
        if text in UNKNOWN_AS_TEXT:
            raise DataError(f"{what}: {track!r} is no track: give '' for a single image")
        return '' if text in ('', '-1') else checked_name(text, what)
    if not isinstance(track, Integral) or isinstance(track, (bool, np.bool_)) or track < -1:
        raise DataError(f"{what}: {track!r} is no track: give a name or a number, or '' for a single image")
    return '' if track == -1 else str(int(track))


def checked_attributes(names: Any, what: str) -> tuple[str, ...]:
    """Return names of attributes, sorted and each once.

    Args:
        names: Names; one text is one name.
        what: Column and row, for errors.

    Raises:
        DataError: There is a value that is no name.
    """
    listed = [names] if isinstance(names, str) else list(names) if isinstance(names, Iterable) else None
    if listed is None or not all(isinstance(name, str) for name in listed):
        raise DataError(f"{what}: {names!r} are no names of attributes: give texts, ('backpack', 'hat')")
    return tuple(sorted({checked_name(name, what) for name in listed}))


def _tracks(given: Any) -> list[str]:
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        raise DataError(f'track={given!r}: give a list with one for each embedding')
    values = given.tolist() if isinstance(given, np.ndarray) else given
    return ['' if track == '' else checked_track(track, f'track, row {row}') for row, track in enumerate(values)]


def _attributes(given: Any) -> list[tuple[str, ...]]:
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise DataError(f'attributes={given!r}: give a list with the names for each embedding')
    # Many people have the same attributes.
    checked: dict[Any, tuple[str, ...]] = {(): ()}
    rows = []
    for row, names in enumerate(given):
        if isinstance(names, str):
            raise DataError(f'attributes, row {row}: {names!r}: give a list or tuple of names for each embedding')
        if not isinstance(names, tuple) or names not in checked:
            names = checked.setdefault(*[checked_attributes(names, f'attributes, row {row}')] * 2)
        rows.append(checked[names])
    return rows


def _frames(array: np.ndarray, track: Sequence[str]) -> np.ndarray:
    """Convert numbers of images to int64."""
    if array.dtype.kind not in 'iuf' or not ((array >= 1) & (array < 2.0**53) & (np.floor(array) == array)).all():
        for row, number in enumerate(array.tolist()):
            whole = isinstance(number, Integral) or (isinstance(number, float) and number.is_integer())
            if isinstance(number, bool) or not whole or not 1 <= number < 2**53:
                raise DataError(f'frames, row {row}: {number!r}: give the number of images of the track, 1 or more')
    frames = array.astype(np.int64)
    for row in np.flatnonzero(frames > 1).tolist():
        if not track[row]:
            raise DataError(f'frames, row {row}: {frames[row]} images and no track: give the name of the track')
    return frames


def _array(key: str, given: Any) -> np.ndarray:
    """Convert values to an array that holds each of them unchanged."""
    if isinstance(given, (str, bytes)) or not (hasattr(given, 'dtype') or isinstance(given, Iterable)):
        raise DataError(f'{key}={given!r}: give a list with one value for each embedding')
    try:
        if hasattr(given, 'dtype'):
            return np.asarray(given)
        given = list(given)
        if len({type(value) for value in given}) == 1 and isinstance(given[0], (float, np.number)):
            return np.asarray(given)
        if any(np.ndim(value) for value in given):
            # Columns of such a shape are refused later.
            return np.asarray(given)
    except ValueError as e:
        raise DataError(f'{key}: {e}: give one value for each embedding') from e
    # NumPy would turn a NaN beside texts into 'nan', False into 0, and a large integer into a rounded float.
    array = np.empty(len(given), object)
    array[:] = given
    try:
        return array.astype(np.int64) if {type(value) for value in given} == {int} else array
    except OverflowError:
        return array


def _seconds(array: np.ndarray) -> np.ndarray:
    """Convert times to float64."""
    if array.dtype.kind not in 'fiu':
        for row, value in enumerate(array.tolist()):
            if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
                raise DataError(f'time, row {row}: {value!r} is no number of seconds; nan stands for unknown')
    try:
        times = array.astype(np.float64)
    except (ValueError, OverflowError) as e:
        raise DataError(f'time: {e}: give seconds') from e
    infinite = np.flatnonzero(np.isinf(times))
    if len(infinite):
        raise DataError(
            f'time, row {infinite[0]}: {times[infinite[0]]} is no number of seconds; nan stands for unknown'
        )
    for row in np.flatnonzero(times >= LAST)[:1]:
        check_seconds(times[row], f'time, row {row}: {times[row]:.15g}')
    return times


def _numbered(key: str, array: np.ndarray) -> tuple[np.ndarray, dict[int, str]]:
    """Return numbers as int64, and names by number where some of the values are texts."""
    if array.dtype.kind in 'iuf':
        with np.errstate(invalid='ignore'):
            column = array.astype(np.int64)
        # Floats from 2^63 on are equal to the largest int64 as a float.
        wrong = (column != array) | (column < -1) | (array > INT64.max if array.dtype.kind != 'f' else array >= 2.0**63)
        if wrong.any():
            row = int(wrong.argmax())
            raise _wrong(key, row, array[row].item())
        return column, {}
    labels = [_label(key, row, value) for row, value in enumerate(array.tolist())]
    texts = {str(label) for label in labels if label != -1}
    numbers = own_numbers(texts, preferred={str(label): label for label in labels if not isinstance(label, str)})
    column = np.array([-1 if label == -1 else numbers[str(label)] for label in labels], np.int64)
    return column, {number: text for text, number in numbers.items() if text != str(number)}


def _label(key: str, row: int, value: Any) -> int | str:
    """Return a number or a name."""
    if value in UNKNOWN_AS_TEXT:
        raise DataError(f'{key}, row {row}: {value!r} is no name: give -1 if unknown')
    if isinstance(value, str):
        return -1 if value.strip() == '-1' else checked_name(value, f'{key}, row {row}')
    number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if number and not isinstance(value, Integral):
        number = math.isfinite(value) and value == int(value)
    if not number or not -1 <= value <= INT64.max:
        raise _wrong(key, row, value)
    return int(value)


def _wrong(key: str, row: int, value: Any) -> DataError:
    return DataError(
        f'{key} has values that are no whole numbers from 0 to 2^63 - 1, and no names: row {row}, {value!r}; -1 stands '
        'for unknown'
    )


def _checked_names(key: str, column: np.ndarray, names: Mapping[int, str]) -> dict[int, str]:
    """Check and return the names of the numbers in a column."""
    if not names:
        return {}
    if not isinstance(names, Mapping) or not all(isinstance(number, Integral) for number in names):
        raise DataError(f'names[{key!r}]={names!r}: give names by number, {{1: name}}')
    used = set(np.unique(column).tolist())
    checked = {number: checked_name(name, f'names[{key!r}], {number}') for number, name in names.items()}
    labels = {number: checked.get(number, str(number)) for number in used if number >= 0}
    if len(set(labels.values())) < len(labels):
        twice = next(label for label in labels.values() if list(labels.values()).count(label) > 1)
        numbers = [number for number, label in labels.items() if label == twice]
        raise DataError(f'names[{key!r}]: {numbers[0]} and {numbers[1]} are both called {twice!r}')
    return {number: label for number, label in labels.items() if label != str(number)}


def _index(rows: Sequence[int] | np.ndarray) -> np.ndarray:
    # NumPy turns an empty list into floats, which are no indices.
    index = np.asarray(rows)
    return index.astype(np.int64) if index.size == 0 and index.dtype.kind == 'f' else index
