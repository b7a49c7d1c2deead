"""``results.json``, which every training and test leaves in its folder, read again."""

from __future__ import annotations

from pathlib import Path

from mmosnet.errors import DataError
from mmosnet.io.files import read_json

RESULTS_FILE = 'results.json'


def read_results(folder: str | Path) -> dict:
    """Read the results in a run's folder; empty where there are none yet.

    Raises:
        DataError: The file is damaged.
    """
    path = Path(folder) / RESULTS_FILE
    if not path.is_file():
        return {}
    remedy = 'delete it: a training goes on from its checkpoints, the best epoch is then that since'
    results = read_json(path, remedy)
    if not isinstance(results, dict):
        raise DataError(f'{path} is damaged (a {type(results).__name__}, not an object): {remedy}')
    return results
