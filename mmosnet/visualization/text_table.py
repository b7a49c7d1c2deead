"""Tables in the terminal."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out cells as text: the first column left-aligned, the others right-aligned.

    Args:
        titles: Titles of the columns.
        rows: Rows, with one cell per title.

    Returns:
        The lines.
    """
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    lines = [_line(row, widths) for row in (titles, *rows)]
    return [lines[0], '-+-'.join('-' * width for width in widths), *lines[1:]]


def number_text(value: float | None) -> str:
    """Return a share with four digits; empty for None."""
    return '' if value is None else f'{value:.4f}'


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return ' | '.join([f'{first[0]:<{first[1]}s}', *(f'{cell:>{width}s}' for cell, width in rest)]).rstrip()
