"""The OpenMMLab stack: the versions that mmosnet is tested with, and its backbone in mmengine's registry."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec

from mmosnet.errors import DataError

STACKS = (
    "pip install '.[lite]' in a clone of mmosnet, or 'mmosnet-VERSION-py3-none-any.whl[lite]', for OpenMMLab's last "
    "releases (mmengine, mmcv-lite, mmpretrain); '[onedl]' in place of '[lite]' for their maintained forks, in an "
    'environment without the others'
)
# module: (first supported, first unsupported, what to install).
SUPPORTED_VERSIONS = {
    'torch': ('2.6.0', '3.0.0', "pip install 'torch>=2.6' torchvision"),
    'mmengine': ('0.10.7', '1.0.0', STACKS),
    'mmcv': ('2.0.0', '2.4.0', f'{STACKS}. Where other OpenMMLab toolboxes share the environment, the full mmcv'),
    'mmpretrain': ('1.2.0', '1.4.0', STACKS),
}
# The distributions that a module may come from, for a version that is read without importing it.
DISTRIBUTIONS = {'mmcv': ('mmcv', 'mmcv-lite', 'onedl-mmcv'), 'mmpretrain': ('mmpretrain', 'onedl-mmpretrain')}


class StackError(ImportError, DataError):
    """A package that mmosnet needs is missing, or of a version that it does not support."""


def check_versions(*names: str) -> None:
    """Raise where a package is missing or outside of :data:`SUPPORTED_VERSIONS`.

    mmengine, mmcv and mmpretrain are no hard requirements of the distribution, because OpenMMLab's and their forks
    install over the same folders, and so do ``mmcv`` and ``mmcv-lite``: only the user knows what the environment wants.

    Args:
        names: Of the packages; all by default.

    Raises:
        StackError: Names the package, the version found, the supported window and the command that installs a
            supported one.
    """
    for name in names or SUPPORTED_VERSIONS:
        first, beyond, remedy = SUPPORTED_VERSIONS[name]
        if find_spec(name) is None:
            raise StackError(f'mmosnet needs {name}>={first},<{beyond}, and it is not installed: {remedy}')
        installed = _version_of(name)
        if not _release(first) <= _release(installed) < _release(beyond):
            raise StackError(f'mmosnet supports {name}>={first},<{beyond} and found {installed}: {remedy}')


def _version_of(name: str) -> str:
    """Return the version of a module; of a distribution where the import of the module costs or asserts too much."""
    # Takes longer than all of ``import mmosnet``, which this module is a part of.
    from importlib import metadata

    for distribution in DISTRIBUTIONS.get(name, ()):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return import_module(name).__version__


def _release(version: str) -> tuple[int, ...]:
    """Return the numeric release of a version: ``'2.15.0+cu132'`` gives ``(2, 15, 0)``."""
    return tuple(int(number) for number in re.match(r'\d+(\.\d+){0,2}', version)[0].split('.'))


@contextmanager
def supported_stack(*names: str) -> Iterator[None]:
    """Check the versions of the stack, then let it be imported inside of the block without a warning of mmcv-lite's.

    Args:
        names: As of :func:`check_versions`.

    Raises:
        StackError: As of :func:`check_versions`.
    """
    check_versions(*names)
    with warnings.catch_warnings():
        # mmcv-lite announces the compiled operators that it leaves out; none is used here.
        warnings.filterwarnings('ignore', message='Fail to import', category=UserWarning)
        yield


def register_backbone() -> None:
    """Make plain ``type='OSNet'`` known to all toolboxes, by the registry of mmengine's that theirs descend from.

    What is registered imports the backbone when it is called; :mod:`mmosnet.models.osnet` puts the class in its place.
    It could not be imported here: mmengine may be in the middle of its own import.
    """
    from mmengine.registry import MODELS

    MODELS.register_module(name='OSNet', module=_build_backbone)


def _build_backbone(*args: object, **kwargs: object) -> object:
    """Import OSNet and build one."""
    return import_module('mmosnet.models.osnet').OSNet(*args, **kwargs)
