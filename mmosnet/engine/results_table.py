"""Metrics laid out as text: one table, for logs and for people."""

from __future__ import annotations

from collections.abc import Mapping

from mmosnet.drawing.tables import number_text, text_table

Rows = Mapping[str, Mapping[str, float]]


def results_table(rows: Rows, corner: str = '') -> str:
    """Lay out metrics as a table, one row per name; with several tasks one row per metric.

    A metric's name is ``prefix/title`` or ``prefix/group/title``. A group with the titles of the ungrouped metrics, as
    those after re-ranking, is a further row; another one, as verification, a table of its own below.

    Args:
        rows: Metrics by name of the row.
        corner: Text in the corner of the main table, such as the distance that ranks the images.

    Returns:
        The lines, joined.
    """
    prefixes = {key.split('/')[0] for metrics in rows.values() for key in metrics if '/' in key}
    if len(prefixes) > 1:
        return _table(corner, _turned(rows))
    tables: dict[str, dict[str, dict[str, float]]] = {'': {}}
    for row, metrics in rows.items():
        titles = {key.rpartition('/')[2] for key in metrics if key.count('/') < 2}
        for key, value in metrics.items():
            _, *group, title = key.split('/') if '/' in key else ('', key)
            name = group[0] if group else ''
            alike = title in titles
            line = f'{row}, {name}' if name and alike else row
            tables.setdefault('' if alike else name, {}).setdefault(line, {})[title] = value
    return '\n\n'.join(_table(name or corner, lines) for name, lines in tables.items() if lines)


def _turned(rows: Rows) -> dict[str, dict[str, float]]:
    """Transpose: metrics become rows, because the metrics of several tasks do not fit side by side."""
    names = dict.fromkeys(key for metrics in rows.values() for key in metrics)
    return {
        name.replace('/', ' '): {row: metrics[name] for row, metrics in rows.items() if name in metrics}
        for name in names
    }


def _table(corner: str, rows: Rows) -> str:
    """Lay out one table with its name in the corner."""
    titles = list(dict.fromkeys(title for metrics in rows.values() for title in metrics))
    lines = [[name, *(number_text(metrics.get(title)) for title in titles)] for name, metrics in rows.items()]
    return text_table([corner, *titles], lines)
