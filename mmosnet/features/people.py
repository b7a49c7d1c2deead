"""List people.

A box in an image as the path of a region of it.

People to extract features of, before any image is read.

What is known about the images to extract features of.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features.features import NAMED, checked_name, own_numbers
from mmosnet.io.coco import frame_size
from mmosnet.io.media import LOGGER
from mmosnet.io.regions import Box, BoxCounts, box_with_margin, region_path


class InputBoxes:
    """The boxes of one input, clipped to their images, whose sizes are looked up once.

    Args:
        path: The file of the boxes, for messages.
        margin: Added on each side, as a share of width and height.
    """

    def __init__(self, path: str, margin: float) -> None:
        self._path, self._margin = path, margin
        self._sizes: dict[str, tuple[int, int]] = {}
        self._counts = BoxCounts()

    def region(self, box: list[float], frame_size: tuple[int, int], place: str) -> Box:
        """Return the region of a box; arguments and errors of :func:`~mmosnet.io.regions.box_with_margin`."""
        found, is_clipped = box_with_margin(box, frame_size, self._margin, place)
        self._counts.add(box, frame_size, place, is_clipped)
        return found

    def person(self, person: ListedPerson, box: list[float], place: str, stated: dict | None = None) -> ListedPerson:
        """Return the person in a box of an image.

        Args:
            person: Person with the path of the whole image.
            box: Left, top, width and height in pixels.
            place: File and row, for errors.
            stated: Size of the image in the annotation file: ``height`` and ``width``.

        Raises:
            DataError: No such image, or a box without area in it.
        """
        if person.path not in self._sizes:
            if not Path(person.path).is_file():
                raise DataError(f'{place}: no image {person.path}; --root says where the paths in the file start')
            self._sizes[person.path] = frame_size(person.path, stated or {}, place)
        return person._replace(path=region_path(person.path, self.region(box, self._sizes[person.path], place)))

    def finish(self) -> None:
        """Report how many boxes were clipped, once all are counted.

        Raises:
            DataError: The boxes look like corners: most reach beyond their images, and as corners none would.
        """
        self._counts.refuse_corners()
        number, beyond = self._counts.number, self._counts.beyond
        if beyond:
            LOGGER.warning(f'{self._path}: {beyond:,} of {number:,} boxes reach beyond their images and are clipped')


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
            :func:`~mmosnet.features.sources.list_people`.
        names: The numbers of names: ``names['pid']['anna']``; empty where numbers were given.
        source: ``N`` texts, where the images are; empty until somebody says so.
        inputs: What was listed, and ``options`` how; :func:`~mmosnet.features.sources.list_people` says so.
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


@dataclass(frozen=True)
class ListingOptions:
    """Options of :func:`~mmosnet.features.sources.list_people`.

    Attributes:
        names: ``'market1501'``: names of images like ``0002_c1s1_000451_03.jpg`` tell pid and camera; ``''``: they tell
            nothing.
        camid: Camera of the people whose records name none; one for all inputs, or one per input.
        root: Folder where the paths in tables and annotation files start; by default the file's own.
        split: Split of tables and annotation files to read; all by default.
        category: Name of the category whose boxes are read from COCO files.
        id_key: Field of the identity in COCO files.
        camera_key: Field of the camera in COCO files.
        margin: Added to boxes on each side, as a share of their width and height.
        boxes: A file of boxes for each video.
        first_frame: What files of boxes call the first frame of a video; by default 0 where their first row names the
            columns, 1 where not, as in the MOTChallenge.
        min_score: Smallest score of boxes to read from box files.
        tracks_as_pids: Numbers of tracks in files of boxes are identities.
        frame_step: Read only every n-th frame of a video, counted from its first.
        fps: Frames a second of videos, instead of what the files state; needed for folders of frames.
        start_time: Seconds at which videos start; one for all, or one for each.
        skip: Boxes and files that cannot be used are noted with the person, instead of raised.

    Raises:
        DataError: A number that cannot be.

    Example:
        >>> list_people(['people.csv', 'door.mp4'], ListingOptions(boxes=['door.csv'], split='gallery'))
    """

    names: str = ''
    camid: Sequence[int] = ()
    root: str | None = None
    split: str | None = None
    category: str | None = None
    id_key: str = 'person_id'
    camera_key: str = 'camera_id'
    margin: float = 0.0
    boxes: Sequence[str] = ()
    first_frame: int | None = None
    min_score: float | None = None
    tracks_as_pids: bool = False
    frame_step: int = 1
    fps: float | None = None
    start_time: Sequence[float] = ()
    skip: bool = False

    def __post_init__(self) -> None:
        for name in ('frame_step', 'fps'):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise DataError(f'--{name.replace("_", "-")} {value}: give a number above 0')
        if not 0 <= self.margin <= 10:
            raise DataError(f'--margin {self.margin}: give a share of the box, from 0 to 10')
        for camid in self.camid:
            if not 0 <= camid < 10**9:
                raise DataError(f'--camid {camid}: give a number from 0 up, below 1,000,000,000')
        if self.first_frame is not None and self.first_frame < 0:
            raise DataError(
                f'--first-frame {self.first_frame}: give the number of the first frame, 0 or 1 for instance'
            )
        if self.min_score is not None and not math.isfinite(self.min_score):
            raise DataError(f'--min-score {self.min_score}: give a number')

    def reason(self, error: DataError) -> str:
        """Return the reason for leaving somebody out.

        Raises:
            DataError: Nobody is to be left out.
        """
        if not self.skip:
            raise DataError(f'{error}. --bad-images skip goes on without it') from error
        return str(error)
