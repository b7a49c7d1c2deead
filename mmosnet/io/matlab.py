"""Read MATLAB files of versions 5 and 7.3 (HDF5) into the same Python values, and check these.

scipy reads version 5; version 7.3 needs h5py, the extra ``matlab``.

Other packages were measured on a file in the format of CUHK03 (2,795 images of 160x60 in cells of people and images, of
5,590 in 156 MiB): this reader takes 2.8 s and 28 MiB; pymatreader 1.3.2 takes 3.4 s and 128 MiB, because it holds all
images at once; mat73 0.65 takes 292 s. pymatreader also returns the cells of version 7.3 in one flat list, without the
rows and columns that identify the person. It follows links into other files, and allocates the memory that a file of
some kilobytes promises (9.3 GiB); this reader refuses both.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmosnet.errors import DataError

# Allowed bytes of a variable, and how many more per byte of it in the file: annotations compress well, but a small file
# that promises gigabytes was made to fill the memory.
FREE_BYTES, BYTES_PER_BYTE = 2**28, 100
# Allowed depth of cells within cells; data sets have two or three.
MAX_DEPTH = 50
# Types of elements in files of version 5, and classes of their arrays.
MATRIX, COMPRESSED = 14, 15
CELL, STRUCTURE, OBJECT, SPARSE, LAST_NUMBERS = 1, 2, 3, 5, 15

# An array, a text, a structure as a dict, or MatlabCells.
MatlabValue = Any


class MatlabCells:
    """A cell array whose cells are read on access: ``cells[row, column]``.

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
        DataError: The file is no MATLAB file or is damaged; or it is of version 7.3 and h5py is missing.
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
        # Parts that were never written take no space in the file.
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
        DataError: There is one, a variable is compressed too well, or cells are nested too deeply.
        struct.error, zlib.error: The file is damaged.
    """
    order = {b'IM': '<', b'MI': '>'}.get(data[126:128])
    # Version 4 has no cells, and scipy reads its numbers before it allocates memory.
    if order is not None:
        _check_elements(memoryview(data)[128:], order, path, 0)


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Iterate over the elements in a part of a file, each with type and content."""
    position = 0
    while position + 8 <= len(data):
        kind, size = struct.unpack_from(f'{order}II', data, position)
        # Content of up to four bytes is in the header.
        start = position + (4 if kind >> 16 else 8)
        kind, size = (kind & 0xFFFF, kind >> 16) if kind >> 16 else (kind, size)
        yield kind, data[start : start + size]
        position = start + size
        # Compressed elements are not padded to eight bytes.
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


def texts(value: object, place: str) -> list[str]:
    """Return the texts of a cell array; an empty cell is an empty text.

    Raises:
        DataError: The value is no cell array, or a cell holds no text.
    """
    if not isinstance(value, MatlabCells):
        raise DataError(f'{place} is no cell array of texts')
    listed = []
    for number, text in enumerate(value, start=1):
        if isinstance(text, np.ndarray) and not text.size:
            text = ''
        if not isinstance(text, str):
            raise DataError(f'{place}: cell {number} is no text')
        listed.append(text.strip())
    return listed


def matrix(value: object, place: str) -> np.ndarray:
    """Check that a value is a matrix of numbers, and return it.

    Raises:
        DataError: It is none.
    """
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.dtype.kind not in 'buif':
        raise DataError(f'{place} is no matrix of numbers')
    return value


def whole_numbers(value: object, place: str) -> np.ndarray:
    """Return an array of whole numbers, flattened: ``(N,)`` int64.

    Raises:
        DataError: The value is no array of numbers, or a number is not whole; names the number.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind not in 'buif':
        raise DataError(f'{place} is no array of numbers')
    values = value.flatten()
    # Beyond 2**53 a float has no unit digit; NaN fails as well.
    wrong = np.flatnonzero(~((values == np.floor(values)) & (np.abs(values) < 2**53)))
    if len(wrong):
        raise DataError(
            f'{place}: value {wrong[0] + 1} is {values[wrong[0]]}, no whole number; download the file again'
        )
    return values.astype(np.int64)


def structure(value: object, fields: Sequence[str], place: str) -> dict:
    """Check that a value is a MATLAB structure with certain fields, and return it.

    Raises:
        DataError: It is none, or a field is missing.
    """
    if not isinstance(value, dict):
        raise DataError(f'{place} is no structure')
    missing = [field for field in fields if field not in value]
    if missing:
        raise DataError(f'{place} has no field {", ".join(missing)}; it has {", ".join(value)}')
    return value
