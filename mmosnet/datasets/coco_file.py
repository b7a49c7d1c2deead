"""COCO annotation files, read strictly.

``pycocotools.coco.COCO`` indexes such files, but lets the last of two entries with one id win, fails on a missing field
with a bare KeyError and prints while it loads. Of pycocotools only the masks are used.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mmosnet.errors import DataError
from mmosnet.runtime.image_reading import read_size

# What each list's entries must have.
IMAGE_FIELDS = ('id', 'file_name')
ANNOTATION_FIELDS = ('id', 'image_id', 'bbox')
# Fields of COCO's own; all others of an annotation are the user's.
COCO_FIELDS = (
    *('id', 'image_id', 'category_id', 'bbox', 'area', 'segmentation', 'iscrowd', 'attributes'),
    *('keypoints', 'num_keypoints', 'score', 'ignore'),
)


@dataclass(frozen=True)
class CocoFile:
    """A checked annotation file.

    Attributes:
        path: Of the file, for messages.
        images: Entries of ``images`` by their id; each has ``file_name``.
        annotations: Entries of ``annotations``; each has ``id``, ``bbox`` and the ``image_id`` of an image.
        category_ids: Ids of ``categories`` by their names.
    """

    path: str
    images: dict[int | str, dict]
    annotations: list[dict]
    category_ids: dict[str, int | str]

    def place(self, annotation: dict) -> str:
        """File and annotation, for messages."""
        return f'{self.path}, annotation {annotation["id"]}'


def read_coco(path: str | Path) -> CocoFile:
    """Read and check an annotation file.

    Raises:
        FileNotFoundError: No such file.
        DataError: No JSON, not COCO's lists, a missing field, two entries with one id, or an annotation of an image
            that is not in the file; names the entry.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'CocoPerson: no annotation file {path}; ann_file and ann_files start at data_root')
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'))
    except ValueError as e:
        raise DataError(f'{path} is no JSON ({e}); export the annotations in COCO format') from e
    lists = ('images', 'annotations')
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in lists):
        found = f'the keys {sorted(content)}'[:100] if isinstance(content, dict) else f'a {type(content).__name__}'
        raise DataError(
            f'{path} is not in COCO format, which has the lists "images" and "annotations"; found {found}. Export the '
            'annotations in COCO format'
        )
    images = _by_id(path, 'images', content['images'], IMAGE_FIELDS)
    annotations = _by_id(path, 'annotations', content['annotations'], ANNOTATION_FIELDS)
    for annotation in annotations.values():
        if not isinstance(annotation['image_id'], int | str) or annotation['image_id'] not in images:
            raise DataError(
                f'{path}, annotation {annotation["id"]}: image_id {annotation["image_id"]!r} is not the id of any of '
                f'the {len(images)} images'
            )
    categories = content.get('categories') or []
    names = {c['name']: c['id'] for c in categories if isinstance(c, dict) and {'name', 'id'} <= set(c)}
    return CocoFile(str(path), images, list(annotations.values()), names)


def _by_id(path: Path, kind: str, entries: list, required: tuple[str, ...]) -> dict[int | str, dict]:
    found: dict[int | str, dict] = {}
    for number, entry in enumerate(entries):
        place = f'{path}, {kind}[{number}]'
        if not isinstance(entry, dict):
            raise DataError(f'{place}: {str(entry)[:60]!r} is no object with the fields {", ".join(required)}')
        for name in required:
            if entry.get(name) is None:
                raise DataError(f'{place}: the field {name!r} is missing (id {entry.get("id")!r})')
        if not isinstance(entry['id'], int | str):
            raise DataError(f'{place}: id {entry["id"]!r} is neither a number nor text')
        if entry['id'] in found:
            raise DataError(f'{place}: id {entry["id"]!r} comes twice in {kind}; every entry needs its own')
        if not isinstance(entry.get('file_name', ''), str):
            raise DataError(f'{place}: file_name {entry["file_name"]!r} is no text')
        found[entry['id']] = entry
    return found


def frame_size(path: str, image: dict, place: str) -> tuple[int, int]:
    """Height and width of a frame, from the header of its file; they must be those that the annotation file states.

    Both are of the picture turned upright as its EXIF data says, as viewers show it and annotation tools draw boxes.

    Args:
        path: Of the frame.
        image: Its entry in the annotation file; ``height`` and ``width`` may be missing.
        place: For the error's text.

    Raises:
        DataError: No such file, of another size than stated, or unreadable and of no stated size. A damaged file of a
            stated size is not an error here: what becomes of it is up to ``bad_images``.
    """
    stated = (image.get('height'), image.get('width'))
    if not Path(path).is_file():
        raise DataError(f'{place}: no image {path}; data_prefix=dict(img_path=FOLDER) says where file names start')
    try:
        found = read_size(path)
    except DataError as e:
        if all(type(value) is int and value > 0 for value in stated):
            return stated
        raise DataError(f'{place}: {e}, and the annotation file has no size of it') from e
    if None not in stated and stated != found:
        raise DataError(
            f'{place}: the annotation file gives {path} width {stated[1]} and height {stated[0]}, but the image has '
            f'{found[1]} and {found[0]}, turned upright as its EXIF orientation says: it was resized, or annotated as '
            'it lies in the file. Use the images that were annotated, or annotate them as viewers show them'
        )
    return found
