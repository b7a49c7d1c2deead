"""All people in what a user names: images, folders, tables, COCO files and videos."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mmosnet.errors import DataError
from mmosnet.features.listing_options import ListingOptions
from mmosnet.features.people_coco import people_in_coco
from mmosnet.features.people_files import people_in_folder, person_of_file
from mmosnet.features.people_table import people_in_table
from mmosnet.features.people_video import people_in_video
from mmosnet.features.person_list import ListedPerson, PersonList
from mmosnet.io.media import LOGGER, VIDEO_SUFFIXES
from mmosnet.io.regions import split_region
from mmosnet.io.tables import alike_text

FILES: dict[str, Callable[[str, int, ListingOptions, Counter[str]], Iterator[ListedPerson]]] = {
    '.csv': people_in_table,
    '.json': people_in_coco,
}


def list_people(inputs: Sequence[str], options: ListingOptions | None = None) -> PersonList:
    """List the people in all inputs, in order.

    Args:
        inputs: Images, regions of images, folders of images, CSV tables, COCO files, and videos or folders of their
            frames with files of boxes in ``options.boxes``.
        options: What else is known; nothing by default.

    Returns:
        The people, and counts of what was left out.

    Raises:
        FileNotFoundError: An input is missing.
        DataError: Something in an input is wrong, there is nobody in it, or options do not fit.
    """
    options = options or ListingOptions()
    videos = _videos(inputs, options)
    camids = _one_for_each('--camid', options.camid, list(inputs), -1)
    starts = _one_for_each('--start-time', options.start_time, list(videos), 0.0)
    people, left_out = [], Counter()
    for path in inputs:
        number, own = len(people), Counter()
        if path in videos:
            people += people_in_video(path, videos[path], camids[path], starts[path], options, own)
        else:
            people += _people_in(path, camids[path], options, own)
        if len(people) == number:
            others = ''.join(f'; left out {count:,} {text}' for text, count in own.items())
            raise DataError(f'{path}: there is nobody in it' + ' of that choice' * bool(options.split) + others)
        left_out += own
    alike = alike_text({person.pid for person in people if isinstance(person.pid, str)})
    if alike:
        LOGGER.warning(alike)
    found = PersonList(people)
    found.left_out, found.inputs, found.options = left_out, list(inputs), options
    return found


def _people_in(path: str, camid: int, options: ListingOptions, left_out: Counter[str]) -> Iterator[ListedPerson]:
    file = Path(path)
    if file.is_dir():
        return people_in_folder(path, camid, options, left_out)
    if not Path(split_region(path)[0]).is_file():
        raise FileNotFoundError(f'no image, folder, table, COCO file or video {split_region(path)[0]}')
    if file.suffix.lower() in FILES:
        return FILES[file.suffix.lower()](path, camid, options, left_out)
    return iter([person_of_file(path, camid, options)])


def _videos(inputs: Sequence[str], options: ListingOptions) -> dict[str, str]:
    """Return the box files by the input that they belong to."""
    named: dict[str, str] = {}
    for path in inputs:
        place = os.path.normpath(path)
        if place in named:
            raise DataError(f'{path} is named twice' + f', as {named[place]} too' * (named[place] != path))
        named[place] = path
    videos = [path for path in inputs if Path(path).suffix.lower() in VIDEO_SUFFIXES]
    if not videos and options.boxes:
        # Of videos that are folders of frames.
        videos = [path for path in inputs if Path(path).is_dir()]
    if len(videos) != len(options.boxes):
        raise DataError(
            f'{len(videos)} videos ({", ".join(videos) or "none"}) and {len(options.boxes)} files of boxes: give each '
            'video one, --boxes A.csv B.csv, in order'
        )
    return dict(zip(videos, options.boxes, strict=True))


def _one_for_each(option: str, values: Sequence, paths: Sequence[str], default: object) -> dict:
    if len(values) in (0, 1):
        return dict.fromkeys(paths, values[0] if values else default)
    if len(values) != len(paths):
        raise DataError(f'{option} has {len(values)} values for {len(paths)} inputs: give one, or one for each')
    return dict(zip(paths, values, strict=True))
