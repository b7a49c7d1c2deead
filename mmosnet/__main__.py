"""``python -m mmosnet``: what can be done, with which command, and what is installed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mmosnet.command_list import EXTRAS, JOBS
from mmosnet.version import __version__

PACKAGE = Path(__file__).resolve().parent
# Each by the names it is distributed under.
REQUIRED = (('torch',), ('mmengine',), ('mmcv', 'mmcv-lite'), ('mmpretrain',))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog='python -m mmosnet',
        description='List what can be done with mmosnet, the command for it and the page that explains it; then the '
        'versions of what is installed, and the optional packages. Every tool has a --help.',
    )
    parser.parse_args()
    print('\n'.join([*job_lines(Path.cwd()), '', *version_lines()]))


def job_lines(folder: Path) -> Iterator[str]:
    """Return the table of jobs, with each command as it is typed in the given folder."""
    project = find_project(folder)
    in_project = project == folder
    yield f'mmosnet {__version__}: OSNet for person re-identification, attributes and categories'
    yield ''
    pages = project / 'docs'
    rows = [('to', 'type', 'page')]
    for job in JOBS:
        command = job.command
        if not in_project:
            command = command.replace(' tools/', ' $TOOLS/').replace(' configs/', ' $TOOLS/../configs/')
        rows.append((job.title, command, f'docs/{job.page}' if pages.is_dir() else job.page))
    yield from table(rows)
    yield ''
    yield f'CONFIG      a file in {"configs" if in_project else project / "configs"}'
    yield 'MODEL       a config, or a name in configs/README.md: osnet-x0.25_multitask-synthetic'
    yield 'CHECKPOINT  a file, torchreid://NAME, or released: the weights that belong to a name'
    if not in_project:
        yield f'First       TOOLS={project / "tools"}'
    if not pages.is_dir():
        yield 'Pages       in the folder docs of the repository of mmosnet, which this installation does not hold'
    yield 'Every command takes --help.'


def find_project(folder: Path) -> Path:
    """Find the folder that holds tools, configs and docs: the current folder, the clone or the wheel's own copy."""
    clone = PACKAGE.parent
    if (folder / 'tools' / 'train.py').is_file() and (folder / 'mmosnet').is_dir():
        return folder
    return clone if (clone / 'tools' / 'train.py').is_file() else PACKAGE / '.mim'


def version_lines() -> Iterator[str]:
    """Return the table of installed packages and their versions, found without importing them."""
    rows = [('installed', 'version', '')]
    for names in REQUIRED:
        found = [(name, installed(name)) for name in names if installed(name)]
        name, number = found[0] if found else (' or '.join(names), 'missing')
        rows.append((name, number, '' if found else 'needed for training, not for exported models'))
    rows.append(('Python', '.'.join(map(str, sys.version_info[:3])), ''))
    yield from table(rows)
    yield ''
    rows = [('extra', 'packages', '')]
    for extra, names in EXTRAS.items():
        missing = [name for name in names if not installed(name)]
        state = f"pip install 'mmosnet[{extra}]'" if missing else 'installed'
        if 0 < len(missing) < len(names):
            state += f' (missing: {", ".join(missing)})'
        rows.append((extra, ', '.join(names), state))
    yield from table(rows)


def installed(name: str) -> str | None:
    """Return the version of a distribution; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Lay out rows in columns, with a rule below the first row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        yield '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if number == 0:
            yield '  '.join('-' * width for width in widths if width)


if __name__ == '__main__':
    main()
