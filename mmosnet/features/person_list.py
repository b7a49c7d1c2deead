"""People to extract features of, before any image is read."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmosnet.datasets.name_numbers import number_names


class ListedPerson(NamedTuple):
    """One of them.

    Attributes:
        path: Of the image, see :class:`~mmosnet.features.Features`.
        pid: A number or a name; -1 where unknown.
        camid: Likewise.
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
    """Many, in columns: a hundred thousand take some 20 MB.

    Args:
        people: In the order in which they are extracted. Identities and cameras may have names instead of numbers;
            they get numbers by :func:`~mmosnet.datasets.name_numbers.number_names` over all of them.

    Attributes:
        path: ``N`` texts.
        pid: ``(N,)`` int64.
        camid: ``(N,)`` int64.
        time: ``(N,)`` float64.
        errors: By row.
        place: ``N`` texts, of each person's :attr:`ListedPerson.place`.
        left_out: How many were not listed, by what they are; :func:`~mmosnet.features.list_people.list_people` counts.
        names: The numbers of names: ``names['pid']['anna']``; empty where numbers were given.
    """

    def __init__(self, people: Sequence[ListedPerson]) -> None:
        numbers = {key: _numbers({getattr(person, key) for person in people}) for key in ('pid', 'camid')}
        self.names = {key: found for key, found in numbers.items() if not all(map(_is_number, found.items()))}
        self.path: list[str] = []
        self.errors: dict[int, str] = {}
        self.place: list[str] = []
        self.left_out: Counter[str] = Counter()
        columns = dict(pid=array('q'), camid=array('q'), time=array('d'))
        for row, person in enumerate(people):
            self.path.append(person.path)
            self.place.append(person.place)
            for key, column in columns.items():
                value = getattr(person, key)
                # Beside names numbers are names too, or two people would have one number.
                named = isinstance(value, str) or (key in self.names and value >= 0)
                column.append(numbers[key][str(value)] if named else value)
            if person.error:
                self.errors[row] = person.error
        self.pid, self.camid, self.time = (np.array(column) for column in columns.values())

    def __len__(self) -> int:
        return len(self.path)

    def digest(self) -> str:
        """Tells lists apart; 16 hex digits."""
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


def _numbers(values: set[str | int]) -> dict[str, int]:
    """Numbers of the names among identities or cameras, and of the numbers too where there are names."""
    texts = {value for value in values if isinstance(value, str)}
    found = number_names(texts)
    if all(map(_is_number, found.items())):
        return found
    return number_names(texts | {str(value) for value in values if not isinstance(value, str) and value >= 0})


def _is_number(item: tuple[str, int]) -> bool:
    name, number = item
    return name.isascii() and name.isdigit() and int(name) == number
