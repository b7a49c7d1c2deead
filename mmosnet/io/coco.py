"""Read COCO annotation files strictly: people as boxes in images, and their masks.

``pycocotools.coco.COCO`` indexes such files, but lets the last of two entries with one id win, fails on a missing field
with a bare KeyError and prints while it loads. Only the masks of pycocotools are used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from mmosnet.errors import DataError
from mmosnet.io.files import read_json
from mmosnet.io.images import read_size
from mmosnet.io.regions import cut, split_region
from mmosnet.io.tables import identity, image_inside

# Required fields of each list's entries.
IMAGE_FIELDS = ('id', 'file_name')
ANNOTATION_FIELDS = ('id', 'image_id', 'bbox')
# Fields of the COCO format; all others of an annotation are the user's own.
COCO_FIELDS = (
    *('id', 'image_id', 'category_id', 'bbox', 'area', 'segmentation', 'iscrowd', 'attributes'),
    *('keypoints', 'num_keypoints', 'score', 'ignore'),
)
# ImageNet's mean color, which preprocessing turns into nearly 0: BGR.
BACKGROUND = (104, 116, 124)


@dataclass(frozen=True)
class CocoRecord:
    """One annotation with its image.

    Attributes:
        place: File and annotation id, for error messages.
        annotation: Entry of ``annotations``.
        attributes: Its ``attributes``, where CVAT exports fields of the user's own; empty without any.
        image: Entry of ``images``.
    """

    place: str
    annotation: dict
    attributes: dict
    image: dict

    def field(self, key: str, of_image: bool = True) -> str:
        """Return a field of the user's own as text; empty if there is none.

        Args:
            key: Name of the field in the annotation, in its ``attributes`` or in its image, in this order.
            of_image: Look into the image too.

        Raises:
            DataError: The value is neither a number nor a text.
        """
        holders = (self.annotation, self.attributes, self.image)[: 3 if of_image else 2]
        value = next((holder[key] for holder in holders if holder.get(key) is not None), '')
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise DataError(f'{self.place}: the field {key!r} is {repr(value)[:60]}, not a number or a name')
        return str(value).strip()

    def identity(self, key: str, of_image: bool = True) -> str | int:
        """Return a field as name of a person or camera; see :func:`~mmosnet.io.tables.identity`."""
        return identity(self.field(key, of_image), f'{self.place}: {key}')

    def img_path(self, folder: str | Path) -> str:
        """Return the path of the image, which must be inside a folder."""
        return image_inside(Path(folder), self.image['file_name'], self.place)


class SelectedPeople(NamedTuple):
    """Annotations of one category, in the order of the file.

    Attributes:
        people: Annotations of single people.
        groups: Annotations of groups (``iscrowd``).
        num_others: Number of annotations of other categories.
    """

    people: list[dict]
    groups: list[dict]
    num_others: int


@dataclass(frozen=True)
class CocoFile:
    """A checked annotation file.

    Attributes:
        path: Path of the file, for messages.
        images: Entries of ``images`` by their id; each has ``file_name``.
        annotations: Entries of ``annotations``; each has ``id``, ``bbox`` and the ``image_id`` of an image.
        category_ids: Ids of ``categories`` by their names.
        errors: Errors of annotations by id.
    """

    path: str
    images: dict[int | str, dict]
    annotations: list[dict]
    category_ids: dict[str, int | str]
    errors: dict[int | str, str] = field(default_factory=dict)

    def place(self, annotation: dict) -> str:
        """Return file and annotation id, for error messages."""
        return f'{self.path}, annotation {annotation["id"]}'

    def record(self, annotation: dict) -> CocoRecord:
        """Return an annotation with its image.

        Raises:
            DataError: The annotation is one of :attr:`errors`, or its ``attributes`` are no object.
        """
        if annotation['id'] in self.errors:
            raise DataError(self.errors[annotation['id']])
        place, attributes = self.place(annotation), annotation.get('attributes') or {}
        if not isinstance(attributes, dict):
            raise DataError(f'{place}: attributes {str(attributes)[:60]!r} are no object')
        return CocoRecord(place, annotation, attributes, self.images[annotation['image_id']])

    def select(self, category: str | None) -> SelectedPeople:
        """Select the annotations of a category; those with errors count as single people.

        Args:
            category: Name of the category; None selects all annotations.

        Raises:
            DataError: The file has no such category.
        """
        chosen = self.annotations
        if category is not None:
            if category not in self.category_ids:
                known = ', '.join(sorted(self.category_ids)) or 'none'
                raise DataError(f'{self.path}: no category {category!r}; the file has {known}')
            chosen = [a for a in chosen if a.get('category_id') == self.category_ids[category]]
        groups = [a for a in chosen if a.get('iscrowd') and a['id'] not in self.errors]
        people = [a for a in chosen if not a.get('iscrowd') or a['id'] in self.errors]
        return SelectedPeople(people, groups, len(self.annotations) - len(chosen))


def read_coco(path: str | Path, keep_faulty: bool = False) -> CocoFile:
    """Read and check an annotation file.

    Args:
        path: The file.
        keep_faulty: Collect the errors of single annotations in ``errors``, instead of raising the first.

    Raises:
        FileNotFoundError: No such file.
        DataError: No JSON, not COCO's lists, a missing field, a wrong id or ``iscrowd``, two entries with one id, or an
            annotation of an image that is not in the file; names the entry.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'CocoPerson: no annotation file {path}; ann_file and ann_files start at data_root')
    content = read_json(path, 'export the annotations in COCO format')
    lists = ('images', 'annotations')
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in lists):
        keys = f'the keys {sorted(content)}'[:100] if isinstance(content, dict) else f'a {type(content).__name__}'
        raise DataError(
            f'{path} is not in COCO format, which has the lists "images" and "annotations"; it has {keys}. Export the '
            'annotations in COCO format'
        )
    images = _by_id(path, 'images', content['images'], IMAGE_FIELDS)
    annotations = _by_id(path, 'annotations', content['annotations'], ('id',))
    errors = {}
    for place, annotation in enumerate(annotations.values()):
        error = _mistake(annotation, images, place)
        if error:
            errors[annotation['id']] = f'{path}, {error}'
            if not keep_faulty:
                raise DataError(f'{path}, {error}')
    names = _category_ids(path, content.get('categories'))
    return CocoFile(str(path), images, list(annotations.values()), names, errors)


