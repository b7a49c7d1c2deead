"""Packages of setup.cfg's extras, imported when something needs them."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from types import ModuleType

from mmosnet.errors import DataError
from mmosnet.user_errors import user_line


def need(name: str, extra: str) -> ModuleType:
    """Import a package of one of setup.cfg's extras.

    Raises:
        DataError: It is not installed; says what to install.
        ImportError: It is, and the system cannot read it.
    """
    # With it OpenVINO reports each import to Google Analytics, NNCF each use: they do without it.
    sys.modules.setdefault('openvino_telemetry', None)
    try:
        return import_module(name)
    except ImportError as e:
        # It is there, and the system cannot read it, as with too many open files.
        if user_line(e):
            raise
        raise DataError(f'{name} cannot be imported ({e}): pip install {_packages(extra)}') from e


def _packages(extra: str) -> str:
    """Return the extra to install; on a device without torch the packages in it, since extras would bring torch."""
    if find_spec('torch') is None:
        try:
            found = [line.split(';') for line in requires('mmosnet') or []]
        except PackageNotFoundError:
            # Run from a folder with the code.
            found = []
        packages = [repr(line[0].strip()) for line in found if f"extra=='{extra}'" in _plain(line[-1])]
        if packages:
            return ' '.join(packages)
    return f"'mmosnet[{extra}]'"


def _plain(marker: str) -> str:
    return marker.replace(' ', '').replace('"', "'")
