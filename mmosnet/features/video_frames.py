"""Frames of a video by their numbers, in any order."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

import cv2
import numpy as np

from mmosnet.errors import DataError

# Frames ahead up to which decoding them all is cheaper than seeking, which decodes from the key frame before.
NEAR = 64
# Files of varying frame rate state what divides all intervals, 1000 for instance, and not how many frames there are.
FASTEST = 500
# How the files begin whose suffixes are known: after so many bytes one of these. FFmpeg would also read playlists,
# which name other files and addresses, under any name.
STARTS = {
    0: (b'\x1aE\xdf\xa3', b'RIFF', b'\0\0\1\xba', b'\0\0\1\xb3', b'0&\xb2u', b'FLV'),
    4: (b'ftyp', b'moov', b'mdat', b'free', b'skip', b'wide', b'pnot'),
}
# Size of a packet of a transport stream, which begins with G; recordings may begin within one.
PACKETS = (188, 192, 204)
# FFmpeg's own words about damage; what is found is raised, and says which file it is.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')


class VideoFrames:
    """Decodes a video with OpenCV. Frame n is always the same picture: the one that reading from the start finds n-th.

    Seeking in a video goes by time. A frame that was sought must have the time that its number and the frame rate
    give; in a video of varying frame rate it has not, and from then on frames are counted from the start.

    Args:
        path: The file.
        fps: Frames a second, instead of those the file states.
        stopped: Once it is set, a search for a frame ends early.
        say: Takes a line for the user where the frame rate varies.

    Attributes:
        height: Height of a frame in pixels.
        width: Width of a frame in pixels.

    Raises:
        FileNotFoundError: No such file.
        DataError: No video that OpenCV reads.
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
            DataError: The file states none, or one that cannot be.
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
        # Others of OpenCV's readers take names like 0001.mp4 for a row of images, or ask for devices.
        self._capture = self._captured()
        if not self._capture.isOpened():
            raise DataError(
                f'{self.path} is no video that OpenCV reads, or is damaged or cut off; of a codec that is missing here '
                'convert it to H.264 in MP4'
            )
        # The frame that grab() gives next.
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
                # Asked for such frames again, it is not decoded again.
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
        # What it writes to stderr about files that it cannot read is raised here.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            return cv2.VideoCapture(self.path, cv2.CAP_FFMPEG)
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
