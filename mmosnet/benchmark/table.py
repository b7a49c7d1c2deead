"""Measurements laid out for people: as text, and as Markdown for ``docs/benchmarks.md``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from mmosnet.benchmark.measurement import MEASURED, Measurement, mean_ratio, seconds_text
from mmosnet.benchmark.report import Report
from mmosnet.benchmark.row import Row
from mmosnet.errors import DataError
from mmosnet.whole_file import whole_file

HEAD = ['row', 'case', 'ours', 'peer', 'ratio (min-max)', 'limit share', 'target', '']
QUICK_NOTE = 'Quick run with small sizes: it shows that everything runs, and says nothing about the published sizes.'
# The part of a Markdown file that a run replaces.
BEGIN, END = '<!-- benchmark table -->', '<!-- end of benchmark table -->'


def table_lines(report: Report, rows: Sequence[Row]) -> list[list[str]]:
    """The cells of the table, a line a case, and one for the geometric mean where a row has a target for it."""
    lines = []
    for row in rows:
        found = [measurement for measurement in report.measurements if measurement.row == row.name]
        lines += [_case_cells(measurement) for measurement in found]
        mean = mean_ratio(found)
        if row.target.mean_ratio is not None and mean is not None:
            reached = None if report.quick else mean >= row.target.mean_ratio
            cells = ['', '', f'{mean:.2f}x', '', f'>= {row.target.mean_ratio:g}x', verdict(reached)]
            lines.append([row.name, 'geometric mean', *cells])
    return lines


def _case_cells(measurement: Measurement) -> list[str]:
    cells = [measurement.row, measurement.case]
    if measurement.status != MEASURED:
        return [*cells, '', '', '', '', measurement.target, f'{measurement.status}: {measurement.reason}']
    ratios = measurement.ratios
    ratio = f'{measurement.ratio:.2f}x ({min(ratios):.2f}-{max(ratios):.2f})' if ratios else ''
    share = '' if measurement.limit_share is None else f'{measurement.limit_share:.0%}'
    notes = [verdict(measurement.reached), measurement.equality, _facts_text(measurement), measurement.reason]
    return [
        *cells,
        _seconds_cell(measurement.ours),
        _seconds_cell(measurement.peer),
        ratio,
        share,
        measurement.target,
        '; '.join(note for note in notes if note),
    ]


def _seconds_cell(laps: Sequence[float]) -> str:
    return seconds_text(median(laps)) if laps else ''


def _facts_text(measurement: Measurement) -> str:
    return ', '.join(
        f'{name} {value:.3g}' if value < 1000 else f'{name} {value:,.0f}' for name, value in measurement.facts.items()
    )


def verdict(reached: bool | None) -> str:
    """``met``, ``missed`` or nothing."""
    return '' if reached is None else 'met' if reached else 'missed'


def text_table(report: Report, rows: Sequence[Row]) -> str:
    """The table for a terminal, under a description of the machine."""
    lines = [HEAD, *table_lines(report, rows)]
    # The last column is as long as it is.
    widths = [max(len(cells[column]) for cells in lines) for column in range(len(HEAD) - 1)]
    laid_out = [
        ' | '.join([*(f'{cell:{width}s}' for cell, width in zip(cells, widths, strict=False)), cells[-1]]).rstrip()
        for cells in lines
    ]
    laid_out.insert(1, '-+-'.join('-' * width for width in widths) + '-+-')
    return '\n'.join([*machine_lines(report), '', *laid_out])


def markdown_table(report: Report, rows: Sequence[Row]) -> str:
    """The same for ``docs/benchmarks.md``, with the command."""
    lines = [[*HEAD[:-1], 'result'], *table_lines(report, rows)]
    cells = ['| ' + ' | '.join(cell.replace('|', '\\|') for cell in line) + ' |' for line in lines]
    cells.insert(1, '|' + '---|' * len(HEAD))
    return '\n'.join(['```', report.command, '```', '', *machine_lines(report), '', *cells])


def machine_lines(report: Report) -> list[str]:
    """What was measured where, in two or three lines."""
    machine = report.machine
    packages = ', '.join(f'{name} {version}' for name, version in machine['packages'].items())
    hardware = [machine['cpu'], f'{machine["cores"]} cores', f'{machine["threads"]} threads']
    if machine['memory_gib']:
        hardware.append(f'{machine["memory_gib"]} GiB')
    hardware += machine['instruction_sets']
    hardware.append(machine['gpu'] or 'no GPU')
    lines = [
        ', '.join(hardware) + f'; {machine["os"]}, Python {machine["python"]}.',
        f'mmosnet {machine["mmosnet"]} ({machine["revision"] or "no revision"}), {report.date[:10]}; {packages}.',
    ]
    return [QUICK_NOTE, *lines] if report.quick else lines


def write_markdown(path: str | Path, report: Report, rows: Sequence[Row]) -> None:
    """Put the table into a Markdown file: between its marks, or into a new file.

    Raises:
        DataError: The file exists and has no marks.
    """
    path = Path(path)
    content = f'{BEGIN}\n{markdown_table(report, rows)}\n{END}\n'
    if path.is_file():
        before, begin, rest = path.read_text(encoding='utf-8').partition(f'{BEGIN}\n')
        _, end, after = rest.partition(f'{END}\n')
        if not begin or not end:
            raise DataError(f'{path} has no lines {BEGIN} and {END} to put the table between')
        content = before + content + after
    with whole_file(path) as draft:
        draft.write_text(content, encoding='utf-8')
