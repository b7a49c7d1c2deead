"""MATLAB files of both kinds, v5 and v7.3 (HDF5), read into the same Python values.

scipy reads the first kind alone; v7.3 needs h5py, the extra ``matlab``.

Why not a package: on a file in the format of CUHK03 (2,795 images of 160x60 in cells of people and images, of 5,590 in
156 MiB) this reader takes 2.8 s and 28 MiB, pymatreader 1.3.2 takes 3.4 s and 128 MiB, as it holds all images at once,
and mat73 0.65 takes 292 s. pymatreader also returns the cells of v7.3 in one flat list, without the rows and columns
that say whose image it is. It follows links into other files, and makes room for what a file of some kilobytes promises
(9.3 GiB), where this reader refuses both.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmosnet.errors import DataError

# Bytes that a variable may have, and how many more for each byte of it in the file: annotations compress well, but
# small files that promise gigabytes were made to fill memories.
FREE_BYTES, BYTES_PER_BYTE = 2**28, 100
# Cells within cells; data sets have two or three.
MAX_DEPTH = 50
# Kinds of elements in files of version 5, and classes of their arrays.
MATRIX, COMPRESSED = 14, 15
CELL, STRUCTURE, OBJECT, SPARSE, LAST_NUMBERS = 1, 2, 3, 5, 15

# An array, a text, a structure as a dict, or MatlabCells.
MatlabValue = Any


class MatlabCells:
    """A cell array of which each cell is read when it is asked for: ``cells[row, column]``.

    Attributes:
        shape: Rows and columns.
    """

    def __init__(self, shape: tuple[int, ...], read) -> None:
        self.shape = shape
        self._read = read

    def __getitem__(self, index: tuple[int, int]) -> MatlabValue:
        return self._read(index)

    def __iter__(self) -> Iterator[MatlabValue]:
        """Iterate over all cells, column by column as MATLAB counts."""
        return (self[row, column] for column in range(self.shape[1]) for row in range(self.shape[0]))

    def __len__(self) -> int:
        return self.shape[0] * self.shape[1]


class MatlabFile:
    """A MATLAB file, opened in a ``with`` block; ``file[name]`` is a variable.

    Numeric arrays come as numpy arrays in MATLAB's orientation, text as ``str``, cell arrays as
    :class:`MatlabCells`, a structure as a dict in the order of its fields.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: No such file.
        DataError: Not a MATLAB file, or truncated; or v7.3 without h5py.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f'no file {path}')
        self._hdf5: Any = None
        self._variables = {}

    def __enter__(self) -> MatlabFile:
        with self.path.open('rb') as file:
            header = file.read(128)
        if header.startswith(b'MATLAB 7.3') or header.startswith(b'\x89HDF'):
            try:
                import h5py
            except ImportError as e:
                raise DataError(f'{self.path} is a MATLAB 7.3 file: pip install h5py to read it') from e
            try:
                self._hdf5 = h5py.File(self.path, 'r')
            except OSError as e:
                raise DataError(f'{self.path} is damaged: {e}') from e
        else:
            # scipy imports slowly, and most data sets need no MATLAB file.
            from scipy.io import loadmat
            from scipy.io.matlab import MatReadError

            try:
                _check_v5(self.path.read_bytes(), self.path)
                self._variables = loadmat(self.path)
            except DataError:
                raise
            except (
                *(MatReadError, ValueError, OSError, TypeError, NotImplementedError, IndexError),
                *(KeyError, AttributeError, OverflowError, struct.error, zlib.error),
            ) as e:
                raise DataError(f'{self.path} is no MATLAB file, or damaged: {e or type(e).__name__}') from e
        return self

    def __exit__(self, *exception) -> None:
        if self._hdf5 is not None:
            self._hdf5.close()

    def __getitem__(self, name: str) -> MatlabValue:
        variables = self._variables if self._hdf5 is None else self._hdf5
        if name not in variables:
            known = ', '.join(key for key in variables if not key.startswith(('_', '#')))
            raise DataError(f'{self.path} has no variable {name!r}; it has {known or "none"}')
        return _from_v5(variables[name]) if self._hdf5 is None else self._from_v73(variables[name])

    def _from_v73(self, node) -> MatlabValue:
        """Convert a variable of an HDF5 file, whose arrays are stored transposed."""
        try:
            return self._convert(node)
        except DataError:
            raise
        # A structure may be in itself.
        except (OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError) as e:
            raise DataError(f'{self.path} is damaged: {e or type(e).__name__}') from e

    def _convert(self, node) -> MatlabValue:
        import h5py

        if node.file.filename != self._hdf5.filename or getattr(node, 'external', None):
            raise DataError(f'{self.path}: {node.name} is in another file, which is not read')
        if isinstance(node, h5py.Group):
            # h5py lists fields by name; the attribute has MATLAB's order.
            order = [b''.join(field).decode() for field in node.attrs.get('MATLAB_fields', [])]
            return {field: self._from_v73(node[field]) for field in order or node}
        if node.attrs.get('MATLAB_empty', 0):
            return np.empty((0, 0))
        # What was never written takes no place in the file.
        if node.nbytes > FREE_BYTES + BYTES_PER_BYTE * node.id.get_storage_size():
            raise _too_large(self.path, f'{node.name} has {node.shape} numbers')
        if node.dtype == h5py.ref_dtype:
            references = node[()].T
            return MatlabCells(references.shape, lambda index: self._from_v73(self._hdf5[references[index]]))
        if node.attrs.get('MATLAB_class') == b'char':
            return ''.join(map(chr, node[()].T.flatten()))
        return node[()].T