def _mistake(annotation: dict, images: dict[int | str, dict], place: int) -> str:
    """Return the first error of an annotation; empty if it is valid."""
    for name in ANNOTATION_FIELDS:
        if annotation.get(name) is None:
            return f'annotations[{place}]: the field {name!r} is missing (id {annotation["id"]!r})'
    image, crowd, name = annotation['image_id'], annotation.get('iscrowd'), f'annotation {annotation["id"]}'
    if not _is_id(image) or image not in images:
        return (
            f'{name}: image_id {repr(image)[:60]} is not the id of any of the {len(images)} images, which are whole '
            'numbers or text'
        )
    if crowd is not None and (not isinstance(crowd, int) or crowd not in (0, 1)):
        return f'{name}: iscrowd {repr(crowd)[:60]} is neither 0, a single person, nor 1, a group'
    return ''


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _category_ids(path: Path, categories: object) -> dict[str, int | str]:
    ids: dict[str, int | str] = {}
    for category in categories if isinstance(categories, list) else []:
        name = category.get('name') if isinstance(category, dict) else None
        if not isinstance(name, str) or not _is_id(category.get('id')):
            raise DataError(f'{path}, categories: {str(category)[:60]!r} is no object with a name and an id')
        if ids.setdefault(name, category['id']) != category['id']:
            raise DataError(f'{path}, categories: {name!r} comes twice, with the ids {ids[name]} and {category["id"]}')
    return ids


def _by_id(path: Path, list_name: str, entries: list, required: tuple[str, ...]) -> dict[int | str, dict]:
    by_id: dict[int | str, dict] = {}
    for number, entry in enumerate(entries):
        place = f'{path}, {list_name}[{number}]'
        if not isinstance(entry, dict):
            raise DataError(f'{place}: {str(entry)[:60]!r} is no object with the fields {", ".join(required)}')
        for name in required:
            if entry.get(name) is None:
                raise DataError(f'{place}: the field {name!r} is missing (id {entry.get("id")!r})')
        if not _is_id(entry['id']):
            raise DataError(f'{place}: id {repr(entry["id"])[:60]} is neither a whole number nor text')
        if entry['id'] in by_id:
            raise DataError(f'{place}: id {repr(entry["id"])[:60]} comes twice in {list_name}; ids must differ')
        if not isinstance(entry.get('file_name', ''), str):
            raise DataError(f'{place}: file_name {repr(entry["file_name"])[:60]} is no text')
        by_id[entry['id']] = entry
    return by_id


