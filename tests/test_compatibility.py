import subprocess
import sys
from importlib import import_module

import pytest

from mmosnet import compatibility


@pytest.mark.parametrize(
    ('version', 'release'),
    [('2.15.0+cu132', (2, 15, 0)), ('0.10.7', (0, 10, 7)), ('3.0.0rc1', (3, 0, 0)), ('1.2', (1, 2))],
)
def test_release_reads_the_numbers(version, release):
    assert compatibility._release(version) == release


def test_version_outside_the_window_names_what_to_install(monkeypatch):
    monkeypatch.setattr(compatibility, '_version_of', lambda name: '1.7.2')
    with pytest.raises(ImportError, match=r'mmcv>=2.0.0,<2.4.0 and found 1.7.2: pip install .*lite.*onedl'):
        compatibility.check_versions('mmcv')


@pytest.mark.parametrize('name', compatibility.SUPPORTED_VERSIONS)
def test_versions_are_those_of_the_modules(name):
    found = compatibility._version_of(name)
    assert found.partition('+')[0] == import_module(name).__version__.partition('+')[0]


def test_import_without_mmcv_names_what_to_install():
    # A finder that hides mmcv stands for an environment without it.
    program = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'mmcv':
            raise ModuleNotFoundError(name)
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == 'mmcv' else find_spec(name, *a)
sys.meta_path.insert(0, Hidden())
import mmosnet
mmosnet.OSNet
"""
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert 'mmosnet needs mmcv>=2.0.0' in last
    assert 'mmcv-lite' in last and 'onedl' in last
