"""People in COCO files to extract features of: boxes in whole frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mmosnet.errors import DataError
from mmosnet.features.listing_options import ListingOptions
from mmosnet.features.person_box import InputBoxes
from mmosnet.features.person_list import ListedPerson
from mmosnet.io.coco import COCO_FIELDS, CocoFile, read_coco
from mmosnet.io.media import LOGGER
from mmosnet.io.tables import identity, image_inside, seconds

# Groups that are named.
MOST_NAMED = 5


def people_in_coco(path: str, camid: int, options: ListingOptions, left_out: Counter[str]) -> Iterator[ListedPerson]:
    """Read annotations like those of :class:`~mmosnet.datasets.CocoPerson`; only boxes are required.

    Identity and camera are fields of the annotation or of its ``attributes``, camera, ``time`` and ``split`` also of
    the image. Groups (``iscrowd``) are left out.

    Args:
        path: The file.
        camid: Camera of the people whose records name none.
        options: The rest.
        left_out: Counts the annotations that are groups or not asked for.

    Raises:
        FileNotFoundError: No such file.
        DataError: Names file, annotation, value and what it should be.
    """
    coco = read_coco(path, keep_faulty=True)
    if options.category is not None and options.category not in coco.category_ids:
        names = ', '.join(sorted(coco.category_ids))
        raise DataError(f'{path}: no category {options.category!r}; the file has {names or "none"}')
    _check_named_fields(coco, options)
    wanted = coco.category_ids.get(options.category)
    boxes = InputBoxes(path, options.margin)
    crowds = []
    for annotation in coco.annotations:
        if options.category is not None and annotation.get('category_id') != wanted:
            left_out[f'annotations in {path} of other categories than {options.category}'] += 1
        elif annotation['id'] not in coco.errors and annotation.get('iscrowd'):
            crowds.append(annotation['id'])
        else:
            person = _person(coco, annotation, camid, options, boxes)
            if person is None:
                left_out[f'annotations in {path} of other splits than {options.split}'] += 1
            else:
                yield person
    boxes.finish()
    if crowds:
        named = ', '.join(map(str, crowds[:MOST_NAMED])) + ' ...' * (len(crowds) > MOST_NAMED)
        left_out[f'groups in {path}, which have iscrowd 1 (annotation {named}); for a single person write 0'] += len(
            crowds
        )


def _check_named_fields(coco: CocoFile, options: ListingOptions) -> None:
    """Refuse a field name given by the user that no annotation has; warn for a default one."""
    for option, place in (('id_key', ()), ('camera_key', coco.images.values())):
        key = getattr(options, option)
        entries = [*coco.annotations, *(a.get('attributes') for a in coco.annotations), *place]
        held = {name for entry in entries if isinstance(entry, dict) for name in entry}
        others = ', '.join(sorted(held - {*COCO_FIELDS, 'file_name', 'height', 'width'}))
        if key in held:
            continue
        name = f'--{option.replace("_", "-")}'
        if key != getattr(ListingOptions, option):
            raise DataError(f'{coco.path}: {name} {key}: no annotation has this field; there are {others or "none"}')
        if others:
            LOGGER.warning(f'{coco.path}: no annotation has the field {key}; {name} may name another: {others}')


def _person(
    coco: CocoFile, annotation: dict, camid: int, options: ListingOptions, boxes: InputBoxes
) -> ListedPerson | None:
    """Return the person in the box; None where it belongs to another split."""
    place, path = coco.place(annotation), coco.path
    try:
        if annotation['id'] in coco.errors:
            raise DataError(coco.errors[annotation['id']])
        image = coco.images[annotation['image_id']]
        own = annotation.get('attributes') or {}
        if not isinstance(own, dict):
            raise DataError(f'{place}: attributes {str(own)[:60]!r} are no object')
        if options.split is not None and _field('split', (annotation, own, image), place) != options.split:
            return None
        path = image_inside(Path(options.root or Path(coco.path).parent), image['file_name'], place)
        camera = identity(_field(options.camera_key, (annotation, own, image), place), f'{place}: {options.camera_key}')
        time = _field('time', (annotation, own, image), place)
        person = ListedPerson(
            path,
            identity(_field(options.id_key, (annotation, own), place), f'{place}: {options.id_key}'),
            camid if camera == -1 else camera,
            seconds(time, f'{place}: time') if time else float('nan'),
            place=place,
        )
        return boxes.person(person, annotation['bbox'], place, image)
    except DataError as e:
        return ListedPerson(path, camid=camid, error=options.reason(e), place=place)


def _field(key: str, holders: tuple[dict, ...], place: str) -> str:
    """Return the value of a field as text, from the first of several objects that has it; empty if none has."""
    value = next((holder[key] for holder in holders if holder.get(key) is not None), '')
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise DataError(f'{place}: the field {key!r} is {str(value)[:60]!r}, not a number or a name')
    return str(value).strip()
