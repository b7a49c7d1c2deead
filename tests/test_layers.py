"""The package keeps to its layers: the contracts of ``[tool.importlinter]`` in pyproject.toml."""

import ast
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / 'mmosnet'
CONTRACTS = str(REPOSITORY / 'pyproject.toml')
# These import by name: public names and commands are looked up in tables, optional packages may be missing.
BY_NAME = {'lazy_import.py', 'compatibility.py', 'cli/main.py', 'errors.py'}


def test_each_part_imports_only_what_stands_below_it():
    # In a process of its own: the linter switches off the loggers of the process that it runs in.
    program = f'from importlinter.cli import lint_imports as run; raise SystemExit(run({CONTRACTS!r}, no_cache=True))'
    done = subprocess.run([sys.executable, '-c', program], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_imported_by_a_string():
    """The linter does not follow ``import_module('mmosnet.x')``, so that it could hide a circle."""
    importers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob('*.py')
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition('.')[2] in ('import_module', '__import__')
    }
    assert importers <= BY_NAME
