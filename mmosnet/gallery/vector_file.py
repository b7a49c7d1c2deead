"""Vectors in a file that only grows, mapped into memory: float32 in rows, nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from mmosnet.errors import DataError
from mmosnet.io.files import sync_folder

KIND = np.dtype('<f4')
# Bytes handled at once where a whole file is gone through.
CHUNK = 1 << 26


class VectorFile:
    """One file of vectors.

    Args:
        path: Made when the first vectors are appended.
        dimension: Numbers in a row.
    """

    def __init__(self, path: Path, dimension: int) -> None:
        self.path = path
        self.dimension = dimension
        self.row_bytes = dimension * KIND.itemsize

    def append(self, rows: int, vectors: np.ndarray) -> None:
        """Write vectors behind the first ``rows`` rows, and wait until they are on the disk.

        What the file has beyond those rows, of an enrolment that was cut off, is overwritten.

        Raises:
            DataError: The file has fewer rows.
            OSError: There is no space; the file is what it was before.
        """
        new = not self.path.exists()
        # Without a buffer, which would be written once more where the file is closed.
        with self.path.open('ab', buffering=0) as file:
            try:
                self._check_size(rows)
                file.truncate(rows * self.row_bytes)
                rest = np.ascontiguousarray(vectors, KIND).data.cast('B')
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except BaseException as e:
                self._undo(rows, new)
                if isinstance(e, OSError):
                    # Python knows no name for what fails while it writes.
                    raise OSError(e.errno, e.strerror, str(self.path)) from e
                raise
        if new:
            sync_folder(self.path.parent)

    def cut(self, rows: int) -> None:
        """Truncate the file to the first rows, so that the rest takes no space."""
        if self.path.exists() and self.path.stat().st_size > rows * self.row_bytes:
            os.truncate(self.path, rows * self.row_bytes)

    def map(self, rows: int) -> np.ndarray:
        """Return the first rows, ``(rows, D)`` float32, read from the disk as they are used.

        Raises:
            DataError: The file has fewer rows.
        """
        if rows == 0:
            return np.empty((0, self.dimension), np.float32)
        self._check_size(rows)
        return np.memmap(self.path, KIND, 'r', shape=(rows, self.dimension))

    def chunk_rows(self) -> int:
        """Return the number of rows per chunk."""
        return max(1, CHUNK // self.row_bytes)

    def _undo(self, rows: int, new: bool) -> None:
        # The first error is the one that counts.
        with suppress(OSError):
            self.path.unlink() if new else self.cut(rows)

    def _check_size(self, rows: int) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < rows * self.row_bytes:
            raise DataError(
                f'{self.path}: {size} bytes, but the gallery has {rows} vectors of {self.row_bytes} bytes: restore '
                'the file, or create the gallery anew'
            )


def chunks(rows: int, size: int) -> Iterator[slice]:
    """Iterate over slices of at most ``size`` rows."""
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