def frame_size(path: str, image: dict, place: str) -> tuple[int, int]:
    """Read height and width of a frame from its file header and compare them with the annotation file.

    Both count in the picture turned upright as its EXIF data says: viewers show it so, and annotation tools draw boxes
    in that.

    Args:
        path: Path of the frame.
        image: Entry of the frame in the annotation file; ``height`` and ``width`` may be missing.
        place: Place to name in errors.

    Raises:
        DataError: The file is missing, has another size than stated, or is unreadable without a stated size. A damaged
            file with a stated size is not an error here, because ``bad_images`` decides about it later.
    """
    stated = (image.get('height'), image.get('width'))
    if not Path(path).is_file():
        raise DataError(f'{place}: no image {path}; data_prefix=dict(img_path=FOLDER) says where file names start')
    try:
        size = read_size(path)
    except DataError as e:
        if all(type(value) is int and value > 0 for value in stated):
            return stated
        raise DataError(f'{place}: {e}, and the annotation file has no size of it') from e
    if None not in stated and stated != size:
        raise DataError(
            f'{place}: the annotation file gives {path} width {stated[1]} and height {stated[0]}, but the image has '
            f'{size[1]} and {size[0]}, turned upright as its EXIF orientation says: it was resized, or annotated as '
            'it lies in the file. Use the images that were annotated, or annotate them as viewers show them'
        )
    return size


def compressed_mask(segmentation: list | dict | None, frame_size: tuple[int, int], place: str) -> dict:
    """Convert a COCO segmentation to compressed RLE.

    Args:
        segmentation: Polygons ``[[x1, y1, x2, y2, ...], ...]``, which are united, or run lengths
            ``dict(size=[height, width], counts=...)``, uncompressed (numbers) or compressed (text).
        frame_size: Height and width of the frame.
        place: File and annotation, for error messages.

    Returns:
        Compressed run lengths for ``pycocotools.mask``.

    Raises:
        DataError: The segmentation is none of these, has another size than the frame, or no pixel.
    """
    height, width = frame_size
    if isinstance(segmentation, dict):
        rle = _run_lengths(segmentation, frame_size, place)
    elif isinstance(segmentation, list) and segmentation and all(map(_is_polygon, segmentation)):
        # pycocotools clips polygons to the frame, but walks their sides pixel by pixel first.
        if max(abs(value) for points in segmentation for value in points) > 2 * max(frame_size):
            raise DataError(f'{place}: the segmentation has points far outside its frame of {width}x{height}')
        rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    else:
        raise DataError(
            f'{place}: mask_background=True needs a segmentation, polygons [[x1, y1, x2, y2, x3, y3, ...], ...] or run '
            f'lengths {{"size": [height, width], "counts": ...}}; found {str(segmentation)[:60]}'
        )
    if not coco_mask.area(rle):
        raise DataError(f'{place}: the segmentation has no pixel; draw it again, or set mask_background=False')
    return rle


def _is_polygon(points: object) -> bool:
    return (
        isinstance(points, list)
        and len(points) >= 6
        and len(points) % 2 == 0
        and all(type(value) in (int, float) and math.isfinite(value) for value in points)
    )


def _run_lengths(segmentation: dict, frame_size: tuple[int, int], place: str) -> dict:
    height, width = frame_size
    size, counts = segmentation.get('size'), segmentation.get('counts')
    if size != list(frame_size):
        raise DataError(f'{place}: the segmentation has size {size}, its frame {list(frame_size)} (height, width)')
    if isinstance(counts, str):
        # Runs beyond the frame are reported when the crop is read: only decoding reveals them, pixel by pixel.
        return dict(size=size, counts=counts.encode())
    if isinstance(counts, list) and all(type(n) is int and n >= 0 for n in counts) and sum(counts) == height * width:
        return coco_mask.frPyObjects(segmentation, height, width)
    raise DataError(f'{place}: the run lengths of the segmentation do not add up to its size {size}; draw it again')


def without_background(crop: np.ndarray, rle: dict, path: str) -> np.ndarray:
    """Paint everything but the person in ImageNet's mean color.

    Args:
        crop: ``(height, width, 3)`` uint8, BGR.
        rle: Mask of the whole frame, from :func:`compressed_mask`.
        path: Region of the crop, from :func:`~mmosnet.io.regions.region_path`.

    Raises:
        DataError: The run lengths are damaged, or leave nothing of the crop.
    """
    _, box = split_region(path)
    try:
        mask = coco_mask.decode(rle)
    except ValueError as e:
        raise DataError(f'{path}: the run lengths of the segmentation are damaged ({e}); draw it again') from e
    mask = cut(mask, box, path)
    if not mask.any():
        raise DataError(f'{path}: the segmentation lies wholly outside its box; draw it again')
    return np.where(mask[:, :, None] == 0, np.array(BACKGROUND, np.uint8), crop)
