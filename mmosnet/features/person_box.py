"""A box in an image as the path of a region of it."""

from __future__ import annotations

from pathlib import Path

from mmosnet.datasets.coco_file import frame_size
from mmosnet.datasets.crop_person import box_with_margin
from mmosnet.errors import DataError
from mmosnet.features.listing_options import ListingOptions
from mmosnet.features.person_list import ListedPerson
from mmosnet.runtime.image_region import region_path


class ImageSizes:
    """Height and width of images, each looked up once."""

    def __init__(self) -> None:
        self._sizes: dict[str, tuple[int, int]] = {}

    def of(self, path: str, stated: dict, place: str) -> tuple[int, int]:
        """Of one image; arguments and errors of :func:`~mmosnet.datasets.coco_file.frame_size`."""
        if path not in self._sizes:
            if not Path(path).is_file():
                raise DataError(f'{place}: no image {path}; --root says where the paths in the file start')
            self._sizes[path] = frame_size(path, stated, place)
        return self._sizes[path]


def boxed_person(
    person: ListedPerson,
    box: list[float],
    sizes: ImageSizes,
    place: str,
    options: ListingOptions,
    stated: dict | None = None,
) -> ListedPerson:
    """The person in a box, clipped to the image.

    Args:
        person: With the path of the whole image.
        box: Left, top, width and height in pixels.
        sizes: Of images.
        place: File and row, for errors.
        options: ``margin``.
        stated: What the annotation file says of the image: ``height`` and ``width``.

    Raises:
        DataError: No such image, or a box without area in it.
    """
    region, _ = box_with_margin(box, sizes.of(person.path, stated or {}, place), options.margin, place)
    return person._replace(path=region_path(person.path, region))
