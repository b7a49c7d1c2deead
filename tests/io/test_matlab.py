from __future__ import annotations

import struct
import sys
import zlib

import numpy as np
import pytest

from mmosnet.errors import DataError
from mmosnet.io import matlab as matlab_file
from mmosnet.io.matlab import MatlabFile
from tests.datasets.official_formats import cell, write_mat

VARIABLES = {
    'matrix': np.arange(6.0).reshape(2, 3),
    'text': 'bounding box',
    'cells': cell(['a', np.array([[1.0, 2.0]]), cell(['inner'])]),
    'grid': cell([np.full((1, 1), float(i)) for i in range(6)], (2, 3)),
    'record': {'zebra': np.array([[3.0]]), 'ant': 'name'},
}


@pytest.mark.parametrize('version', ['5', '7.3'])
def test_both_kinds_give_the_same(tmp_path, version):
    path = write_mat(tmp_path / 'a.mat', VARIABLES, version)
    with MatlabFile(path) as file:
        assert np.array_equal(file['matrix'], VARIABLES['matrix'])
        assert file['text'] == 'bounding box'
        first, second, third = file['cells']
        assert first == 'a' and np.array_equal(second, [[1, 2]]) and list(third) == ['inner']
        assert file['grid'].shape == (2, 3) and len(file['grid']) == 6
        # Cells count down the columns, as in MATLAB.
        assert [int(v.item()) for v in file['grid']] == [0, 1, 2, 3, 4, 5]
        assert file['grid'][1, 2].item() == 5
        # The order of the fields is the file's.
        assert list(file['record']) == ['zebra', 'ant'] and file['record']['ant'] == 'name'


@pytest.mark.parametrize('version', ['5', '7.3'])
def test_errors_name_file_and_variable(tmp_path, version):
    path = write_mat(tmp_path / 'a.mat', VARIABLES, version)
    with MatlabFile(path) as file, pytest.raises(ValueError, match=r"a\.mat has no variable 'labels'; it has .*matrix"):
        file['labels']
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r'a\.mat.*damaged'), MatlabFile(path) as file:
        [file[name] for name in VARIABLES]
    path.write_bytes(b'no matlab at all, but long enough to look at' * 9)
    with pytest.raises(ValueError, match=r'a\.mat is no MATLAB file'), MatlabFile(path):
        pass
    with pytest.raises(FileNotFoundError, match='no file missing'):
        MatlabFile('missing.mat')


def test_without_h5py_the_error_names_it(tmp_path, monkeypatch):
    path = write_mat(tmp_path / 'a.mat', VARIABLES, '7.3')
    monkeypatch.setitem(sys.modules, 'h5py', None)
    with pytest.raises(ValueError, match='pip install h5py'), MatlabFile(path):
        pass


def element(kind, content):
    return struct.pack('<II', kind, len(content)) + content + bytes(-len(content) % 8)


def array(array_class, sides, rest=b''):
    """An array of version 5, of which the header says the sides."""
    flags, sides = struct.pack('<II', array_class, 0), struct.pack('<2i', *sides)
    return element(14, element(6, flags) + element(5, sides) + element(1, b'name') + rest)


def nested(depth):
    found = array(6, (1, 1), element(9, bytes(8)))
    for _ in range(depth):
        found = array(1, (1, 1), found)
    return found


STRUCTURES = array(2, (30000, 30000), element(5, struct.pack('<i', 32)) + element(1, b''))
HOSTILE = {
    'cells': (array(1, (30000, 30000)), '30000 x 30000'),
    'structures': (STRUCTURES, '30000 x 30000'),
    'text': (array(4, (30000, 30000), element(16, b'')), '30000 x 30000'),
    'numbers': (array(6, (30000, 30000), element(9, b'')), '30000 x 30000'),
    'compressed, in a cell': (element(15, zlib.compress(array(1, (1, 1), STRUCTURES))), '30000 x 30000'),
    'deep': (nested(200), '50 cells'),
}


@pytest.mark.parametrize('kind', HOSTILE)
def test_small_files_do_not_fill_the_memory(tmp_path, kind):
    content, named = HOSTILE[kind]
    (tmp_path / 'a.mat').write_bytes(b'MATLAB 5.0'.ljust(124) + struct.pack('<H', 0x0100) + b'IM' + content)
    with pytest.raises(DataError, match=rf'a\.mat: .*{named}'), MatlabFile(tmp_path / 'a.mat'):
        pass


def test_what_is_compressed_too_well_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(matlab_file, 'FREE_BYTES', 1000)
    content = element(15, zlib.compress(bytes(10**6), 9))
    (tmp_path / 'a.mat').write_bytes(b'MATLAB 5.0'.ljust(124) + struct.pack('<H', 0x0100) + b'IM' + content)
    with pytest.raises(DataError, match=r'a\.mat: a variable has more than'), MatlabFile(tmp_path / 'a.mat'):
        pass


def test_what_version_73_never_wrote_or_has_elsewhere_is_refused(tmp_path):
    h5py = pytest.importorskip('h5py')
    with h5py.File(tmp_path / 'other.mat', 'w') as file:
        file['x'] = np.arange(3)
    with h5py.File(tmp_path / 'a.mat', 'w') as file:
        file.create_dataset('large', (50000, 200000), 'u1', chunks=(1000, 1000), compression='gzip')
        file.create_dataset('zeros', (1000, 1000), 'f8', chunks=(1000, 1000), compression='gzip')[:] = 0
        file['elsewhere'] = h5py.ExternalLink(tmp_path / 'other.mat', 'x')
        file.create_group('loop')
        file['loop/itself'] = file['loop']
    assert (tmp_path / 'a.mat').stat().st_size < 20000
    with MatlabFile(tmp_path / 'a.mat') as file:
        for name, reason in dict(large=r'50000, 200000', elsewhere='another file', loop='damaged').items():
            with pytest.raises(DataError, match=rf'a\.mat.*{reason}'):
                file[name]
        assert file['zeros'].shape == (1000, 1000)
