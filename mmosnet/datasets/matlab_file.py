"""MATLAB files of both kinds, v5 and v7.3 (HDF5), read into the same Python values.

scipy reads the first kind alone; v7.3 needs h5py, the extra ``matlab``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmosnet.errors import DataError

MatlabValue = 'np.ndarray | str | dict | MatlabCells'


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
        """All cells, column by column as MATLAB counts."""
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
        self._hdf5 = None
        self._variables = {}

    def __enter__(self) -> MatlabFile:
        with self.path.open('rb') as file:
            header = file.read(128)
        if header.startswith(b'MATLAB 7.3') or header.startswith(b'\x89HDF'):
            try:
                import h5py
            except ImportError as e:
                raise DataError(f"{self.path} is a MATLAB 7.3 file: pip install -e '.[matlab]' to read it") from e
            try:
                self._hdf5 = h5py.File(self.path, 'r')
            except OSError as e:
                raise DataError(f'{self.path} is damaged: {e}') from e
        else:
            # scipy imports slowly, and most data sets need no MATLAB file.
            from scipy.io import loadmat
            from scipy.io.matlab import MatReadError

            try:
                self._variables = loadmat(self.path)
            except (MatReadError, ValueError, OSError, TypeError, NotImplementedError, IndexError) as e:
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
        import h5py

        if isinstance(node, h5py.Group):
            # h5py lists fields by name; the attribute has MATLAB's order.
            order = [b''.join(field).decode() for field in node.attrs.get('MATLAB_fields', [])]
            return {field: self._from_v73(node[field]) for field in order or node}
        if node.attrs.get('MATLAB_empty', 0):
            return np.empty((0, 0))
        if node.dtype == h5py.ref_dtype:
            references = node[()].T
            return MatlabCells(references.shape, lambda index: self._from_v73(self._hdf5[references[index]]))
        if node.attrs.get('MATLAB_class') == b'char':
            return ''.join(map(chr, node[()].T.flatten()))
        return node[()].T


def _from_v5(value: object) -> MatlabValue:
    """Convert a value of scipy's: unwrap cells, text and structures of one element."""
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
