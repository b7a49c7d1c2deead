"""A run of the benchmark: rows in, report out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone

import torch

from mmosnet.benchmark.machine import describe_machine
from mmosnet.benchmark.measurement import measure
from mmosnet.benchmark.report import Report
from mmosnet.benchmark.row import Row, Settings


def run_benchmark(
    rows: Sequence[Row],
    settings: Settings,
    command: str,
    say: Callable[[str], None],
    save: Callable[[Report], None],
) -> Report:
    """Measure rows.

    Args:
        rows: Of :data:`~mmosnet.benchmark.rows.ROWS`.
        settings: Of the run.
        command: That repeats it.
        say: Shows a line of progress.
        save: Called after every case: a long run that is interrupted leaves what it has found.
    """
    torch.set_num_threads(settings.threads)
    date = datetime.now(timezone.utc).isoformat(timespec='seconds')
    report = Report(describe_machine(settings.threads), command, date, settings.quick)
    for row in rows:
        for case in row.cases(settings):
            report.measurements.append(measure(row, case, settings, say))
            save(report)
    return report
