"""Imports that wait: of public names until they are used, of registrations until their registry is imported.

Importing mmosnet thus costs nothing that is not used, and needs neither torch nor OpenMMLab.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).resolve().parent


def public_names(package: str) -> dict[str, str]:
    """Return the public names of a package, each with its module.

    They stand in the package's stub, ``__init__.pyi``, where type checkers find them too.

    Args:
        package: ``mmosnet``, or a package in it: ``mmosnet.models``.
    """
    stub = PACKAGE.joinpath(*package.split('.')[1:], '__init__.pyi')
    names: dict[str, str] = {}
    for node in ast.parse(stub.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names |= public_names(node.module) if alias.name == '*' else {alias.name: node.module}
    return names


def lazy_names(package: str) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package whose names are imported on their first use (PEP 562).

    ``lazy_loader`` does the same for a package alone: it refuses stubs that import from a package beside it, or ``*``.

    Args:
        package: Its full name. It has a stub, as :func:`public_names` reads it.
    """
    names = public_names(package)

    def resolve(name: str) -> object:
        if name in names:
            value = getattr(import_module(names[name]), name)
        elif not name.startswith('_') and find_spec(f'{package}.{name}') is not None:
            value = import_module(f'{package}.{name}')
        else:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        # The next use finds it without this function.
        setattr(sys.modules[package], name, value)
        return value

    return resolve, lambda: sorted({*vars(sys.modules[package]), *names})


def after_import(module: str, action: Callable[[], None]) -> None:
    """Run an action as soon as a module has been imported: now, or later, and then once.

    Args:
        module: Its full name.
        action: Takes no arguments. It runs while packages around the module may still be incomplete.
    """
    if module in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, _Watcher(module, action))


class _Watcher:
    """Find one module, as Python would, and run an action when it has been imported."""

    def __init__(self, module: str, action: Callable[[], None]) -> None:
        self.module = module
        self.action = action

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the module; see :class:`importlib.abc.MetaPathFinder`."""
        spec = PathFinder.find_spec(name, path, target) if name == self.module else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_act(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                self.action()

        spec.loader.exec_module = execute_and_act  # type: ignore[method-assign]
        return spec
