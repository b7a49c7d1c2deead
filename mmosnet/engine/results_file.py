"""``results.json``, which every training and test leaves in its folder, read again."""

from __future__ import annotations

import json
from pathlib import Path

from mmosnet.errors import DataError

RESULTS_FILE = 'results.json'


def read_results(folder: str | Path) -> dict:
    """The results in a run's folder; empty where there are none yet.

    Raises:
        DataError: The file is damaged.
    """
    path = Path(folder) / RESULTS_FILE
    if not path.is_file():
        return {}
    try:
        results = json.loads(path.read_bytes())
    # Recursion: lists within lists within lists.
    except (ValueError, RecursionError) as e:
        reason = str(e)
    else:
        if isinstance(results, dict):
            return results
        reason = f'a {type(results).__name__}, not an object'
    raise DataError(
        f'{path}: damaged ({reason}). Delete it: a training goes on from its checkpoints, the best epoch is then '
        'that since'
    )
