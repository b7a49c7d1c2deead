"""Boxes of people in the frames of a video: a CSV file, or one of the MOTChallenge."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import NamedTuple

from mmosnet.errors import DataError

COLUMNS = ('frame', 'x', 'y', 'w', 'h')
# Of the MOTChallenge: no first row with names, and frames from 1.
MOT_COLUMNS = ('frame', 'track', 'x', 'y', 'w', 'h', 'score')


class FrameBox(NamedTuple):
    """A person in a frame.

    Attributes:
        frame: From 0.
        box: Left, top, width and height in pixels, fractions allowed.
        track: Number of the person's track; -1 where unknown.
        score: Of the detector; NaN where unknown.
        place: File and row, for errors.
    """

    frame: int
    box: list[float]
    track: int
    score: float
    place: str


def read_boxes(path: str | Path) -> list[FrameBox]:
    """Read boxes, sorted by frame; in a frame in the file's order.

    Args:
        path: A CSV file whose first row names the columns ``frame,x,y,w,h`` and optionally ``track`` and ``score``,
            frames from 0; or a file like ``det.txt`` and ``gt.txt`` of the MOTChallenge: rows
            ``frame,track,x,y,w,h,score,...`` without names, frames from 1.

    Raises:
        FileNotFoundError: No such file.
        DataError: Names the row, the value and what it should be.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no file of boxes {path}')
    try:
        with path.open(encoding='utf-8-sig', newline='') as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except (UnicodeDecodeError, csv.Error) as e:
        raise DataError(f'{path} is no CSV in UTF-8 ({e})') from e
    if not rows:
        raise DataError(f'{path} is empty: it should have a row for each box')
    columns, first = rows[0][1], 0
    if _number(columns[0]) is not None:
        columns, first = list(MOT_COLUMNS), 1
    else:
        del rows[0]
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise DataError(f'{path}: no column {", ".join(missing)}; the first row must name {",".join(COLUMNS)}')
    return sorted((_box(f'{path}, row {number}', columns, cells, first) for number, cells in rows), key=_frame)


def _box(place: str, columns: list[str], cells: list[str], first: int) -> FrameBox:
    row = dict(zip(columns, cells, strict=False))
    values = {name: _number(row.get(name, '')) for name in (*COLUMNS, 'track', 'score')}
    for name in COLUMNS:
        if values[name] is None:
            raise DataError(f'{place}: {name} is {row.get(name, "")!r}, no number')
    for name in ('frame', 'track'):
        if values[name] is not None and values[name] % 1:
            raise DataError(f'{place}: {name} is {row[name]!r}, no whole number')
        if values[name] is None and row.get(name):
            raise DataError(f'{place}: {name} is {row[name]!r}, no number')
    frame = int(values['frame'])
    if frame < first:
        raise DataError(f'{place}: frame {frame}; frames of such a file count from {first}')
    track = -1 if values['track'] is None else int(values['track'])
    score = math.nan if values['score'] is None else values['score']
    return FrameBox(frame - first, [values[name] for name in 'xywh'], track, score, place)


def _frame(box: FrameBox) -> int:
    return box.frame


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
