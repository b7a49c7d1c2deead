"""Single images and folders of them as people to extract features of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mmosnet.errors import DataError
from mmosnet.features.listing_options import ListingOptions
from mmosnet.features.person_list import ListedPerson
from mmosnet.io.media import find_files, images_in
from mmosnet.io.regions import split_region
from mmosnet.io.tables import number_in_name

# Of Market-1501 and many others: pid -1 is a piece of a person, 0 somebody whom no query asks for.
MARKET_NAME = re.compile(r'(-?\d+)_c(\d+)', re.ASCII)


def people_in_folder(
    folder: str, camid: int, options: ListingOptions, left_out: Counter[str]
) -> Iterator[ListedPerson]:
    """List every image of a folder as a person; other files are counted in ``left_out``.

    Raises:
        DataError: No image, a link that leads in a loop, or one whose name does not tell what ``options.names`` says.
    """
    found = find_files(folder)
    if found.left_out_text():
        number = found.left_out.total() + len(found.linked)
        left_out[f'files in {folder} that are no images ({found.left_out_text()})'] += number
    # images_in says why there is none.
    for path in found.files or images_in(folder):
        yield person_of_file(str(path), camid, options)


def person_of_file(path: str, camid: int, options: ListingOptions) -> ListedPerson:
    """Return the person of an image or of a region of one; errors are those of :func:`people_in_folder`."""
    if not options.names:
        return ListedPerson(path, camid=camid)
    match = MARKET_NAME.match(Path(split_region(path)[0]).name)
    if match is None:
        text = f'{path}: the name does not begin with pid and camera like 0002_c1s1_000451_03.jpg; leave --names out'
        if not options.skip:
            raise DataError(text)
        return ListedPerson(path, camid=camid, error=text)
    try:
        pid = number_in_name(match[1], 'pid', path, -1)
        # One image does not tell whether others say c0, and camid -1 would be unknown.
        camera = number_in_name(match[2], 'camera', path, 1)
    except DataError as e:
        if not options.skip:
            raise
        return ListedPerson(path, camid=camid, error=str(e))
    return ListedPerson(path, pid if pid > 0 else -1, camera - 1)
