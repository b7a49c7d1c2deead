"""Reading JSON files, strictly. Needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmosnet.errors import DataError


def read_json(path: Path, remedy: str) -> Any:
    """Read a JSON file in UTF-8, UTF-16 or UTF-32.

    Args:
        path: The file.
        remedy: Advice on a file that cannot be used, for the error message.

    Raises:
        DataError: No JSON, nested too deeply, or an object with a key twice, of which ``json`` keeps the last.
        OSError: It is missing, or cannot be read.
    """
    data = path.read_bytes()
    try:
        return json.loads(data.decode(json.detect_encoding(data)), object_pairs_hook=_object)
    except ValueError as e:
        raise DataError(f'{path} is no JSON ({e}); {remedy}') from e
    except RecursionError as e:
        raise DataError(f'{path} is nested too deeply; {remedy}') from e


def _object(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f'an object has the key {twice[:60]!r} twice')
    return found
