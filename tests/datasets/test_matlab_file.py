import sys

import numpy as np
import pytest

from mmosnet.datasets.matlab_file import MatlabFile
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


def test_without_h5py_the_error_names_the_extra(tmp_path, monkeypatch):
    path = write_mat(tmp_path / 'a.mat', VARIABLES, '7.3')
    monkeypatch.setitem(sys.modules, 'h5py', None)
    with pytest.raises(ValueError, match=r"pip install -e '\.\[matlab\]'"), MatlabFile(path):
        pass
