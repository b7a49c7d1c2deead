"""A box in an image as the path of a region of it."""

from __future__ import annotations

from pathlib import Path

from mmosnet.errors import DataError
from mmosnet.features.person_list import ListedPerson
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
