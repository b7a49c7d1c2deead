"""The user's own images in a table: a CSV file with a row for each image."""

from __future__ import annotations

import codecs
import csv
import io
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmosnet.datasets.listed_image import image_inside
from mmosnet.errors import DataError
from mmosnet.runtime.media_files import same_name

SEPARATORS = (',', ';', '\t', '|')
SEPARATOR_ROW = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
# Around cells: also blanks that do not break, and marks without width, which nobody sees.
BLANKS = string.whitespace + '\xa0\u2007\u202f\u3000\ufeff\u200b'
# Numbers get a decimal point from spreadsheets and pandas, where other cells of the column are empty.
LABELS = {'0': 0, '1': 1, '0.0': 0, '1.0': 1}


@dataclass(frozen=True)
class TableRow:
    """An image.

    Attributes:
        place: File and row, for the texts of errors.
        number: Line number of the row, as an editor counts.
        cells: Text of each column.
        img_path: The image, which need not be there.
        error: Why the row cannot be used; empty if it can.
    """

    place: str
    number: int
    cells: dict[str, str]
    img_path: str
    error: str = ''


def read_table(
    path: str,
    required: Sequence[str],
    splits: Sequence[str],
    folder: str,
    owner: str,
    box: Sequence[str] = (),
    keep_faulty: bool = False,
) -> tuple[list[str], list[TableRow]]:
    """Read a table whose first row names the columns, in any order.

    Cells are separated by commas, semicolons, tabs or ``|``, whichever the first row shows, or a row ``sep=;`` above it
    says, as spreadsheets write. Text is UTF-8, or UTF-16 with a byte order mark. Blanks around cells do not count.

    Args:
        path: The CSV file.
        required: Columns that must be there and filled, ``path`` among them.
        splits: What ``split`` may be, which is then among them too; empty for a table without splits.
        folder: Folder that the paths are relative to.
        owner: Data set, for the texts of errors.
        box: Columns that tell people in one image apart; without them an image has one row.
        keep_faulty: Give rows that cannot be used an error, instead of raising it.

    Returns:
        All columns in the file's order, and the rows that are not empty.

    Raises:
        FileNotFoundError: No such table.
        DataError: Names the row, the value and what it should be.
    """
    lines = _read_lines(path, owner, required)
    columns = [same_name(cell) for cell in lines[0][1]] if lines else []
    _check_columns(columns, required, path)
    rows, seen = [], {}
    for number, cells in lines[1:]:
        place = f'{path}, row {number}'
        try:
            row = _read_row(columns, cells, required, splits, place)
            img_path = image_inside(Path(folder), row['path'], place)
            key = (img_path, *(row.get(column) for column in box))
            if key in seen:
                raise DataError(f'{place}: path {row["path"]!r} is in row {seen[key]} already; an image has one row')
        except DataError as e:
            if not keep_faulty:
                raise
            rows.append(TableRow(place, number, {}, '', str(e)))
            continue
        seen[key] = number
        rows.append(TableRow(place, number, row, img_path))
    return columns, rows


def _read_row(
    columns: list[str], cells: list[str], required: Sequence[str], splits: Sequence[str], place: str
) -> dict[str, str]:
    if len(cells) != len(columns):
        raise DataError(f'{place}: {len(cells)} cells, but the first row names {len(columns)} columns')
    row = dict(zip(columns, cells, strict=True))
    for column in required:
        if not row[column]:
            raise DataError(f'{place}: the cell {column} is empty')
    if splits and row['split'] not in splits:
        raise DataError(f'{place}: split {row["split"]!r}; choose from {", ".join(splits)}')
    return row


def binary_labels(row: TableRow, columns: Sequence[str]) -> list[int] | None:
    """Return the labels of a row, 0 or 1 in each column; None where all columns are empty.

    Raises:
        DataError: Something else, or only some are empty.
    """
    filled = [column for column in columns if row.cells[column]]
    if not filled:
        return None
    for column in columns:
        if column not in filled:
            raise DataError(f'{row.place}: {column} is empty but {filled[0]} is not; fill all of {", ".join(columns)}')
        if row.cells[column] not in LABELS:
            raise DataError(f'{row.place}: {column} is {row.cells[column]!r}, neither 0 nor 1')
    return [LABELS[row.cells[column]] for column in columns]


def _read_lines(name: str, owner: str, required: Sequence[str]) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, each with its line number."""
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(
            f'{owner}: no table {path}; set data_root to its folder and ann_file to its name '
            '(--cfg-options for train_dataloader.dataset, val_dataloader.dataset and test_dataloader.dataset)'
        )
    data = path.read_bytes()
    if data.startswith(b'PK\x03\x04') or data.startswith(b'\xd0\xcf\x11\xe0'):
        raise DataError(f'{path} is a spreadsheet\'s own file and no text; save it as "CSV UTF-8"')
    # Spreadsheets put a byte order mark in front.
    encoding = 'utf-16' if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else 'utf-8-sig'
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as e:
        row = data.count(b'\n', 0, e.start) + 1
        raise DataError(f'{path} is not UTF-8 text (row {row}: {e}); save it as "CSV UTF-8"') from e
    if '\0' in text:
        row = text.count('\n', 0, text.index('\0')) + 1
        raise DataError(f'{path}, row {row}: a character 0, which no text has; save the table as "CSV UTF-8"')
    lines = list(io.StringIO(text, newline=''))
    named = SEPARATOR_ROW.fullmatch(lines[0].rstrip('\r\n')) if lines else None
    start = int(named is not None)
    separators = [named[1]] if named else SEPARATORS
    for separator in separators:
        rows, error = _split(lines, start, separator, 2)
        header = [cells for _, cells in rows]
        if not error and header and set(required) <= set(header[0]) and len({len(cells) for cells in header}) == 1:
            break
    else:
        separator = separators[0]
    rows, error = _split(lines, start, separator)
    if error:
        raise DataError(f'{path}, {error}')
    return rows


def _split(
    lines: list[str], start: int, separator: str, number: int | None = None
) -> tuple[list[tuple[int, list[str]]], str]:
    """Split lines into cells and strip the blanks around them.

    Returns:
        The first ``number`` rows that are not empty, each with the number of its last line; and row and error where the
        text is no CSV, else nothing.
    """
    rows, last = [], start
    reader = csv.reader(lines[start:], strict=True, delimiter=separator)
    try:
        for cells in reader:
            last = start + reader.line_num
            stripped = [cell.strip(BLANKS) for cell in cells]
            if any(stripped):
                rows.append((last, stripped))
            if len(rows) == number:
                break
    except csv.Error as e:
        return rows, f'row {last + 1}: not CSV ({e}); is a quotation mark not closed?'
    return rows, ''


def _check_columns(columns: list[str], required: Sequence[str], path: str) -> None:
    missing = [column for column in required if column not in columns]
    if missing:
        raise DataError(
            f'{path}: no column {", ".join(missing)}; the first row must name the columns {",".join(required)}, '
            f'separated by commas, semicolons or tabs, and is {str(columns)[:100]}'
        )
    seen = set()
    for column in columns:
        if not column or column in seen:
            raise DataError(f'{path}, row 1: column name {column!r} is empty or comes twice: {str(columns)[:200]}')
        seen.add(column)
