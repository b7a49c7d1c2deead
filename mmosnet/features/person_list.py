"""People to extract features of, before any image is read."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmosnet.features.features import NAMED, checked_name, own_numbers
from mmosnet.features.listing_options import ListingOptions


class ListedPerson(NamedTuple):
    """One of them.

    Attributes:
        path: Path of the image, see :class:`~mmosnet.features.Features`.
        pid: A number or a name; -1 where unknown.
        camid: Camera, likewise.
        time: Seconds; NaN where unknown.
        error: Why there is no such image; empty if that is not known yet.
        place: File and row that list the person, for errors; empty for images that were named themselves.
    """

    path: str
    pid: int | str = -1
    camid: int | str = -1
    time: float = float('nan')
    error: str = ''
    place: str = ''


class PersonList:
    """People in columns: a hundred thousand take about 20 MB.

    Args:
        people: In the order in which they are extracted. Identities and cameras may have names instead of numbers;
            they get numbers over all of them, as in :class:`~mmosnet.features.Features`.

    Attributes:
        path: ``N`` texts.
        pid: ``(N,)`` int64.
        camid: ``(N,)`` int64.
        time: ``(N,)`` float64.
        errors: Error messages by row.
        place: ``N`` texts, of each person's :attr:`ListedPerson.place`.
        left_out: Number of entries that were not listed, by kind, counted by
            :func:`~mmosnet.features.list_people.list_people`.
        names: The numbers of names: ``names['pid']['anna']``; empty where numbers were given.
        source: ``N`` texts, where the images are; empty until somebody says so.
        inputs: What was listed, and ``options`` how; :func:`~mmosnet.features.list_people.list_people` says so.
        options: See ``inputs``.
    """

    def __init__(self, people: Sequence[ListedPerson]) -> None:
        numbers = {key: _numbers(key, people) for key in NAMED}
        named = {key: {str(value): number for value, number in found.items()} for key, found in numbers.items()}
        self.names = {key: found for key, found in named.items() if any(map(_is_name, found.items()))}
        self.path: list[str] = []
        self.errors: dict[int, str] = {}
        self.place: list[str] = []
        self.left_out: Counter[str] = Counter()
        self.inputs: list[str] = []
        self.options = ListingOptions()
        columns = dict(pid=array('q'), camid=array('q'), time=array('d'))
        for row, person in enumerate(people):
            self.path.append(person.path)
            self.place.append(person.place)
            for key, column in columns.items():
                value = getattr(person, key)
                column.append(numbers[key].get(value, value) if key in numbers else value)
            if person.error:
                self.errors[row] = person.error
        self.source = [''] * len(self.path)
        self.pid, self.camid, self.time = (np.array(column) for column in columns.values())

    def __len__(self) -> int:
        return len(self.path)

    def digest(self) -> str:
        """Return 16 hex digits that identify the list."""
        found = hashlib.sha256()
        for path in self.path:
            # A name ends with what no name has in it.
            found.update(path.encode('utf-8', 'surrogateescape') + b'\0')
        for column in (self.pid, self.camid, self.time):
            found.update(column.tobytes())
        for row in self.errors:
            # Corrected, a row may have the columns that it had with its mistake.
            found.update(f'error {row}\0'.encode())
        return found.hexdigest()[:16]


def _numbers(key: str, people: Sequence[ListedPerson]) -> dict[str | int, int]:
    """Assign numbers to all known identities or cameras, as given."""
    # The first place of each, for errors.
    places = {getattr(person, key): person.place or person.path for person in reversed(people)}
    names = {
        value: checked_name(value, f'{place}: {key}') if isinstance(value, str) else str(value)
        for value, place in places.items()
        if isinstance(value, str) or value >= 0
    }
    # Numbers are names too, beside names, or two people would have one number.
    wanted = {name: value for value, name in names.items() if not isinstance(value, str)}
    numbers = own_numbers(names.values(), wanted=wanted)
    return {value: numbers[name] for value, name in names.items()}


def _is_name(item: tuple[str, int]) -> bool:
    name, number = item
    return name != str(number)
