"""People in a table to extract features of: one CSV file with a row for each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mmosnet.errors import DataError
from mmosnet.features.listing_options import ListingOptions
from mmosnet.features.person_box import InputBoxes
from mmosnet.features.person_list import ListedPerson
from mmosnet.io.media import LOGGER
from mmosnet.io.tables import TableRow, camera_number, identity, read_table, seconds

BOX = ('x', 'y', 'w', 'h')
COLUMNS = ('path', 'pid', 'camid', 'time', 'split', *BOX)


def people_in_table(path: str, camid: int, options: ListingOptions, left_out: Counter[str]) -> Iterator[ListedPerson]:
    """Read a table like that of :class:`~mmosnet.datasets.ReIDTable`; only ``path`` is required.

    Further columns: ``pid``, a number or a name, and ``camid``, both empty or -1 where unknown; ``time`` in seconds or
    as a date; ``x,y,w,h``, a box in the image; ``split``. A warning names others, which are not read.

    Args:
        path: The table.
        camid: Camera of the people whose records name none.
        options: The rest.
        left_out: Counts the rows that are not asked for.

    Raises:
        FileNotFoundError: No such table.
        DataError: Names the row, the value and what it should be.
    """
    folder = options.root or str(Path(path).parent)
    columns, rows = read_table(path, ('path',), (), folder, 'mmosnet extract', BOX, keep_faulty=True)
    found = [name for name in BOX if name in columns]
    if found and len(found) < len(BOX):
        raise DataError(f'{path}: the columns {", ".join(found)} alone are no box: give all of {",".join(BOX)}')
    others = [column for column in columns if column not in COLUMNS]
    if others:
        LOGGER.warning(f'{path}: the columns {", ".join(others)} are not read; those that are: {", ".join(COLUMNS)}')
    if options.split is not None:
        if 'split' not in columns:
            raise DataError(f'{path}: no column split, of which --split {options.split} could choose')
        number = len(rows)
        rows = [row for row in rows if row.error or row.cells['split'] == options.split]
        if len(rows) < number:
            left_out[f'rows of {path} of other splits than {options.split}'] += number - len(rows)
    boxes = InputBoxes(path, options.margin)
    for row in rows:
        try:
            yield _person(row, camid, boxes)
        except DataError as e:
            yield ListedPerson(row.img_path or path, camid=camid, error=options.reason(e), place=row.place)
    boxes.finish()


def _person(row: TableRow, camid: int, boxes: InputBoxes) -> ListedPerson:
    if row.error:
        raise DataError(row.error)
    cells = row.cells
    camera = camera_number(cells.get('camid', ''), row.place)
    person = ListedPerson(
        row.img_path,
        identity(cells.get('pid', ''), f'{row.place}: pid'),
        camid if camera == -1 else camera,
        seconds(cells['time'], f'{row.place}: time') if cells.get('time') else float('nan'),
        place=row.place,
    )
    box = [cells.get(name, '') for name in BOX]
    if not any(box):
        return person
    try:
        numbers = [float(text) for text in box]
        if not all(map(math.isfinite, numbers)):
            raise ValueError('not finite')
    except ValueError as e:
        raise DataError(f'{row.place}: the box {",".join(box)[:100]} is not left, top, width, height in pixels') from e
    return boxes.person(person, numbers, row.place)
