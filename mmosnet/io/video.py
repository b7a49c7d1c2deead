"""Read frames of videos, files of boxes of people in them, and the image of any path in extracted features."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from threading import Event
from typing import NamedTuple

import cv2
import numpy as np

from mmosnet.errors import DataError
from mmosnet.io.files import utf8_path
from mmosnet.io.images import read_image
from mmosnet.io.media import LOGGER
from mmosnet.io.regions import cut, split_frame
from mmosnet.io.tables import DECIMAL_COMMA, NUMBER, read_text

# Frames ahead up to which decoding them all is cheaper than seeking, which decodes from the key frame before.
NEAR = 64
# Files of varying frame rate state a common divisor of all intervals, 1000 for instance, and no frame rate.
FASTEST = 500
# The first bytes of known kinds of videos, by their offset. FFmpeg would also read playlists of any suffix, which name
# other files and addresses.
STARTS = {
    0: (b'\x1aE\xdf\xa3', b'RIFF', b'\0\0\1\xba', b'\0\0\1\xb3', b'0&\xb2u', b'FLV'),
    4: (b'ftyp', b'moov', b'mdat', b'free', b'skip', b'wide', b'pnot'),
}
# Size of a packet of a transport stream, which begins with G; recordings may begin within one.
PACKETS = (188, 192, 204)
# FFmpeg would print damage to stderr without the name of the file; errors that name it are raised here.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')

COLUMNS = ('frame', 'x', 'y', 'w', 'h')
OPTIONAL = ('track', 'score')
# Columns of the MOTChallenge's files: no first row names them, and frames count from 1.
MOT_COLUMNS = ('frame', 'track', 'x', 'y', 'w', 'h', 'score')
WHOLE = re.compile(r'[+-]?\d{1,19}', re.ASCII)
# Frame and track are written as int64.
LARGEST = 2**63 - 1
FORMS = (
    'give rows with the names frame,x,y,w,h[,track][,score] first, or rows of the MOTChallenge, frame,id,x,y,w,h,score'
)


class VideoFrames:
    """The frames of a video, decoded with OpenCV.

    Frame n is always the n-th picture that reading from the start yields. OpenCV seeks by time. The time of a frame
    after seeking must therefore agree with its number and the frame rate. In a video of varying frame rate it does not,
    and from then on frames are counted from the start.

    Args:
        path: The file.
        fps: Frames per second; by default the rate that the file states.
        stopped: Once it is set, a search for a frame ends early.
        say: Called with a line for the user if the frame rate varies.

    Attributes:
        height: Height of a frame in pixels.
        width: Width of a frame in pixels.

    Raises:
        FileNotFoundError: No such file.
        DataError: OpenCV cannot read the file.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float | None = None,
        stopped: Event | None = None,
        say: Callable[[str], object] | None = None,
    ) -> None:
        self.path = str(path)
        self._stopped = stopped or Event()
        self._say = say or (lambda text: None)
        if not Path(path).is_file():
            raise FileNotFoundError(f'no video {path}')
        _check_start(self.path)
        self._open()
        self.height, self.width = (
            int(self._capture.get(key)) for key in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
        )
        self._stated_fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._given_fps = fps
        if 0 in (self.height, self.width):
            raise DataError(f'{path} has no picture: it is damaged, or holds sound alone')
        self._end: int | None = None
        self._is_regular = self._may_seek = self._stated_fps > 0
        self._last: tuple[int, np.ndarray] | None = None

    @property
    def fps(self) -> float:
        """Frames per second.

        Raises:
            DataError: The file states none, or an impossible one.
        """
        if self._given_fps is None and not 0 < self._stated_fps < float('inf'):
            raise DataError(f'{self.path} states no frame rate: give --fps')
        if self._given_fps is None and self._stated_fps > FASTEST:
            raise DataError(
                f'{self.path} states {self._stated_fps:g} frames per second, as files of varying frame rate do: give '
                '--fps'
            )
        return self._given_fps or self._stated_fps

    def read(self, number: int) -> np.ndarray:
        """Return one frame, ``(height, width, 3)`` uint8, BGR.

        Raises:
            DataError: The video has no such frame, or is damaged there.
        """
        if self._last is not None and self._last[0] == number:
            return self._last[1]
        image = None
        if self._end is None or number < self._end:
            with suppress(cv2.error):
                image = self._capture.retrieve()[1] if self._reach(number) else None
        if image is None:
            raise DataError(f'{self.path}: no frame {number}, or the video is damaged before it{self._reason()}')
        self._last = number, image
        return image

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _open(self) -> None:
        # Other readers of OpenCV treat names like 0001.mp4 as a sequence of images, or open devices.
        self._capture = self._captured()
        if not self._capture.isOpened():
            raise DataError(
                f'{self.path} is no video that OpenCV reads, or is damaged or cut off; of a codec that is missing here '
                'convert it to H.264 in MP4'
            )
        # The frame that grab() returns next.
        self._next = 0

    def _reach(self, number: int) -> bool:
        """Decode up to the frame; return whether it exists."""
        if self._may_seek and not self._next <= number < self._next + NEAR:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, number)
            if self._capture.grab() and self._is_due(number):
                self._next = number + 1
                return True
            self._may_seek = False
            self._open()
        if number < self._next:
            self._open()
        while self._next <= number:
            if self._stopped.is_set():
                return False
            if not self._capture.grab():
                # Later requests for such frames do not decode the video again.
                self._end = self._next
                self._may_seek = self._stated_fps > 0
                self._open()
                return False
            if self._is_regular and not self._is_due(self._next):
                self._is_regular = False
                self._say(
                    f'{self.path}: from frame {self._next} on the frame rate varies, or frames are lost. Frames are '
                    'counted as they are decoded, and their times are those of an even frame rate'
                )
            self._next += 1
        return True

    def _captured(self) -> cv2.VideoCapture:
        level = cv2.utils.logging.getLogLevel()
        # OpenCV would write to stderr what is raised as an error here.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            with utf8_path(self.path) as path:
                return cv2.VideoCapture(path, cv2.CAP_FFMPEG)
        finally:
            cv2.utils.logging.setLogLevel(level)

    def _reason(self) -> str:
        if self._end is None:
            return ''
        stated = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if stated > self._end:
            return f': it ends after {self._end} of {stated} frames, cut off or damaged'
        return f': it has frames 0 to {self._end - 1}'

    def _is_due(self, number: int) -> bool:
        """Return whether the decoded frame has the time of this number; containers round it to milliseconds."""
        interval = 1000 / self._stated_fps
        return abs(self._capture.get(cv2.CAP_PROP_POS_MSEC) - number * interval) <= 1 + 0.01 * interval


