"""From a config and a checkpoint to the confusion matrix of the test set: a picture, numbers and a table."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from mmosnet.drawing.figures import most_confused_pairs, save_confusion_matrix
from mmosnet.evaluation.metrics import CategoryMetric
from mmosnet.visualization.curve_file import write_table
from mmosnet.visualization.evaluated_data import evaluate

# Pairs of categories in the printed table.
TOLD_PAIRS = 10


def visualize_confusion(cfg: Config, checkpoint: str, out_dir: Path) -> list[str]:
    """Draw ``confusion_matrix.png`` and write all counts to ``confusion_matrix.csv``.

    Args:
        cfg: Config with a category test.
        checkpoint: Checkpoint of the model.
        out_dir: Gets the files.

    Returns:
        Lines that tell what was found and where it is.

    Raises:
        FileNotFoundError: No such checkpoint or data.
        DataError: The config is one of another task or network.
    """
    evaluated = evaluate(cfg, checkpoint, CategoryMetric)
    metric = evaluated.metric
    scores = metric.evaluate(len(metric.results))
    confusion, classes = metric.confusion, metric.classes
    path = out_dir / 'confusion_matrix.png'
    figure = save_confusion_matrix(confusion, classes, path, data=evaluated.data_name)
    rows = ([name, *row] for name, row in zip(classes, confusion.tolist(), strict=True))
    table = write_table(out_dir / 'confusion_matrix.csv', ['true / predicted', *classes], rows)
    told = ', '.join(f'{name.rpartition("/")[2]} {value:.2f} %' for name, value in scores.items())
    lines = [
        f'{evaluated.data_name}: {int(confusion.sum()):,} images; {told}',
        '',
        'most often taken for each other',
    ]
    pairs = most_confused_pairs(confusion)[:TOLD_PAIRS]
    for first, second in pairs:
        if confusion[first, second] < confusion[second, first]:
            first, second = second, first
        here, there = confusion[first, second], confusion[second, first]
        reverse = f', {classes[second]} for {classes[first]} {there:,}' if there else ''
        lines.append(f'{here + there:>7,}  {classes[first]} for {classes[second]} {here:,}{reverse}')
    if not len(pairs):
        lines.append('  none')
    return [*lines, '', f'picture  {figure}', f'numbers  {table}']
