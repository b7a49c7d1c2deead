"""The measurements of a run: JSON with the machine's description, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mmosnet.benchmark.measurement import ERROR, Measurement
from mmosnet.errors import DataError
from mmosnet.whole_file import whole_file


@dataclass
class Report:
    """Everything that a run found.

    Attributes:
        machine: Of :func:`~mmosnet.benchmark.machine.describe_machine`.
        command: That repeats the run.
        date: Of its start, ISO 8601.
        quick: Small sizes: no published ones.
        measurements: Case by case.
    """

    machine: dict
    command: str
    date: str
    quick: bool = False
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether a case went wrong; that something cannot be measured here is not wrong."""
        return any(measurement.status == ERROR for measurement in self.measurements)

    def write(self, path: str | Path) -> None:
        """Write it as JSON."""
        content = asdict(self) | dict(measurements=[measurement.as_json() for measurement in self.measurements])
        with whole_file(path) as draft:
            draft.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')


def read_report(path: str | Path) -> Report:
    """Read what :meth:`Report.write` wrote.

    Raises:
        FileNotFoundError: No such file.
        DataError: It is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no file {path}; tools/benchmark.py --json FILE writes one')
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
        content['measurements'] = [Measurement.from_json(found) for found in content['measurements']]
        return Report(**content)
    except (ValueError, KeyError, TypeError) as e:
        raise DataError(f'{path} was not written by tools/benchmark.py --json ({type(e).__name__}: {e})') from e


def merge_reports(reports: Sequence[Report]) -> Report:
    """Several runs as one: of a case that was measured more than once the last counts.

    Raises:
        DataError: They come from different machines, or mix quick runs with others.
    """
    first = reports[0]
    for name in ('cpu', 'gpu', 'cores', 'threads'):
        values = {str(report.machine[name]) for report in reports}
        if len(values) > 1:
            raise DataError(f'these runs are not one: {name} is {" and ".join(sorted(values))}')
    if any(report.quick != first.quick for report in reports):
        raise DataError('quick runs measure other sizes: do not mix them with full ones')
    cases = {(found.row, found.case): found for report in reports for found in report.measurements}
    latest = max(reports, key=lambda report: report.date)
    command = '; '.join(dict.fromkeys(report.command for report in reports))
    return Report(latest.machine, command, latest.date, first.quick, list(cases.values()))