def _check_start(path: str) -> None:
    with open(path, 'rb') as file:
        start = file.read(4 * max(PACKETS))
    if any(start.startswith(marks, place) for place, marks in STARTS.items()):
        return
    # Four packets in a row.
    if any(set(start[place::size]) == {ord('G')} for size in PACKETS for place in range(size) if start[place:]):
        return
    what = f'it begins with {start[:12]!r}' if start else 'it is empty'
    raise DataError(f'{path} is no video that OpenCV reads, or is damaged: {what}')


class FrameBox(NamedTuple):
    """A person in a frame.

    Attributes:
        frame: Number of the frame, from 0; -1 in a row with an error.
        box: Left, top, width and height in pixels, fractions allowed.
        track: Number of the person's track; -1 where unknown.
        score: Score of the detector; NaN where unknown.
        place: File and row, for error messages.
        number: Number of the frame in the file.
        error: Why the row cannot be used; empty if it can.
    """

    frame: int
    box: list[float]
    track: int
    score: float
    place: str
    number: int = -1
    error: str = ''


def read_boxes(
    path: str | Path, first_frame: int | None = None, keep_faulty: bool = False, may_be_empty: bool = False
) -> list[FrameBox]:
    """Read boxes, sorted by frame; within a frame in the file's order, rows with an error last.

    Cells are separated by commas, semicolons, tabs or spaces; rows that begin with ``#`` are comments.

    Args:
        path: A file whose first row names the columns ``frame,x,y,w,h`` and optionally ``track`` and ``score``; or a
            file like ``det.txt`` and ``gt.txt`` of the MOTChallenge, which most trackers write: rows
            ``frame,track,x,y,w,h,score,...`` without names.
        first_frame: Number of the first frame. By default 0 where the columns have names, and 1, as in the
            MOTChallenge, where they have none.
        keep_faulty: Keep rows that cannot be used, with their error, instead of raising it.
        may_be_empty: Whether a file without a row means that nobody is seen, instead of an error. Default: False.

    Raises:
        FileNotFoundError: No such file.
        DataError: The file or a row cannot be used; names the row, the value and the remedy.
    """
    lines = _read_lines(Path(path))
    if not lines:
        if may_be_empty:
            return []
        raise DataError(f'{path} is empty: it should have a row for each box')
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
    # Universal newlines, as when a file is opened as text.
    lines = [(number, line.strip()) for number, line in enumerate(io.StringIO(read_text(path), newline=None), start=1)]
    lines = [(number, line) for number, line in lines if line]
    while lines and lines[0][1].startswith('#') and not set(COLUMNS) <= set(re.findall(r'\w+', lines[0][1])):
        del lines[0]
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
    row = f'{path}: the first row is {",".join(columns)[:100]!r}'
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        hint = ': corners are no width and height' * bool({'x1', 'x2', 'xmin', 'xmax', 'right'} & set(columns))
        raise DataError(f'{row}: no column {", ".join(missing)}; the first row must name {",".join(COLUMNS)}{hint}')
    for name in (*COLUMNS, *OPTIONAL):
        if columns.count(name) > 1:
            raise DataError(f'{row}: the column {name} comes twice')


def _check_numbers(cells: list[str], place: str) -> None:
    """Refuse a first row that neither names columns nor is in the MOTChallenge format."""
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
    # Trackers write -1, and no other number below 0, for people without a track.
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
        # 3.0 means 3; larger floating-point numbers do not distinguish consecutive whole numbers.
        if number % 1 or abs(number) > 2**53:
            raise DataError(f'{place}: {name} is {text[:60]!r}, no whole number')
        value = int(number)
    if not -LARGEST <= value <= LARGEST:
        raise DataError(f'{place}: {name} is {text}, beyond the numbers of 64 bits')
    return value


def read_person(path: str) -> np.ndarray:
    """Read the image that a path of :class:`~mmosnet.features.Features` names.

    Args:
        path: An image, a region of one (``frame.jpg#xywh=120,80,64,190``: left, top, width, height), or a frame of a
            video, whole or a region (``video.mp4#frame=7&xywh=120,80,64,190``).

    Returns:
        ``(H, W, 3)`` uint8, BGR.

    Raises:
        FileNotFoundError: No such video.
        DataError: A missing or damaged image, no such frame or region; names the path.
    """
    file, frame, box = split_frame(path)
    if frame is None:
        return read_image(path)
    video = VideoFrames(file)
    with closing(video):
        image = video.read(frame)
    return image if box is None else np.ascontiguousarray(cut(image, box, path))
