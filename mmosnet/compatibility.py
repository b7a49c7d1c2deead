"""The versions of the OpenMMLab stack that mmosnet is tested with, checked before anything of it is imported."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec

# module: (first supported, first unsupported, what to install).
SUPPORTED_VERSIONS = {
    'torch': ('2.6.0', '3.0.0', "pip install 'torch>=2.6' torchvision"),
    'mmengine': ('0.10.7', '1.0.0', "pip install 'mmengine>=0.10.7,<1.0'"),
    'mmcv': (
        '2.0.0',
        '2.4.0',
        "pip install 'mmcv-lite>=2.0.0,<2.4' (all that mmosnet needs; in a checkout: pip install -e "
        "'.[lite]'), or the full mmcv if other OpenMMLab toolboxes share the environment",
    ),
    'mmpretrain': ('1.2.0', '1.3.0', "pip install 'mmpretrain>=1.2.0,<1.3'"),
}


def check_versions() -> None:
    """Raise an error if a required package is missing or outside :data:`SUPPORTED_VERSIONS`.

    mmcv is no hard requirement of the distribution, because ``mmcv`` and ``mmcv-lite`` install over
    the same folder and only the user knows which one the environment wants.

    Raises:
        ImportError: Names the package, the version found, the supported window and the command that
            installs a supported one.
    """
    for name, (first, beyond, remedy) in SUPPORTED_VERSIONS.items():
        if find_spec(name) is None:
            raise ImportError(f'mmosnet needs {name}>={first},<{beyond}, and it is not installed: {remedy}')
        found = _version_of(name)
        if not _release(first) <= _release(found) < _release(beyond):
            raise ImportError(f'mmosnet supports {name}>={first},<{beyond} and found {found}: {remedy}')


def _version_of(name: str) -> str:
    """Return the version that a module states, for mmpretrain without importing it: it asserts on import."""
    if name == 'mmpretrain':
        return import_module('importlib.metadata').version(name)
    return import_module(name).__version__


def _release(version: str) -> tuple[int, ...]:
    """Return the numeric release of a version: ``'2.15.0+cu132'`` gives ``(2, 15, 0)``."""
    return tuple(int(number) for number in re.match(r'\d+(\.\d+){0,2}', version)[0].split('.'))
