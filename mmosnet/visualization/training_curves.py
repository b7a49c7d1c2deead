"""From work directories to the curves of their trainings: a picture, numbers and a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmosnet.drawing.figures import save_figure
from mmosnet.errors import DataError
from mmosnet.visualization.curve_file import write_table
from mmosnet.visualization.training_figure import chosen_scores, draw_training, training_table
from mmosnet.visualization.training_log import TrainingRun, read_run

HEADER = ('run', 'split', 'epoch', 'iteration', 'name', 'value')


def visualize_training(
    paths: Sequence[str], out_dir: Path, metrics: Sequence[str] = (), names: Sequence[str] = ()
) -> list[str]:
    """Draw ``training.png`` and write all that was logged to ``training.csv``.

    Args:
        paths: Work directories, or logs.
        out_dir: Gets the files.
        metrics: Names of scores; the usual ones if empty.
        names: Names of the runs; those of the folders by default.

    Returns:
        Lines that tell what was found and where it is.

    Raises:
        FileNotFoundError: No such folder, or no log in it.
        DataError: A damaged log, a score that nobody logged, or another number of names.
    """
    runs = [read_run(path) for path in paths]
    if names and len(names) != len(runs):
        raise DataError(f'--names gives {len(names)} names to {len(runs)} runs')
    found = [run.name for run in runs]
    for run, path, name in zip(runs, paths, names or found, strict=True):
        run.name = name if names or found.count(name) == 1 else str(path)
    scores = chosen_scores(runs, metrics)
    figure = save_figure(draw_training(runs, scores), out_dir / 'training.png')
    table = write_table(out_dir / 'training.csv', HEADER, (row for run in runs for row in _rows(run)))
    notes = [f'note: {run.name}: {note}' for run in runs for note in run.notes]
    return [*training_table(runs, scores).splitlines(), '', *notes, f'picture  {figure}', f'numbers  {table}']


def _rows(run: TrainingRun):
    for split, records in (('train', run.train), ('val', run.val)):
        for record in records:
            for name, value in record.values.items():
                yield run.name, split, record.epoch, record.iteration, name, value
