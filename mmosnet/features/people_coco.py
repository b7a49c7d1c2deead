"""People in COCO files to extract features of: boxes in whole frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmosnet.datasets.coco_file import COCO_FIELDS, CocoFile, read_coco
from mmosnet.datasets.listed_image import image_inside
from mmosnet.errors import DataError
from mmosnet.features.listing_options import ListingOptions
from mmosnet.features.person_box import ImageSizes, boxed_person
from mmosnet.features.person_list import ListedPerson
from mmosnet.features.seconds import seconds


def people_in_coco(path: str, camid: int, options: ListingOptions) -> Iterator[ListedPerson]:
    """Read annotations like those of :class:`~mmosnet.datasets.CocoPerson`, of which only the boxes must be there.

    Identity and camera are fields of the annotation or of its ``attributes``, camera, ``time`` and ``split`` also of
    the image. Groups (``iscrowd``) are left out.

    Raises:
        FileNotFoundError: No such file.
        DataError: Names file, annotation, value and what it should be.
    """
    coco = read_coco(path)
    if options.category is not None and options.category not in coco.category_ids:
        names = ', '.join(sorted(coco.category_ids))
        raise DataError(f'{path}: no category {options.category!r}; the file has {names or "none"}')
    _check_named_fields(coco, options)
    wanted = coco.category_ids.get(options.category)
    sizes = ImageSizes()
    for annotation in coco.annotations:
        if not annotation.get('iscrowd') and (options.category is None or annotation.get('category_id') == wanted):
            person = _person(coco, annotation, camid, options)
            if person is not None:
                image = coco.images[annotation['image_id']]
                yield boxed_person(person, annotation['bbox'], sizes, coco.place(annotation), options, image)


def _check_named_fields(coco: CocoFile, options: ListingOptions) -> None:
    """Refuse a field that was named and that nothing has: everybody would be unknown."""
    for option, place in (('id_key', ()), ('camera_key', coco.images.values())):
        key = getattr(options, option)
        entries = [*coco.annotations, *(a.get('attributes') for a in coco.annotations), *place]
        held = {name for entry in entries if isinstance(entry, dict) for name in entry}
        if key != getattr(ListingOptions, option) and key not in held:
            others = ', '.join(sorted(held - {*COCO_FIELDS, 'file_name', 'height', 'width'})) or 'none'
            raise DataError(
                f'{coco.path}: --{option.replace("_", "-")} {key}: no annotation has this field; there are {others}'
            )


def _person(coco: CocoFile, annotation: dict, camid: int, options: ListingOptions) -> ListedPerson | None:
    """The person with the whole frame; None where it belongs to another split."""
    place, image = coco.place(annotation), coco.images[annotation['image_id']]
    own = annotation.get('attributes') or {}
    if not isinstance(own, dict):
        raise DataError(f'{place}: attributes {str(own)[:60]!r} are no object')
    if options.split is not None and _field('split', (annotation, own, image), place) != options.split:
        return None
    root = Path(options.root or Path(coco.path).parent)
    pid = _field(options.id_key, (annotation, own), place)
    camera = _field(options.camera_key, (annotation, own, image), place)
    time = _field('time', (annotation, own, image), place)
    return ListedPerson(
        image_inside(root, image['file_name'], place),
        -1 if pid in ('', '-1') else pid,
        camid if camera in ('', '-1') else camera,
        seconds(time, f'{place}: time') if time else float('nan'),
    )


def _field(key: str, holders: tuple[dict, ...], place: str) -> str:
    """The value of a field, as text, from the first of several objects that has it; empty if none has."""
    value = next((holder[key] for holder in holders if holder.get(key) is not None), '')
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise DataError(f'{place}: the field {key!r} is {str(value)[:60]!r}, not a number or a name')
    return str(value).strip()
