"""A box in an image as the path of a region of it."""

from __future__ import annotations

from pathlib import Path

from mmosnet.datasets.coco_file import frame_size
from mmosnet.datasets.crop_person import box_with_margin
from mmosnet.errors import DataError
from mmosnet.features.person_list import ListedPerson
from mmosnet.runtime.image_region import Box, region_path
from mmosnet.runtime.media_files import LOGGER

# Fewer boxes that reach beyond their images may do so by chance.
FEWEST_BOXES = 4


class InputBoxes:
    """The boxes of one input, clipped to their images, whose sizes are looked up once.

    Args:
        path: The file of the boxes, for messages.
        margin: Added on each side, as a share of width and height.
    """

    def __init__(self, path: str, margin: float) -> None:
        self._path, self._margin = path, margin
        self._sizes: dict[str, tuple[int, int]] = {}
        self._number = self._beyond = 0
        # Place and numbers of the first, if all may be left, top, right, bottom.
        self._corners: str | None = ''

    def region(self, box: list[float], frame_size: tuple[int, int], place: str) -> Box:
        """Return the region of a box; arguments and errors of :func:`~mmosnet.datasets.crop_person.box_with_margin`."""
        found, is_clipped = box_with_margin(box, frame_size, self._margin, place)
        self._number += 1
        self._beyond += is_clipped
        left, top, right, bottom = box
        if not (0 <= left < right <= frame_size[1] and 0 <= top < bottom <= frame_size[0]):
            self._corners = None
        elif self._corners == '':
            self._corners = f'{place}: the box {box}'
        return found

    def person(self, person: ListedPerson, box: list[float], place: str, stated: dict | None = None) -> ListedPerson:
        """Return the person in a box of an image.

        Args:
            person: With the path of the whole image.
            box: Left, top, width and height in pixels.
            place: File and row, for errors.
            stated: What the annotation file says of the image: ``height`` and ``width``.

        Raises:
            DataError: No such image, or a box without area in it.
        """
        if person.path not in self._sizes:
            if not Path(person.path).is_file():
                raise DataError(f'{place}: no image {person.path}; --root says where the paths in the file start')
            self._sizes[person.path] = frame_size(person.path, stated or {}, place)
        return person._replace(path=region_path(person.path, self.region(box, self._sizes[person.path], place)))

    def finish(self) -> None:
        """Say how many boxes were clipped, once all were seen.

        Raises:
            DataError: The boxes look like corners: most reach beyond their images, and as corners none would.
        """
        if self._corners and self._number >= FEWEST_BOXES and 2 * self._beyond >= self._number:
            raise DataError(
                f'{self._corners} and {self._number - 1} others look like left, top, right, bottom: as left, top, '
                f'width, height {self._beyond} reach beyond their images. Convert them'
            )
        if self._beyond:
            LOGGER.warning(
                f'{self._path}: {self._beyond:,} of {self._number:,} boxes reach beyond their images and are clipped'
            )
