"""Write a video wholly or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import cv2
import numpy as np

from mmosnet.errors import DataError
from mmosnet.io.files import utf8_path, whole_file
from mmosnet.io.video import VideoFrames

#: MPEG-4 part 2: every build of OpenCV writes it, and common players show it. Browsers want H.264, which needs FFmpeg.
CODEC = 'mp4v'


@contextmanager
def whole_video(path: str | Path, fps: float, size: tuple[int, int]) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends a frame; at the end the video replaces the file.

    Args:
        path: File that ends in ``.mp4``; its folder is created.
        fps: Frames per second.
        size: Height and width of the frames in pixels. MPEG-4 wants even numbers: an odd last row or column is left
            out.

    Raises:
        OSError: The file cannot be written, for example because the disk is full.
        DataError: OpenCV cannot write such a video here.
    """
    height, width = (side // 2 * 2 for side in size)
    try:
        with whole_file(path) as draft, _writer(draft, fps, (width, height)) as write:
            yield lambda frame: write(np.ascontiguousarray(frame[:height, :width]))
    except _WritingFailed as e:
        # whole_file has raised the system's error where there is one, such as a full disk.
        raise DataError(
            f'{path}: OpenCV cannot write this video of {width}x{height} pixels at {fps:g} frames per second ({e})'
        ) from e


class _WritingFailed(RuntimeError):
    """OpenCV has not written what it was given."""


@contextmanager
def _writer(draft: Path, fps: float, size: tuple[int, int]) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends a frame; at the end check that all of them are in the file.

    OpenCV raises no errors, not even on a full disk.
    """
    with utf8_path(draft) as path:
        writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*CODEC), fps, size)
    written = 0

    def write(frame: np.ndarray) -> None:
        nonlocal written
        writer.write(frame)
        written += 1

    try:
        if not writer.isOpened():
            raise _WritingFailed('it opens no such file')
        yield write
    finally:
        writer.release()
    if not written:
        raise _WritingFailed('there is no frame')
    try:
        video = VideoFrames(draft)
        with closing(video):
            video.read(written - 1)
    except DataError as e:
        raise _WritingFailed(f'{written} frames were written, and not all can be read') from e
