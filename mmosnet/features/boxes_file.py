"""Boxes of people in the frames of a video: a file with a row for each, as detectors and trackers write them."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from typing import NamedTuple

from mmosnet.errors import DataError
from mmosnet.runtime.media_files import LOGGER

COLUMNS = ('frame', 'x', 'y', 'w', 'h')
OPTIONAL = ('track', 'score')
# Columns of the MOTChallenge's files: no first row names them, and frames count from 1.
MOT_COLUMNS = ('frame', 'track', 'x', 'y', 'w', 'h', 'score')
NUMBER = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?', re.ASCII)
WHOLE = re.compile(r'[+-]?\d{1,19}', re.ASCII)
DECIMAL_COMMA = re.compile(r'[+-]?\d+,\d+', re.ASCII)
# Frame and track are int64 in what is written.
LARGEST = 2**63 - 1
FORMS = (
    'give rows with the names frame,x,y,w,h[,track][,score] first, or rows of the MOTChallenge, frame,id,x,y,w,h,score'
)


class FrameBox(NamedTuple):
    """A person in a frame.

    Attributes:
        frame: From 0; -1 where it is not known, of a row with an error.
        box: Left, top, width and height in pixels, fractions allowed.
        track: Number of the person's track; -1 where unknown.
        score: Score of the detector; NaN where unknown.
        place: File and row, for errors.
        number: Number of the frame as in the file.
        error: Why the row cannot be used; empty if it can.
    """

    frame: int
    box: list[float]
    track: int
    score: float
    place: str
    number: int = -1
    error: str = ''


def read_boxes(path: str | Path, first_frame: int | None = None, keep_faulty: bool = False) -> list[FrameBox]:
    """Read boxes, sorted by frame; within a frame in the file's order, rows with an error last.

    Cells are separated by commas, semicolons, tabs or spaces; rows that begin with ``#`` are comments.

    Args:
        path: A file whose first row names the columns ``frame,x,y,w,h`` and optionally ``track`` and ``score``; or a
            file like ``det.txt`` and ``gt.txt`` of the MOTChallenge, which most trackers write: rows
            ``frame,track,x,y,w,h,score,...`` without names.
        first_frame: Number of the first frame. By default 0 where the columns have names, and 1, as in the
            MOTChallenge, where they have none.
        keep_faulty: Give rows that cannot be used an error, instead of raising it.

    Raises:
        FileNotFoundError: No such file.
        DataError: Names the row, the value and what it should be.
    """
    lines = _read_lines(Path(path))
    separator = _separator(lines[0][1])
    place = f'{path}, row {lines[0][0]}'
    columns = [cell.lstrip('#').strip() for cell in _cells(lines[0][1], separator, place)]
    has_names = NUMBER.fullmatch(columns[0]) is None
    if has_names:
        _check_names(columns, path)
        others = [name for name in columns if name not in (*COLUMNS, *OPTIONAL)]
        if any(others):
            LOGGER.warning(f'{path}: the columns {", ".join(others)} are not read')
        del lines[0]
    else:
        _check_numbers(columns, place)
        columns = list(MOT_COLUMNS)
    lines = [(number, line) for number, line in lines if not line.startswith('#')]
    first = (0 if has_names else 1) if first_frame is None else first_frame
    rows = []
    for number, line in lines:
        place = f'{path}, row {number}'
        try:
            rows.append(_box(place, columns, _cells(line, separator, place), first, has_names))
        except DataError as e:
            if not keep_faulty:
                raise
            rows.append(FrameBox(-1, [], -1, math.nan, place, error=str(e)))
    return sorted(rows, key=lambda row: (bool(row.error), row.frame))


def _read_lines(path: Path) -> list[tuple[int, str]]:
    """Return the rows that are not empty, each with its number, after comments and the row of column names."""
    if not path.is_file():
        raise FileNotFoundError(f'no file of boxes {path}')
    try:
        # Spreadsheets put a byte order mark in front.
        with path.open(encoding='utf-8-sig') as file:
            lines = [(number, line.strip()) for number, line in enumerate(file, start=1)]
    except UnicodeDecodeError as e:
        raise DataError(f'{path} is no CSV in UTF-8 ({e}); save it as "CSV UTF-8"') from e
    lines = [(number, line) for number, line in lines if line]
    while lines and lines[0][1].startswith('#') and not set(COLUMNS) <= set(re.findall(r'\w+', lines[0][1])):
        del lines[0]
    if not lines:
        raise DataError(f'{path} is empty: it should have a row for each box')
    return lines


def _separator(line: str) -> str | None:
    """Return the text between cells; None for any number of spaces and tabs."""
    for mark in ';\t':
        if line.count(mark) >= len(COLUMNS) - 1 and f',{mark}' not in line:
            return mark
    return ',' if line.count(',') else None


def _cells(line: str, separator: str | None, place: str) -> list[str]:
    if separator is None:
        return line.split()
    try:
        (cells,) = csv.reader([line], delimiter=separator, strict=True, skipinitialspace=True)
    except csv.Error as e:
        raise DataError(f'{place}: not CSV ({e}); is a quotation mark not closed?') from e
    return [cell.strip() for cell in cells]


def _check_names(columns: list[str], path: str | Path) -> None:
    found = f'{path}: the first row is {",".join(columns)[:100]!r}'
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        hint = ': corners are no width and height' * bool({'x1', 'x2', 'xmin', 'xmax', 'right'} & set(columns))
        raise DataError(f'{found}: no column {", ".join(missing)}; the first row must name {",".join(COLUMNS)}{hint}')
    for name in (*COLUMNS, *OPTIONAL):
        if columns.count(name) > 1:
            raise DataError(f'{found}: the column {name} comes twice')


def _check_numbers(cells: list[str], place: str) -> None:
    """Tell formats without column names from the MOTChallenge format."""
    if len(cells) == 1:
        raise DataError(f'{place}: {cells[0][:100]!r} is a single number; {FORMS}')
    if len(cells) >= 15 and NUMBER.fullmatch(cells[2]) is None:
        raise DataError(
            f'{place}: a row with {cells[2]!r} and {len(cells)} cells looks like KITTI, which has corners: {FORMS}'
        )
    if len(cells) < 6:
        raise DataError(
            f'{place}: {len(cells)} numbers without names of columns, as {",".join(cells)[:100]!r}; {FORMS}'
        )


def _box(place: str, columns: list[str], cells: list[str], first: int, has_names: bool) -> FrameBox:
    if has_names and any(cells[len(columns) :]):
        raise DataError(f'{place}: {len(cells)} cells, but the first row names {len(columns)} columns')
    row = dict(zip(columns, cells, strict=False))
    frame = _whole('frame', row, place)
    # Trackers write -1, and no other number below 0, for people that they do not follow.
    track = _whole('track', row, place) if row.get('track') else -1
    box = [_number(name, row, place) for name in 'xywh']
    score = _number('score', row, place) if row.get('score') else math.nan
    if frame < first:
        remedy = f': if they count from {frame}, give --first-frame {frame}' * (0 <= frame < 2)
        raise DataError(f'{place}: frame {frame}; frames of such a file count from {first}{remedy}')
    if track < -1:
        raise DataError(f'{place}: track {track}; tracks count from 0, and -1 is a person of no track')
    return FrameBox(frame - first, box, track, score, place, frame)


def _number(name: str, row: dict[str, str], place: str) -> float:
    text = row.get(name, '')
    value = float(text) if NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        comma = ': write decimals with a point' * bool(DECIMAL_COMMA.fullmatch(text))
        raise DataError(f'{place}: {name} is {text[:60]!r}, no number{comma}')
    return value


def _whole(name: str, row: dict[str, str], place: str) -> int:
    text = row.get(name, '')
    if WHOLE.fullmatch(text):
        value = int(text)
    else:
        number = _number(name, row, place)
        # 3.0 is meant as 3; larger floating-point numbers do not tell neighbors apart.
        if number % 1 or abs(number) > 2**53:
            raise DataError(f'{place}: {name} is {text[:60]!r}, no whole number')
        value = int(number)
    if not -LARGEST <= value <= LARGEST:
        raise DataError(f'{place}: {name} is {text}, beyond the numbers of 64 bits')
    return value
