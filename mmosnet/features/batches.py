"""Read and prepare batches of images ahead, in threads, while a model computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from threading import Event

import numpy as np

from mmosnet.errors import DataError
from mmosnet.io.media import LOGGER
from mmosnet.io.regions import Box, cut, split_frame, split_region
from mmosnet.io.video import VideoFrames

# Batches that are read ahead.
AHEAD = 2
Read = Callable[[str], np.ndarray]
Prepare = Callable[[str, np.ndarray], object]


class PersonBatches:
    """Read people by their paths, in threads: OpenCV and Pillow release the interpreter lock while they decode.

    An image is read once for all its regions that follow each other in a batch. One thread reads all videos, so that
    frames in order need no seeking.

    Args:
        read_file: Function that reads an image file; see :class:`~mmosnet.features.embedder.ImageEmbedder`.
        prepare: Function of path and image that prepares one person; likewise.
        workers: Threads that read image files.
        fps: Frame rate of videos that state none.
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
            batch_size: People per batch.

        Yields:
            Batches in order, with an error in the place of each person who cannot be read.
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

    def __exit__(self, *error: object) -> None:
        # After an error or Ctrl-C the items that the threads are reading are not needed.
        self._stopped.set()
        for pool in (self._images, self._videos):
            pool.shutdown(cancel_futures=True)
        self._close_video()

    def _submit(self, file: tuple[str, bool], paths: list[str]) -> Future:
        name, is_video = file
        if is_video:
            return self._videos.submit(self._read_from_video, name, paths)
        return self._images.submit(self._read_from_image, name, paths)

    def _read_from_image(self, file: str, paths: list[str]) -> list[object | DataError]:
        try:
            if Path(file).exists() and not Path(file).is_file():
                # Reading a pipe may wait forever, and /dev/zero has no end.
                raise DataError(f'{file} is no file, but a folder, a pipe or a device')
            image = self._read_file(file)
        except (DataError, FileNotFoundError) as e:
            return [DataError(str(e))] * len(paths)
        return [self._prepared(path, lambda path=path: _cut(image, split_region(path)[1], path)) for path in paths]  # type: ignore[misc]

    def _read_from_video(self, file: str, paths: list[str]) -> list[object | DataError]:
        items = []
        for path in paths:
            if self._stopped.is_set():
                break
            _, number, box = split_frame(path)
            items.append(
                self._prepared(
                    path,
                    lambda number=number, box=box, path=path: _cut(self._frame(file, number), box, path),  # type: ignore[misc]
                )
            )
        return items

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
    """Return the file in a path, and whether it is a video."""
    file, frame, _ = split_frame(path)
    return (split_region(path)[0], False) if frame is None else (file, True)


def _cut(image: np.ndarray, box: Box | None, path: str) -> np.ndarray:
    return image if box is None else np.ascontiguousarray(cut(image, box, path))


def _finished(batch: list[Future]) -> list[object | DataError]:
    return [item for future in batch for item in future.result()]
