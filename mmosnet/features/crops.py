"""Cut the regions of a frame out and resize them, into one batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

# Fewer regions per thread are not worth it.
REGIONS_PER_THREAD = 2
MOST_THREADS = 8


class FrameCrops:
    """Cut and resize regions in threads: Pillow and OpenCV release the interpreter lock while they resize.

    Several threads may call one object.

    Args:
        resize: Returns an image of any size as ``(height, width, 3)``; takes the image and its name in errors.
        height: Height of the results in pixels.
        width: Width of the results in pixels.
        threads: Number of threads; by default that of the cores, 8 at most.
    """

    def __init__(
        self, resize: Callable[[np.ndarray, str], np.ndarray], height: int, width: int, threads: int | None = None
    ) -> None:
        self._resize = resize
        self._shape = height, width, 3
        self._threads = threads or min(MOST_THREADS, os.cpu_count() or 1)
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0

    def __call__(self, frame: np.ndarray, regions: np.ndarray, names: Sequence[str], swap: bool = False) -> np.ndarray:
        """Cut and resize.

        Args:
            frame: ``(H, W, 3)`` uint8.
            regions: ``(N, 4)`` left, top, right, bottom in whole pixels within the frame, the last two exclusive.
            names: Name of each region in errors.
            swap: Whether to reverse the order of the channels. Default: False.

        Returns:
            ``(N, height, width, 3)`` uint8.

        Raises:
            DataError: A region cannot be resized to the model's size.
        """
        batch = np.empty((len(regions), *self._shape), np.uint8)

        def fill(rows: range) -> None:
            for row in rows:
                crop = cut_region(frame, regions[row], swap)
                batch[row] = self._resize(crop, names[row])

        threads = min(self._threads, len(regions) // REGIONS_PER_THREAD)
        if threads < 2:
            fill(range(len(regions)))
        else:
            rows = range(len(regions))
            # The calling thread takes a share, so that a busy pool only delays the others.
            shares = [self._executor().submit(fill, rows[start::threads]) for start in range(1, threads)]
            fill(rows[::threads])
            for share in shares:
                share.result()
        return batch

    def _executor(self) -> ThreadPoolExecutor:
        # Threads do not survive a fork.
        if self._pool is None or self._process != os.getpid():
            # In this order: another thread must not take a pool from before the fork, which would never answer.
            self._pool = ThreadPoolExecutor(self._threads - 1, thread_name_prefix='mmosnet-crops')
            self._process = os.getpid()
        return self._pool


def cut_region(frame: np.ndarray, region: np.ndarray, swap: bool = False) -> np.ndarray:
    """Return a region of a frame, contiguous; with ``swap`` its channels are in reverse order.

    Args:
        frame: ``(H, W, 3)`` uint8, with any strides.
        region: Left, top, right, bottom in whole pixels within the frame, the last two exclusive.
        swap: See above. Default: False.
    """
    left, top, right, bottom = region
    crop = frame[top:bottom, left:right]
    return cv2.cvtColor(crop, cv2.COLOR_BGR2RGB) if swap else np.ascontiguousarray(crop)
