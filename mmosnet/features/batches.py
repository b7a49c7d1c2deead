"""Batches of prepared images, read ahead by threads while a model computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from threading import Event
from types import TracebackType

import numpy as np

from mmosnet.errors import DataError
from mmosnet.io.media import LOGGER
from mmosnet.io.regions import Box, cut, split_frame, split_region
from mmosnet.io.video import VideoFrames

# Batches that are read before they are wanted.
AHEAD = 2
Read = Callable[[str], np.ndarray]
Prepare = Callable[[str, np.ndarray], object]


class PersonBatches:
    """Reads people by their paths. OpenCV and Pillow let other threads run while they decode.

    People of one image who follow each other are cut from it in one go. Videos are read by a thread of their own, so
    that frames in order need no seeking.

    Args:
        read_file: Reads an image file; see :class:`~mmosnet.features.embedder.Embedder`.
        prepare: Applied to path and image of each; likewise.
        workers: Threads that read image files.
        fps: Frames a second of videos, where they state none.
    """

    def __init__(self, read_file: Read, prepare: Prepare, workers: int, fps: float | None = None) -> None:
        self._read_file = read_file
        self._prepare = prepare
        self._fps = fps
        self._images = ThreadPoolExecutor(workers)
        self._videos = ThreadPoolExecutor(1)
        self._video: VideoFrames | None = None
        self._stopped = Event()

    def read(self, paths: Sequence[str], batch_size: int) -> Iterator[list[object | DataError]]:
        """Read and prepare the images in batches.

        Args:
            paths: Paths as in :class:`~mmosnet.features.Features`.
            batch_size: People a batch.

        Yields:
            Batches in order; in place of what cannot be read the reason.
        """
        waiting: deque[list[Future]] = deque()
        for start in range(0, len(paths), batch_size):
            groups = groupby(paths[start : start + batch_size], key=_file)
            waiting.append([self._submit(file, list(group)) for file, group in groups])
            if len(waiting) > AHEAD:
                yield _finished(waiting.popleft())
        while waiting:
            yield _finished(waiting.popleft())

    def __enter__(self) -> PersonBatches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # What is being read is not wanted any more, after an error or Ctrl-C.
        self._stopped.set()
        for pool in (self._images, self._videos):
            pool.shutdown(cancel_futures=True)
        self._close_video()

    def _submit(self, file: tuple[str, bool], paths: list[str]) -> Future:
        name, is_video = file
        if is_video:
            return self._videos.submit(self._of_video, name, paths)
        return self._images.submit(self._of_image, name, paths)

    def _of_image(self, file: str, paths: list[str]) -> list[object | DataError]:
        try:
            if Path(file).exists() and not Path(file).is_file():
                # Reading a pipe waits for what may never come, and /dev/zero has no end.
                raise DataError(f'{file} is no file, but a folder, a pipe or a device')
            image = self._read_file(file)
        except (DataError, FileNotFoundError) as e:
            return [DataError(str(e))] * len(paths)
        return [self._prepared(path, lambda path=path: _cut(image, split_region(path)[1], path)) for path in paths]  # type: ignore[misc]

    def _of_video(self, file: str, paths: list[str]) -> list[object | DataError]:
        found = []
        for path in paths:
            if self._stopped.is_set():
                break
            _, number, box = split_frame(path)
            found.append(
                self._prepared(
                    path,
                    lambda number=number, box=box, path=path: _cut(self._frame(file, number), box, path),  # type: ignore[misc]
                )
            )
        return found

    def _frame(self, file: str, number: int) -> np.ndarray:
        if self._video is None or self._video.path != file:
            self._close_video()
            self._video = VideoFrames(file, self._fps, self._stopped, LOGGER.warning)
        return self._video.read(number)

    def _close_video(self) -> None:
        if self._video is not None:
            self._video.close()
        self._video = None

    def _prepared(self, path: str, read: Callable[[], np.ndarray]) -> object | DataError:
        try:
            return self._prepare(path, read())
        except (DataError, FileNotFoundError) as e:
            return e if isinstance(e, DataError) else DataError(str(e))


def _file(path: str) -> tuple[str, bool]:
    """Return the file that a path names, and whether it is a video."""
    file, frame, _ = split_frame(path)
    return (split_region(path)[0], False) if frame is None else (file, True)


def _cut(image: np.ndarray, box: Box | None, path: str) -> np.ndarray:
    return image if box is None else np.ascontiguousarray(cut(image, box, path))


def _finished(batch: list[Future]) -> list[object | DataError]:
    return [item for future in batch for item in future.result()]
