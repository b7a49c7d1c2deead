"""People whose features are to be extracted, before any image is read, and options for listing them."""

from __future__ import annotations

import hashlib
import math
import os
import platform
from array import array
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features.features import NAMED, checked_name, own_numbers
from mmosnet.features.tracks import track_keys
from mmosnet.io.coco import frame_size
from mmosnet.io.media import LOGGER
from mmosnet.io.regions import Box, BoxCounts, box_with_margin, region_path


def host_and_folder() -> tuple[str, str]:
    """Return the name of this machine, and the working directory, with escapes for bytes that are not UTF-8."""
    return platform.node(), os.fsencode(os.getcwd()).decode('utf-8', 'backslashreplace')


def place_of(path: str, host: str, folder: str) -> str:
    """Return the place of a path, which tells equal paths on several machines or in several folders apart.

    Args:
        path: Path of an image or a video.
        host: Name of the machine.
        folder: Working directory, to which the path may be relative.
    """
    return host if os.path.isabs(path) else f'{host}:{folder}'


class ListedPerson(NamedTuple):
    """A person in an image.

    Attributes:
        path: Path of the image, see :class:`~mmosnet.features.Features`.
        pid: A number or a name; -1 if unknown.
        camid: Camera, likewise.
        time: Seconds; NaN if unknown.
        error: Why the image cannot be used; empty if no reason is known.
        place: File and row that list the person, for errors; empty for images that the user named directly.
        track: Name of the track that the image belongs to; empty if unknown.
    """

    path: str
    pid: int | str = -1
    camid: int | str = -1
    time: float = float('nan')
    error: str = ''
    place: str = ''
    track: str = ''


class InputBoxes:
    """Clip the boxes of one input to their images; the size of each image is read once.

    Args:
        path: File of the boxes, for messages.
        margin: Margin to add on each side, as a share of width and height.
    """

    def __init__(self, path: str, margin: float) -> None:
        self._path, self._margin = path, margin
        self._sizes: dict[str, tuple[int, int]] = {}
        self._counts = BoxCounts()

    def region(self, box: list[float], frame_size: tuple[int, int], place: str) -> Box:
        """Return the region of a box; arguments and errors of :func:`~mmosnet.io.regions.box_with_margin`."""
        region, is_clipped = box_with_margin(box, frame_size, self._margin, place)
        self._counts.add(box, frame_size, place, is_clipped)
        return region

    def person(self, person: ListedPerson, box: list[float], place: str, stated: dict | None = None) -> ListedPerson:
        """Return the person in a box of an image.

        Args:
            person: Person with the path of the whole image.
            box: Left, top, width and height in pixels.
            place: File and row, for errors.
            stated: Size of the image according to the annotation file, ``height`` and ``width``; none by default.

        Raises:
            DataError: There is no such image, or the box has no area in it.
        """
        if person.path not in self._sizes:
            if not Path(person.path).is_file():
                raise DataError(f'{place}: no image {person.path}; --root says where the paths in the file start')
            self._sizes[person.path] = frame_size(person.path, stated or {}, place)
        return person._replace(path=region_path(person.path, self.region(box, self._sizes[person.path], place)))

    def finish(self) -> None:
        """Log how many boxes were clipped; call it after the last box.

        Raises:
            DataError: The boxes look like corners (left, top, right, bottom): most reach beyond their images, and read
                as corners none would.
        """
        self._counts.refuse_corners()
        number, beyond = self._counts.number, self._counts.beyond
        if beyond:
            LOGGER.warning(f'{self._path}: {beyond:,} of {number:,} boxes reach beyond their images and are clipped')


