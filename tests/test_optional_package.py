import pytest

from mmosnet import optional_package
from mmosnet.errors import DataError
from mmosnet.optional_package import need


def test_an_extra_is_named():
    assert need('json', 'onnx').loads('1') == 1
    with pytest.raises(DataError, match=r"^no_such_package cannot .*: pip install 'mmosnet\[gallery\]'$"):
        need('no_such_package', 'gallery')


def test_without_torch_its_packages_are(monkeypatch):
    monkeypatch.setattr(optional_package, 'find_spec', lambda name: None)
    lines = [
        'torch>=2.6',
        'faiss-cpu>=1; extra == "gallery"',
        "pyarrow>=15 ; extra=='gallery'",
        'h5py; extra == "m"',
    ]
    monkeypatch.setattr(optional_package, 'requires', lambda name: lines)
    with pytest.raises(DataError, match=r"pip install 'faiss-cpu>=1' 'pyarrow>=15'$"):
        need('no_such_package', 'gallery')

    def not_installed(name):
        raise optional_package.PackageNotFoundError

    monkeypatch.setattr(optional_package, 'requires', not_installed)
    with pytest.raises(DataError, match=r"pip install 'mmosnet\[gallery\]'$"):
        need('no_such_package', 'gallery')
