"""Frames of a video by their numbers, in any order."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mmosnet.errors import DataError

# Frames ahead up to which decoding them all is cheaper than seeking, which decodes from the key frame before.
NEAR = 64


class VideoFrames:
    """Decodes a video with OpenCV. Frame n is always the same picture: the one that reading from the start finds n-th.

    Seeking in a video goes by time. A frame that was sought must have the time that its number and the frame rate
    give; in a video of varying frame rate it has not, and from then on frames are counted from the start.

    Args:
        path: The file.
        fps: Frames a second, instead of those the file states.

    Attributes:
        height: Of a frame, in pixels.
        width: Of a frame, in pixels.
        fps: Frames a second.

    Raises:
        FileNotFoundError: No such file.
        DataError: No video that OpenCV reads, or one that states no frame rate.
    """

    def __init__(self, path: str | Path, fps: float | None = None) -> None:
        self.path = str(path)
        if not Path(path).is_file():
            raise FileNotFoundError(f'no video {path}')
        self._open()
        self.height, self.width = (
            int(self._capture.get(key)) for key in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
        )
        self._stated_fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps or self._stated_fps
        if not 0 < self.fps < float('inf'):
            raise DataError(f'{path} states no frame rate: give --fps')
        self._may_seek = self._stated_fps > 0
        self._last: tuple[int, np.ndarray] | None = None

    def read(self, number: int) -> np.ndarray:
        """One frame, ``(height, width, 3)`` uint8, BGR.

        Raises:
            DataError: The video has no such frame, or is damaged there.
        """
        if self._last is not None and self._last[0] == number:
            return self._last[1]
        image = self._capture.retrieve()[1] if self._reach(number) else None
        if image is None:
            raise DataError(f'{self.path}: no frame {number}, or the video is damaged before it')
        self._last = number, image
        return image

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()

    def _open(self) -> None:
        self._capture = cv2.VideoCapture(self.path)
        if not self._capture.isOpened():
            raise DataError(f'{self.path} is no video that OpenCV reads, or is damaged')
        # The frame that grab() gives next.
        self._next = 0

    def _reach(self, number: int) -> bool:
        """Decode the frame; whether there is one."""
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
            if not self._capture.grab():
                # Nothing is known about where it is now.
                self._next = number + 1
                return False
            self._next += 1
        return True

    def _is_due(self, number: int) -> bool:
        """Whether the decoded frame has the time of this number; containers round it to a millisecond."""
        interval = 1000 / self._stated_fps
        return abs(self._capture.get(cv2.CAP_PROP_POS_MSEC) - number * interval) <= 1 + 0.01 * interval