@dataclass(frozen=True)
class ListingOptions:
    """Options of :func:`~mmosnet.features.sources.list_people`.

    Attributes:
        names: ``'market1501'`` to read pid and camera from file names like ``0002_c1s1_000451_03.jpg``; by default
            file names are not read.
        camid: Camera of the people whose records name none; one for all inputs, or one per input.
        root: Folder to which the paths in tables and annotation files are relative; by default that of the file.
        split: Split of tables and annotation files to read; all by default.
        category: Name of the category whose boxes are read from COCO files; all by default.
        id_key: Field of the identity in COCO files.
        camera_key: Field of the camera in COCO files.
        margin: Margin to add to boxes on each side, as a share of their width and height. Default: 0.
        boxes: One file of boxes per video.
        first_frame: Number of a video's first frame in box files; by default 0 if their first row names the columns,
            else 1 as in the MOTChallenge.
        min_score: Smallest score of boxes to read from box files; all by default.
        tracks_as_pids: Whether track numbers in box files are identities. Default: False.
        frame_step: Read only every n-th frame of a video, counted from its first. Default: 1.
        fps: Frame rate of videos, instead of the rate that the files state; needed for times in folders of frames.
        start_time: Seconds at which videos start; one for all, or one per video. Default: 0.
        skip: Whether to note boxes and files that cannot be used with the person, instead of raising an error.

    Raises:
        DataError: An invalid number.

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
        """Return the reason why a person is left out.

        Raises:
            DataError: ``skip`` is not set.
        """
        if not self.skip:
            raise DataError(f'{error}. --bad-images skip goes on without it') from error
        return str(error)


def _numbers(key: str, people: Sequence[ListedPerson]) -> dict[str | int, int]:
    """Return the number of each identity or camera that is known, by its number or name as given."""
    # First place of each, for errors.
    places = {getattr(person, key): person.place or person.path for person in reversed(people)}
    names = {
        value: checked_name(value, f'{place}: {key}') if isinstance(value, str) else str(value)
        for value, place in places.items()
        if isinstance(value, str) or value >= 0
    }
    # A number beside names counts as a name too, or two people could get one number.
    preferred = {name: value for value, name in names.items() if not isinstance(value, str)}
    numbers = own_numbers(names.values(), preferred=preferred)
    return {value: numbers[name] for value, name in names.items()}


class PersonList:
    """N people in columns: 100,000 take about 20 MB.

    Args:
        people: People in the order of extraction. Names of identities and cameras get numbers, as in
            :class:`~mmosnet.features.Features`.

    Attributes:
        path: ``N`` texts, see :attr:`ListedPerson.path`; likewise ``place``.
        place: ``N`` texts.
        track: ``N`` texts; empty for single images.
        pid: ``(N,)`` int64.
        camid: ``(N,)`` int64.
        time: ``(N,)`` float64.
        errors: Error messages by row.
        names: Numbers by name, ``names['pid']['anna']``; without keys whose values are all plain numbers.
        source: ``N`` texts, the place of each path; empty until the extraction sets them.
        left_out: Number of entries that were not listed, by description; this and the following are set by
            :func:`~mmosnet.features.sources.list_people`.
        inputs: Inputs that were listed.
        options: Options that they were listed with.
    """

    def __init__(self, people: Sequence[ListedPerson]) -> None:
        numbers = {key: _numbers(key, people) for key in NAMED}
        by_name = {key: {str(value): number for value, number in known.items()} for key, known in numbers.items()}
        self.names = {
            key: known for key, known in by_name.items() if any(name != str(number) for name, number in known.items())
        }
        self.path: list[str] = []
        self.errors: dict[int, str] = {}
        self.place: list[str] = []
        self.track: list[str] = []
        self.left_out: Counter[str] = Counter()
        self.inputs: list[str] = []
        self.options = ListingOptions()
        columns: dict[str, array] = dict(pid=array('q'), camid=array('q'), time=array('d'))
        for row, person in enumerate(people):
            self.path.append(person.path)
            self.place.append(person.place)
            self.track.append(person.track)
            for key, column in columns.items():
                value = getattr(person, key)
                column.append(numbers[key].get(value, value) if key in numbers else value)
            if person.error:
                self.errors[row] = person.error
        self.source = [''] * len(self.path)
        self.pid, self.camid, self.time = (np.array(column) for column in columns.values())

    def __len__(self) -> int:
        return len(self.path)

    def tracks(self) -> list[np.ndarray]:
        """Return the rows of each track and single image, in the order of their first rows.

        Raises:
            DataError: The rows of a track have different pids; names both.
        """
        rows_of: dict[Hashable, list[int]] = {}
        for row, key in enumerate(track_keys(self.path, self.source, self.camid.tolist(), self.track)):
            # A single image has a key that no other row has.
            rows = rows_of.setdefault(row if key is None else key, [])
            rows.append(row)
            if self.pid[row] != self.pid[rows[0]]:
                places = [self.place[one] or self.path[one] for one in (rows[0], row)]
                raise DataError(
                    f'{places[1]}: another pid than {places[0]}, and the same camera and track {self.track[row]!r}: a '
                    'track is of one person'
                )
        return [np.array(rows) for rows in rows_of.values()]

    def digest(self) -> str:
        """Return 16 hex digits that identify the list."""
        digest = hashlib.sha256()
        for path in self.path:
            # No file name contains the null byte.
            digest.update(path.encode('utf-8', 'surrogateescape') + b'\0')
        for column in (self.pid, self.camid, self.time):
            digest.update(column.tobytes())
        if any(self.track):
            digest.update('\0'.join(self.track).encode('utf-8', 'surrogateescape'))
        for row in self.errors:
            # A row may have the same columns before and after its mistake is corrected.
            digest.update(f'error {row}\0'.encode())
        return digest.hexdigest()[:16]
