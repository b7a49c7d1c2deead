import os
import subprocess
import sys

import pytest

from mmosnet import optional_package
from mmosnet.errors import DataError
from mmosnet.optional_package import need


def test_packages_of_the_extra_are_named(monkeypatch):
    assert need('json', 'onnx').loads('1') == 1
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
    with pytest.raises(DataError, match=r"pip install '\.\[gallery\]'"):
        need('no_such_package', 'gallery')


def test_openvino_reports_to_nobody(tmp_path):
    program = (
        'import socket, sys\n'
        'asked = []\n'
        'socket.getaddrinfo = lambda *arguments, **options: asked.append(arguments)\n'
        'from mmosnet.optional_package import need\n'
        "need('openvino', 'openvino')\n"
        'import threading\n'
        '[t.join(5) for t in threading.enumerate() if t is not threading.main_thread()]\n'
        'print(asked, [name for name in sys.modules if name.startswith("openvino_telemetry.")])\n'
    )
    environment = {**os.environ, 'HOME': str(tmp_path)}
    done = subprocess.run([sys.executable, '-c', program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split('\n')[-2] == '[] []'
    # Where it keeps the number that it gives each machine.
    assert not (tmp_path / 'intel').exists()
