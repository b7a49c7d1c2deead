"""Packages that only exporting needs, imported when they are."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from mmosnet.errors import DataError


def need(name: str, extra: str) -> ModuleType:
    """Import a package of one of setup.cfg's extras.

    Raises:
        DataError: It is not installed; names the extra.
    """
    try:
        return import_module(name)
    except ImportError as e:
        raise DataError(f"{name} cannot be imported ({e}): pip install 'mmosnet[{extra}]'") from e
