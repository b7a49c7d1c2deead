"""Plain tables without ``tabulate``, which ``mmosnet doctor`` may have to report as missing.

A device may have mmosnet without its dependencies; there ``doctor`` and ``configs`` must work, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table with columns of equal width, and a rule below the first row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        yield '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if number == 0:
            yield '  '.join('-' * width for width in widths)
