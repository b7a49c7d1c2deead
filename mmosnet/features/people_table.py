"""People in a table to extract features of: one CSV file with a row for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmosnet.datasets.csv_table import TableRow, read_table
from mmosnet.errors import DataError
from mmosnet.features.listing_options import ListingOptions
from mmosnet.features.person_box import ImageSizes, boxed_person
from mmosnet.features.person_list import ListedPerson
from mmosnet.features.seconds import seconds

BOX = ('x', 'y', 'w', 'h')
UNKNOWN = ('', '-1')


def people_in_table(path: str, camid: int, options: ListingOptions) -> Iterator[ListedPerson]:
    """Read a table like that of :class:`~mmosnet.datasets.ReIDTable`, of which only ``path`` must be there.

    Further columns: ``pid``, a number or a name, and ``camid``, both empty or -1 where unknown; ``time`` in seconds or
    as a date; ``x,y,w,h``, a box in the image; ``split``. Others are passed over.

    Raises:
        FileNotFoundError: No such table.
        DataError: Names the row, the value and what it should be.
    """
    columns, rows = read_table(path, ('path',), (), options.root or str(Path(path).parent), 'tools/extract.py', BOX)
    found = [name for name in BOX if name in columns]
    if found and len(found) < len(BOX):
        raise DataError(f'{path}: the columns {", ".join(found)} alone are no box: give all of {",".join(BOX)}')
    if options.split is not None:
        if 'split' not in columns:
            raise DataError(f'{path}: no column split, of which --split {options.split} could choose')
        rows = [row for row in rows if row.cells['split'] == options.split]
    sizes = ImageSizes()
    for row in rows:
        yield _person(row, camid, options, sizes)


def _person(row: TableRow, camid: int, options: ListingOptions, sizes: ImageSizes) -> ListedPerson:
    cells = row.cells
    camera = cells.get('camid', '')
    if camera not in UNKNOWN and not (camera.isascii() and camera.isdigit() and len(camera) < 10):
        raise DataError(f'{row.place}: camid {camera!r} is not a whole number from 0 up')
    person = ListedPerson(
        row.img_path,
        -1 if cells.get('pid', '') in UNKNOWN else cells['pid'],
        camid if camera in UNKNOWN else int(camera),
        seconds(cells['time'], f'{row.place}: time') if cells.get('time') else float('nan'),
    )
    box = [cells.get(name, '') for name in BOX]
    if not any(box):
        return person
    try:
        numbers = [float(text) for text in box]
    except ValueError as e:
        raise DataError(f'{row.place}: the box {",".join(box)} is not left, top, width, height in pixels') from e
    return boxed_person(person, numbers, sizes, row.place, options)
