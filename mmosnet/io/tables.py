"""Read CSV tables and the values in their cells: paths of images, names, numbers and points in time."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import string
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath, PureWindowsPath

from mmosnet.errors import DataError
from mmosnet.io.media import same_name

SEPARATORS = (',', ';', '\t', '|')
SEPARATOR_ROW = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
# Removed around cells; includes blanks that do not break and marks without width, which are invisible.
BLANKS = string.whitespace + '\xa0\u2007\u202f\u3000\ufeff\u200b'
# Spreadsheets and pandas add a decimal point to numbers of a column that has empty cells.
LABELS = {'0': 0, '1': 1, '0.0': 0, '1.0': 1}
NUMBER = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?', re.ASCII)
# Digits before the point, and what follows them.
DIGITS = re.compile(r'[+-]?(\d+)(\.\d*)?([eE][+-]?\d+)?', re.ASCII)
# A spreadsheet's number in many languages; 1,000 may also be a thousand.
DECIMAL_COMMA = re.compile(r'[+-]?\d+,\d*', re.ASCII)

UNKNOWN = ('', '-1', '-1.0')
# What programs write for an empty cell, or for a number that is none; a person may be called Nan.
NO_NAME = re.compile(r'nan|NaN|NAN|null|NULL|None|<NA>|#N/A|N/A|[+-]?(inf|Infinity)')
# Largest camera number: nine digits fit into every integer type.
MAX_DIGITS = 9
# Groups of similar names that a message lists.
MOST_NAMED = 5

# 20260501 and 20260501120000, which are numbers too.
BARE_DATE = re.compile(r'(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(\d{6})?', re.ASCII)
# 2100-01-01; anything later is in another unit, or no time.
LAST = 4_102_444_800.0
# 2001-09-09. A number in a smaller unit is recognized if it would be a time between this date and the last one.
RECENT = 1e9
UNITS = dict(milliseconds=1e3, microseconds=1e6, nanoseconds=1e9)
FORM = 'give seconds, since 1970 or since the start, or a date like 2026-05-01T12:00:00+02:00'


def image_inside(folder: Path, name: str, place: str) -> str:
    """Return the path, as spelled on disk, of an image that an annotation names; it must be inside a folder.

    Args:
        folder: Folder that the annotation's paths are relative to.
        name: The path in the annotation, with forward or backward slashes.
        place: File and row, for error messages.

    Raises:
        DataError: The path is absolute, leaves the folder or has a character 0.
    """
    path = PurePosixPath(name.replace('\\', '/'))
    if '\0' in name:
        raise DataError(f'{place}: the path {name!r} has a character 0, which no file name has')
    if path.is_absolute() or '..' in path.parts or PureWindowsPath(name).drive:
        raise DataError(f'{place}: the path {name!r} leaves {folder}; paths must stay inside it')
    joined = str(folder / path)
    if not name.isascii() and not os.path.exists(joined):
        # Systems spell letters with accents differently, and to file systems the spellings are different names.
        for form in ('NFC', 'NFD'):
            spelled = str(folder / unicodedata.normalize(form, str(path)))
            if os.path.exists(spelled):
                return spelled
    return joined


def seconds(text: str, place: str) -> float:
    """Parse a number of seconds, or a date as seconds since 1970.

    Args:
        text: ``12.5``, or a date and time like ``2026-05-01T12:00:00+02:00``; without zone, UTC.
        place: Place to name in errors.

    Returns:
        From 0 to the end of the year 2099.

    Raises:
        DataError: The text is neither, or a time before 1970 or after 2099; names the unit that a number seems to have.
    """
    if NUMBER.fullmatch(text):
        if BARE_DATE.fullmatch(text):
            raise DataError(f'{place} {text!r} looks like a date: write it with hyphens, {_hyphenated(text)}')
        value = float(text)
    else:
        value = _date_seconds(text, place)
    check_seconds(value, f'{place} {text!r}')
    return value


def check_seconds(value: float, name: str) -> None:
    """Refuse a value that is no time from 1970 to 2099.

    Args:
        value: Seconds; NaN, an unknown time, passes.
        name: Place and value, for error messages.

    Raises:
        DataError: It is none; names the unit that the number seems to have.
    """
    if value < 0:
        raise DataError(f'{name} is before 1970: {FORM}')
    if value >= LAST:
        unit = next((name for name, parts in UNITS.items() if RECENT <= value / parts <= LAST), None)
        hint = f'these look like {unit}: {FORM}' if unit else FORM
        raise DataError(f'{name} is after the year 2099; {hint}')


def _date_seconds(text: str, place: str) -> float:
    try:
        # Python 3.10 reads no Z, and only 3 or 6 digits of a second.
        digits = re.sub(r'\.(\d{1,6})\d*', lambda match: '.' + match[1].ljust(6, '0'), text)
        date = datetime.fromisoformat(digits.removesuffix('Z') + '+00:00' * digits.endswith('Z'))
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError) as e:
        raise DataError(f'{place} {text!r} is neither seconds nor a date like 2026-05-01T12:00:00+02:00') from e


def _hyphenated(text: str) -> str:
    date = f'{text[:4]}-{text[4:6]}-{text[6:8]}'
    return f'{date}T{text[8:10]}:{text[10:12]}:{text[12:]}' if len(text) > 8 else date


@dataclass(frozen=True)
class TableRow:
    """One row of a table: an image.

    Attributes:
        place: File and row, for error messages.
        number: Line number of the row, counted from 1.
        cells: Text of each column.
        img_path: Path of the image, which may be missing.
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

    Cells are separated by commas, semicolons, tabs or ``|``: the first row decides, or a row ``sep=;`` above it, which
    some spreadsheets write. The text is UTF-8, or UTF-16 with a byte order mark. Blanks around cells are removed.

    Args:
        path: The CSV file.
        required: Columns that must exist and be filled, ``path`` among them.
        splits: Allowed values of ``split``, which is then a required column; empty for a table without splits.
        folder: Folder that the paths are relative to.
        owner: Name of the data set, for error messages.
        box: Columns that distinguish people in one image; by default an image has one row.
        keep_faulty: Keep rows that cannot be used, with their error, instead of raising it.

    Returns:
        All columns in the file's order, and the rows that are not empty.

    Raises:
        FileNotFoundError: No such table.
        DataError: The file or a row cannot be used; names the row, the value and the remedy.
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
    """Return the labels of a row, 0 or 1 in each column; None if all columns are empty.

    Raises:
        DataError: A cell is neither 0 nor 1, or only some cells are empty.
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


def read_text(path: Path) -> str:
    """Read the text of a CSV file in UTF-8, or in UTF-16 with a byte order mark.

    Raises:
        DataError: It is in another encoding, has a character 0, or is a spreadsheet program's own file.
    """
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
    return text


def _read_lines(name: str, owner: str, required: Sequence[str]) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, each with its line number."""
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(
            f'{owner}: no table {path}; set data_root to its folder and ann_file to its name '
            '(--cfg-options for train_dataloader.dataset, val_dataloader.dataset and test_dataloader.dataset)'
        )
    lines = list(io.StringIO(read_text(path), newline=''))
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


