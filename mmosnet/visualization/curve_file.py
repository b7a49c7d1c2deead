"""Curves in files: JSON, which this reads again for another figure, and CSV for other programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmosnet.errors import DataError
from mmosnet.io.files import read_json, whole_file


def write_curves(path: Path, kind: str, curves: Sequence[dict]) -> Path:
    """Write curves as JSON.

    Args:
        path: The file; its folder is made.
        kind: Kind of the figure: ``'cmc'`` or ``'roc'``.
        curves: Numbers and lists of numbers by name.
    """
    with whole_file(path) as draft:
        draft.write_text(json.dumps(dict(kind=kind, curves=list(curves)), indent=1) + '\n')
    return path


def read_curves(path: str | Path, kind: str, keys: Iterable[str]) -> list[dict]:
    """Read the curves that :func:`write_curves` wrote.

    Args:
        path: The file.
        kind: Kind of the figure.
        keys: Keys that every curve must have.

    Raises:
        FileNotFoundError: No such file.
        DataError: Another kind of file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no file {path}: `mmosnet visualize {kind}` writes {kind}.json')
    content = read_json(path, f'give a {kind}.json of `mmosnet visualize {kind}`')
    found = content.get('kind') if isinstance(content, dict) else None
    if found != kind or not isinstance(content.get('curves'), list):
        what = f'curves of the kind {found}' if found else 'no curves'
        raise DataError(f'{path} holds {what}: give a {kind}.json of `mmosnet visualize {kind}`')
    for curve in content['curves']:
        missing = [key for key in keys if not isinstance(curve, dict) or key not in curve]
        if missing:
            raise DataError(f'{path}: a curve without {", ".join(missing)}; write the file anew')
    return content['curves']


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> Path:
    """Write rows as CSV, floating point numbers unrounded."""
    with whole_file(path) as draft, draft.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path
