"""Read COCO files and masks.

COCO annotation files, read strictly.

``pycocotools.coco.COCO`` indexes such files, but lets the last of two entries with one id win, fails on a missing field
with a bare KeyError and prints while it loads. Of pycocotools only the masks are used.

Masks of people, as COCO files have them: polygons and run lengths, and crops without their background.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from mmosnet.errors import DataError
from mmosnet.io.files import read_json
from mmosnet.io.images import read_size
from mmosnet.io.regions import cut, split_region

# What each list's entries must have.
IMAGE_FIELDS = ('id', 'file_name')
ANNOTATION_FIELDS = ('id', 'image_id', 'bbox')
# Fields of COCO's own; all others of an annotation are the user's.
COCO_FIELDS = (
    *('id', 'image_id', 'category_id', 'bbox', 'area', 'segmentation', 'iscrowd', 'attributes'),
    *('keypoints', 'num_keypoints', 'score', 'ignore'),
)
# Annotations left out that are named.
MOST_NAMED = 5


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

    def people(self, category: str | None, say: Callable[[str], object]) -> list[dict]:
        """Return the annotations of single people; report how many others are left out, and why.

        Args:
            category: Name of the category; None takes all.
            say: Takes a line for the user.

        Raises:
            DataError: No such category, or all annotations are crowds (``iscrowd``).
        """
        if category is not None and category not in self.category_ids:
            known = ', '.join(sorted(self.category_ids)) or 'none'
            raise DataError(f'{self.path}: no category {category!r}; the file has {known}')
        chosen = self.annotations
        if category is not None:
            chosen = [a for a in chosen if a.get('category_id') == self.category_ids[category]]
        people = [a for a in chosen if not a.get('iscrowd')]
        others, crowds = len(self.annotations) - len(chosen), len(chosen) - len(people)
        if others:
            say(f'{self.path}: left out {others:,} of {len(self.annotations):,} annotations, not of {category!r}')
        if crowds:
            named = ', '.join(str(a['id']) for a in chosen if a.get('iscrowd')) if crowds <= MOST_NAMED else ''
            first = next(a['id'] for a in chosen if a.get('iscrowd'))
            text = (
                f'{crowds:,} of {len(chosen):,} annotations ({named or f"the first {first}"}) have iscrowd 1, a group '
                'of people. Tools that draw masks write 1 for single people too: set iscrowd to 0 in these'
            )
            if not people:
                raise DataError(f'{self.path}: nobody is left: {text}')
            say(f'left out {crowds:,} crowd annotations of {self.path}: {text}')
        return people


def read_coco(path: str | Path, keep_faulty: bool = False) -> CocoFile:
    """Read and check an annotation file.

    Args:
        path: The file.
        keep_faulty: Note what is wrong with single annotations in ``errors``, instead of raising it.

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
        found = f'the keys {sorted(content)}'[:100] if isinstance(content, dict) else f'a {type(content).__name__}'
        raise DataError(
            f'{path} is not in COCO format, which has the lists "images" and "annotations"; found {found}. Export the '
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
    """Return what is wrong with an annotation; empty if it is valid."""
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
    found: dict[str, int | str] = {}
    for category in categories if isinstance(categories, list) else []:
        name = category.get('name') if isinstance(category, dict) else None
        if not isinstance(name, str) or not _is_id(category.get('id')):
            raise DataError(f'{path}, categories: {str(category)[:60]!r} is no object with a name and an id')
        if found.setdefault(name, category['id']) != category['id']:
            raise DataError(
                f'{path}, categories: {name!r} comes twice, with the ids {found[name]} and {category["id"]}'
            )
    return found


def _by_id(path: Path, kind: str, entries: list, required: tuple[str, ...]) -> dict[int | str, dict]:
    found: dict[int | str, dict] = {}
    for number, entry in enumerate(entries):
        place = f'{path}, {kind}[{number}]'
        if not isinstance(entry, dict):
            raise DataError(f'{place}: {str(entry)[:60]!r} is no object with the fields {", ".join(required)}')
        for name in required:
            if entry.get(name) is None:
                raise DataError(f'{place}: the field {name!r} is missing (id {entry.get("id")!r})')
        if not _is_id(entry['id']):
            raise DataError(f'{place}: id {repr(entry["id"])[:60]} is neither a whole number nor text')
        if entry['id'] in found:
            raise DataError(f'{place}: id {repr(entry["id"])[:60]} comes twice in {kind}; every entry needs its own')
        if not isinstance(entry.get('file_name', ''), str):
            raise DataError(f'{place}: file_name {repr(entry["file_name"])[:60]} is no text')
        found[entry['id']] = entry
    return found


def frame_size(path: str, image: dict, place: str) -> tuple[int, int]:
    """Read height and width of a frame from its file header and compare them with the annotation file.

    Both are of the picture turned upright as its EXIF data says, as viewers show it and annotation tools draw boxes.

    Args:
        path: Path of the frame.
        image: Entry of the frame in the annotation file; ``height`` and ``width`` may be missing.
        place: Place to name in errors.

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


# ImageNet's mean colour, which preprocessing makes nearly 0: BGR.
BACKGROUND = (104, 116, 124)


def compressed_mask(segmentation: list | dict | None, frame_size: tuple[int, int], place: str) -> dict:
    """Convert a COCO segmentation to compressed RLE.

    Args:
        segmentation: A list of polygons ``[[x1, y1, x2, y2, ...], ...]``, whose union counts, or run lengths
            ``dict(size=[height, width], counts=...)``, uncompressed (numbers) or compressed (text).
        frame_size: Height and width of the frame.
        place: File and annotation, for the error's text.

    Returns:
        Compressed run lengths, as ``pycocotools.mask`` takes them.

    Raises:
        DataError: None of these, of another size than the frame, or without a pixel.
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
        # Runs beyond the frame are found when the crop is read: only decoding finds them, pixel by pixel.
        return dict(size=size, counts=counts.encode())
    if isinstance(counts, list) and all(type(n) is int and n >= 0 for n in counts) and sum(counts) == height * width:
        return coco_mask.frPyObjects(segmentation, height, width)
    raise DataError(f'{place}: the run lengths of the segmentation do not add up to its size {size}; draw it again')


def without_background(crop: np.ndarray, rle: dict, path: str) -> np.ndarray:
    """Paint everything but the person in ImageNet's mean color.

    Args:
        crop: ``(height, width, 3)`` uint8, BGR.
        rle: From :func:`compressed_mask`, of the whole frame.
        path: Region of the crop, as :func:`region_path` returns it.

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
