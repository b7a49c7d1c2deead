"""A few images to look at: of a data set's people, or of files and folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import MMLogger

from mmosnet.datasets.person_image import read_image
from mmosnet.io.media import images_in


def spread(items: Sequence, number: int) -> list:
    """Choose at most ``number`` items at even distances, the first one included."""
    number = min(number, len(items))
    return [items[i * len(items) // number] for i in range(number)]


def spread_over_people(records: Sequence[dict], number: int) -> list[dict]:
    """Choose images of as many people as possible, at even distances in the data set.

    Args:
        records: Records of a data set with ``img_path``; without ``pid`` each image counts as a separate person. If
            there are queries, only queries are chosen.
        number: Number of images.
    """
    queries = [record for record in records if record.get('split') == 'query'] or records
    people: dict[int | str, list[dict]] = {}
    for record in queries:
        people.setdefault(record.get('pid', record['img_path']), []).append(record)
    if number <= len(people):
        return [images[0] for images in spread(list(people.values()), number)]
    # Everybody's first image, then everybody's second image ...
    rounds = max(len(images) for images in people.values())
    in_turn = [images[i] for i in range(rounds) for images in people.values() if i < len(images)]
    return in_turn[:number]


def image_files(paths: Sequence[str], number: int) -> list[str]:
    """List the images that a user names, of folders at most ``number`` images at even distances.

    Raises:
        FileNotFoundError: No such file or folder.
        DataError: A folder without images, or a file that cannot be read.
    """
    files = []
    for path in map(Path, paths):
        if path.is_dir():
            files += spread(images_in(path, MMLogger.get_current_instance().warning), number)
        elif path.is_file():
            files.append(str(path))
        else:
            raise FileNotFoundError(f'no image or folder {path}')
    for file in files:
        read_image(file)
    return files