def identity(text: str, place: str) -> str | int:
    """Normalize a pid or camera from a file: a name, or a number to which a program may have added a decimal point.

    Returns:
        The name in Unicode form NFC, ``'12'`` for ``'12.0'``; -1 where it is unknown.

    Raises:
        DataError: A number that is no identity, or a text that programs write for a missing value.
    """
    if text in UNKNOWN:
        return -1
    match = DIGITS.fullmatch(text)
    if NO_NAME.fullmatch(text):
        raise DataError(f'{place} is {text!r}, no identity: leave it empty, or -1, where it is unknown')
    if DECIMAL_COMMA.fullmatch(text):
        raise DataError(f'{place} is {text[:60]!r}: write whole numbers without a comma')
    if match is None:
        return same_name(text)
    whole = int(match[1]) if len(match[1]) < 20 else 2**63
    if text[0] in '+-' or match[3] or (match[2] or '').strip('.0') or whole >= 2**63:
        raise DataError(f'{place} is {text[:60]!r}: identities are names or whole numbers from 0 to 2**63 - 1')
    # Leading zeros stay: 007 and 7 may be two people.
    return match[1]


def camera_number(text: str, place: str) -> int:
    """Parse a camera number from a table cell, to which a spreadsheet may have added a decimal point.

    Returns:
        The number; -1 where it is unknown.

    Raises:
        DataError: The text is no whole number from 0 up, or has more than nine digits.
    """
    if text in UNKNOWN:
        return -1
    match = DIGITS.fullmatch(text)
    if match is None or not text[0].isdigit() or (match[2] or '').strip('.0') or match[3]:
        raise DataError(f'{place}: camid {text[:60]!r} is not a whole number from 0 up')
    if len(match[1].lstrip('0')) > MAX_DIGITS:
        raise DataError(f'{place}: camid {text[:60]!r} is too large: cameras have numbers below 1,000,000,000')
    return int(match[1])


def number_in_name(text: str, what: str, path: str, first: int = 0) -> int:
    """Parse a pid or camera from a file name.

    Args:
        text: Digits, with or without a sign.
        what: ``'pid'`` or ``'camera'``.
        path: The file, for error messages.
        first: The lowest valid number.

    Raises:
        DataError: The number is lower, or has more than nine digits; names the file.
    """
    number = int(text) if len(text) <= 2 * MAX_DIGITS else 10**MAX_DIGITS
    if not first <= number < 10**MAX_DIGITS:
        raise DataError(f'{path}: the name states {what} {text[:30]}, not one from {first} to 999,999,999; rename it')
    return number


def number_names(names: Iterable[str]) -> dict[str, int]:
    """Assign numbers to names.

    If all names are whole numbers and no two are equal, they keep their values. Otherwise the names are counted from 1
    in alphabetical order.
    """
    ordered = sorted(set(names))
    kept = {name: int(name) for name in ordered if name.isascii() and name.isdigit() and len(name) <= MAX_DIGITS}
    if len(set(kept.values())) == len(ordered):
        return kept
    return {name: number for number, name in enumerate(ordered, start=1)}


def alike_names(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of names that differ only in case, blanks or leading zeros."""
    groups = defaultdict(set)
    for name in names:
        key = ' '.join(name.split()).casefold()
        groups[(key.lstrip('0') or '0') if key.isdigit() else key].add(name)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def alike_text(names: Iterable[str]) -> str:
    """Return a warning that lists the groups of :func:`alike_names`; empty if there are none."""
    alike = alike_names(names)
    if not alike:
        return ''
    listed = '; '.join(', '.join(map(repr, group)) for group in alike[:MOST_NAMED])
    more = f' and {len(alike) - MOST_NAMED} more' if len(alike) > MOST_NAMED else ''
    return (
        'names that differ in capitals, blanks or zeros in front alone are different people: '
        f'{listed}{more}. If they are not, rename them'
    )