def _too_large(path: Path, what: str) -> DataError:
    return DataError(
        f'{path}: {what}, more than a file of {path.stat().st_size:,} bytes holds: it is damaged, or made to fill the '
        'memory'
    )


def _check_v5(data: bytes, path: Path) -> None:
    """Refuse a file whose arrays are larger than its data: scipy allocates them before it reads.

    Raises:
        DataError: There is one, one that is compressed too well, or cells within cells within cells.
        struct.error, zlib.error: Damaged.
    """
    order = {b'IM': '<', b'MI': '>'}.get(data[126:128])
    # Version 4 has no cells, and scipy reads its numbers before it makes room.
    if order is not None:
        _check_elements(memoryview(data)[128:], order, path, 0)


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Iterate over the elements in a part of a file, each with kind and content."""
    position = 0
    while position + 8 <= len(data):
        kind, size = struct.unpack_from(f'{order}II', data, position)
        # Up to four bytes stand in the header.
        start = position + (4 if kind >> 16 else 8)
        kind, size = (kind & 0xFFFF, kind >> 16) if kind >> 16 else (kind, size)
        yield kind, data[start : start + size]
        position = start + size
        # Compressed ones are not filled up to eight bytes.
        position += 0 if kind == COMPRESSED else -position % 8


def _check_elements(data: memoryview, order: str, path: Path, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise DataError(
            f'{path}: more than {MAX_DEPTH} cells within each other: it is damaged, or made to stop programs'
        )
    for kind, content in _elements(data, order):
        if kind == COMPRESSED:
            most = FREE_BYTES + BYTES_PER_BYTE * len(content)
            content = zlib.decompressobj().decompress(content, most + 1)
            if len(content) > most:
                raise _too_large(path, f'a variable has more than {most:,} bytes')
            _check_elements(memoryview(content), order, path, depth + 1)
        elif kind == MATRIX:
            parts = _elements(content, order)
            head = [part for part, _ in zip((content for _, content in parts), range(2), strict=False)]
            # Empty cells have no parts.
            if len(head) < 2 or len(head[0]) < 4:
                continue
            array_class = struct.unpack_from(f'{order}I', head[0])[0] & 0xFF
            sides = struct.unpack(f'{order}{len(head[1]) // 4}i', head[1][: len(head[1]) // 4 * 4])
            # Each number takes a byte at least, each cell eight; a structure without fields nothing.
            if array_class != SPARSE and array_class <= LAST_NUMBERS and math.prod(sides) > len(content) + 1000:
                raise _too_large(path, f'an array has {" x ".join(map(str, sides))} elements')
            if array_class in (CELL, STRUCTURE, OBJECT):
                _check_elements(content, order, path, depth + 1)


def _from_v5(value: object) -> MatlabValue:
    """Convert a value that scipy read: unwrap cells, texts and structures of one element."""
    if not isinstance(value, (np.ndarray, np.void)):
        return value
    if value.dtype.names is not None:
        if value.size != 1:
            flat = np.empty(value.shape, object)
            for index in np.ndindex(value.shape):
                flat[index] = value[index]
            return MatlabCells(value.shape, lambda index: _from_v5(flat[index]))
        record = value if isinstance(value, np.void) else value.flat[0]
        return {name: _from_v5(record[name]) for name in value.dtype.names}
    if value.dtype == object:
        return MatlabCells(value.shape, lambda index: _from_v5(value[index]))
    if value.dtype.kind in 'US':
        return ''.join(map(str, value.flatten()))
    return value
