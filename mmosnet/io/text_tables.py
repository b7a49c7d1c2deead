"""Tables as text, for a terminal, a log or a Markdown page. Needs no torch.

``tabulate`` lays them out; with ``wcwidth`` (``tabulate[widechars]``) it also knows that a Chinese or Japanese
character takes two columns. rich would do too: it is larger, and cuts tables to the width of a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmosnet.errors import in_one_line, need

# Between cells, and for the rule below the titles; blanks on both sides of a cell.
_TEXT = dict(row=('', ' | ', ''), rule=('', '-', '-+-', ''), padding=0)
_MARKDOWN = dict(row=('|', '|', '|'), rule=('|', '-', '|', '|'), padding=1)
_FACTS = dict(row=('', '  ', ''), rule=None, padding=0)
_ALIGNMENTS = dict(l='left', r='right')


def text_table(titles: Sequence[str], rows: Sequence[Sequence[str]], align: str = 'lr', indent: int = 0) -> str:
    """Lay out cells in columns, below their titles and a rule.

    Characters that a terminal cannot show, as line breaks and lone surrogates in the names of files, are escaped.

    Args:
        titles: Titles of the columns.
        rows: Rows with one cell for each column.
        align: ``'l'`` (left) or ``'r'`` (right) for each column; the last letter also holds for the columns that
            follow. By default the first column is aligned left and the others right.
        indent: Spaces before each line.

    Returns:
        The lines, joined.
    """
    lines = _lay_out(_TEXT, titles, rows, align)
    return '\n'.join((' ' * indent + line).rstrip() for line in lines)


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out cells as a Markdown table, all columns aligned left.

    Args:
        titles: Titles of the columns.
        rows: Rows with one cell for each column.

    Returns:
        The lines, joined.
    """
    titles, *rows = ([cell.replace('|', '\\|') for cell in row] for row in (titles, *rows))
    return '\n'.join(_lay_out(_MARKDOWN, titles, rows, 'l'))


def fact_table(facts: Sequence[tuple[str, str]]) -> str:
    """Lay out names and values in two columns without titles.

    Args:
        facts: Pairs of a name and its value.

    Returns:
        The lines, joined.
    """
    return '\n'.join(line.rstrip() for line in _lay_out(_FACTS, None, facts, 'l'))


def number_text(value: float | None) -> str:
    """Return a share with four digits; an empty cell for None."""
    return '' if value is None else f'{value:.4f}'


def _lay_out(style: dict, titles: Sequence[str] | None, rows: Sequence[Sequence[str]], align: str) -> list[str]:
    tabulate = need('tabulate', 'gallery')
    row, rule = tabulate.DataRow(*style['row']), style['rule'] and tabulate.Line(*style['rule'])
    cells = [[in_one_line(cell) for cell in row] for row in rows]
    if titles is not None:
        # The titles as a row: tabulate would add two spaces to each of its own headers.
        cells = [[in_one_line(title) for title in titles], tabulate.SEPARATING_LINE, *cells]
    width = len(titles or (rows or [()])[0])
    text = tabulate.tabulate(
        cells,
        tablefmt=tabulate.TableFormat(None, rule, None, None, row, row, style['padding'], None),
        # Cells are laid out as they are: '1e5' and '007' stay text, and blanks in front of a name stay.
        disable_numparse=True,
        preserve_whitespace=True,
        colalign=[_ALIGNMENTS[letter] for letter in (align + align[-1] * width)[:width]],
    )
    return text.split('\n')
