"""Report of a run: take measurements, keep them as JSON, lay them out for a terminal and ``docs/benchmarks.md``."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import torch

from benchmarks.measure import ERROR, MEASURED, Measurement, Row, Settings, mean_ratio, measure, seconds_text
from mmosnet.errors import DataError
from mmosnet.io.files import whole_file
from mmosnet.io.text_tables import markdown_table, text_table
from mmosnet.version import __version__


@dataclass
class Report:
    """Results of a run.

    Attributes:
        machine: Result of :func:`describe_machine`.
        command: Command that repeats the run.
        date: Start of the run, ISO 8601.
        quick: Whether sizes are small; such results are not published.
        measurements: One measurement per case.
    """

    machine: dict
    command: str
    date: str
    quick: bool = False
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether a case failed; a case that cannot be measured here has not failed."""
        return any(measurement.status == ERROR for measurement in self.measurements)

    def write(self, path: str | Path) -> None:
        """Write the report as JSON."""
        content = asdict(self) | dict(measurements=[measurement.as_json() for measurement in self.measurements])
        with whole_file(path) as draft:
            draft.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')


def read_report(path: str | Path) -> Report:
    """Read a file that :meth:`Report.write` wrote.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: The file holds something else.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no file {path}; tools/benchmark.py --json FILE writes one')
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
        content['measurements'] = [Measurement.from_json(entry) for entry in content['measurements']]
        return Report(**content)
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise DataError(f'{path} was not written by tools/benchmark.py --json ({type(e).__name__}: {e})') from e


def merge_reports(reports: Sequence[Report]) -> Report:
    """Join several runs. If a case was measured more than once, the last measurement counts.

    Raises:
        DataError: The runs come from different machines, or mix quick runs with others.
    """
    first = reports[0]
    for name in ('cpu', 'gpu', 'cores', 'threads'):
        values = {str(report.machine[name]) for report in reports}
        if len(values) > 1:
            raise DataError(f'these runs are not one: {name} is {" and ".join(sorted(values))}')
    if any(report.quick != first.quick for report in reports):
        raise DataError('quick runs measure other sizes: do not mix them with full ones')
    cases = {
        (measurement.row, measurement.case): measurement for report in reports for measurement in report.measurements
    }
    latest = max(reports, key=lambda report: report.date)
    command = '; '.join(dict.fromkeys(report.command for report in reports))
    return Report(latest.machine, command, latest.date, first.quick, list(cases.values()))


HEAD = ['row', 'case', 'ours', 'peer', 'ratio (min-max)', 'limit share', 'target', '']
QUICK_NOTE = 'Quick run with small sizes: it shows that everything runs, and says nothing about the published sizes.'
# The part of a Markdown file that a run replaces.
BEGIN, END = '<!-- benchmark table -->', '<!-- end of benchmark table -->'


def table_lines(report: Report, rows: Sequence[Row]) -> list[list[str]]:
    """Return the rows of the table: one per case, and one for the geometric mean if a row has a target for it."""
    lines = []
    for row in rows:
        measurements = [measurement for measurement in report.measurements if measurement.row == row.name]
        lines += [_case_cells(measurement) for measurement in measurements]
        mean = mean_ratio(measurements)
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
    """Return ``met``, ``missed`` or an empty text."""
    return '' if reached is None else 'met' if reached else 'missed'


def report_table(report: Report, rows: Sequence[Row]) -> str:
    """Lay the measurements out for a terminal, under a description of the machine."""
    table = text_table(HEAD, table_lines(report, rows), 'l')
    return '\n'.join([*machine_lines(report), '', table])


def report_markdown(report: Report, rows: Sequence[Row]) -> str:
    """Lay the measurements out for ``docs/benchmarks.md``, with the command."""
    table = markdown_table([*HEAD[:-1], 'result'], table_lines(report, rows))
    return '\n'.join(['```', report.command, '```', '', *machine_lines(report), '', table])


def machine_lines(report: Report) -> list[str]:
    """Return two or three lines on machine, software and date."""
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
    """Write the table to a Markdown file: between its marks, or to a new file.

    Raises:
        DataError: The file exists and has no marks.
    """
    path = Path(path)
    content = f'{BEGIN}\n{report_markdown(report, rows)}\n{END}\n'
    if path.is_file():
        before, begin, rest = path.read_text(encoding='utf-8').partition(f'{BEGIN}\n')
        _, end, after = rest.partition(f'{END}\n')
        if not begin or not end:
            raise DataError(f'{path} has no lines {BEGIN} and {END} to put the table between')
        content = before + content + after
    with whole_file(path) as draft:
        draft.write_text(content, encoding='utf-8')


PACKAGES = (
    'torch',
    'torchvision',
    'mmengine',
    'mmcv',
    'mmcv-lite',
    'mmpretrain',
    'numpy',
    'scipy',
    'pillow',
    'opencv-python',
    'torchreid',
    'onnxruntime',
    'openvino',
)
# Of x86 processors, those that decide how fast convolutions are.
INSTRUCTION_SETS = ('avx2', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'avx_vnni', 'amx_bf16', 'amx_int8')


def num_cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def describe_machine(threads: int) -> dict:
    """Describe the machine and the software, without names of people or places.

    Args:
        threads: Number of threads of PyTorch and the runtimes.
    """
    cpu = _read('/proc/cpuinfo')
    model = re.search(r'^model name\s*: (.+)$', cpu, re.M)
    flags = re.search(r'^flags\s*: (.+)$', cpu, re.M)
    supported = set(flags[1].split()) if flags else set()
    memory = re.search(r'MemTotal:\s+(\d+) kB', _read('/proc/meminfo'))
    cuda = torch.cuda.is_available()
    return dict(
        cpu=model[1] if model else platform.processor() or platform.machine(),
        instruction_sets=[name for name in INSTRUCTION_SETS if name in supported],
        cores=num_cores(),
        threads=threads,
        memory_gib=round(int(memory[1]) / 2**20, 1) if memory else None,
        gpu=torch.cuda.get_device_name() if cuda else None,
        cuda=torch.version.cuda if cuda else None,
        os=f'{platform.system()} {platform.release()}',
        python=platform.python_version(),
        mmosnet=__version__,
        revision=revision(),
        packages={name: version for name in PACKAGES if (version := installed_version(name)) is not None},
    )


def installed_version(package: str) -> str | None:
    """Return the version of a package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def revision() -> str | None:
    """Return the git revision of this clone, with ``-dirty`` if files differ; None outside of a clone."""
    command = ['git', 'describe', '--always', '--dirty', '--exclude=*']
    try:
        result = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return None
    return result.stdout.strip() or None if result.returncode == 0 else None


def _read(path: str) -> str:
    """Return the text of a file of Linux; empty on other systems."""
    return Path(path).read_text() if Path(path).is_file() else ''


def run_benchmark(
    rows: Sequence[Row],
    settings: Settings,
    command: str,
    say: Callable[[str], None],
    save: Callable[[Report], None],
) -> Report:
    """Measure rows.

    Args:
        rows: Rows of :data:`~benchmarks.rows.ROWS`.
        settings: Settings of the run.
        command: Command that repeats the run.
        say: Function that prints a line of progress.
        save: Function that is called after every case, so that an interrupted run keeps its results.
    """
    torch.set_num_threads(settings.threads)
    date = datetime.now(timezone.utc).isoformat(timespec='seconds')
    report = Report(describe_machine(settings.threads), command, date, settings.quick)
    for row in rows:
        for case in row.cases(settings):
            report.measurements.append(measure(row, case, settings, say))
            save(report)
    return report
