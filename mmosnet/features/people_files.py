"""Single images and folders of them as people to extract features of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mmosnet.errors import DataError
from mmosnet.features.listing_options import ListingOptions
from mmosnet.features.person_list import ListedPerson
from mmosnet.runtime.image_region import split_region

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
# Of Market-1501 and many others: pid -1 is a piece of a person, 0 somebody whom no query asks for.
MARKET_NAME = re.compile(r'(-?\d+)_c(\d+)')


def images_in(folder: str) -> list[str]:
    """All images in a folder and below it, sorted by their paths; names with a dot in front are passed over.

    Raises:
        DataError: There is none.
    """
    files = (path for path in Path(folder).rglob('*') if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    found = sorted(path for path in files if not path.name.startswith('.'))
    if not found:
        raise DataError(f'{folder} holds no image ({", ".join(IMAGE_SUFFIXES)}): name the folder that does')
    return [str(path) for path in found]


def people_in_folder(folder: str, camid: int, options: ListingOptions) -> Iterator[ListedPerson]:
    """Every image of a folder is a person.

    Raises:
        DataError: No image, or one whose name does not tell what ``options.names`` says.
    """
    for path in images_in(folder):
        yield person_of_file(path, camid, options)


def person_of_file(path: str, camid: int, options: ListingOptions) -> ListedPerson:
    """An image, or a region of one; errors of :func:`people_in_folder`."""
    if not options.names:
        return ListedPerson(path, camid=camid)
    match = MARKET_NAME.match(Path(split_region(path)[0]).name)
    if match is None:
        text = f'{path}: the name does not begin with pid and camera like 0002_c1s1_000451_03.jpg; leave --names out'
        if not options.skip:
            raise DataError(text)
        return ListedPerson(path, camid=camid, error=text)
    pid, camera = int(match[1]), int(match[2])
    return ListedPerson(path, pid if pid > 0 else -1, camera - 1)
