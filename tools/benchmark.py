#!/usr/bin/env python
"""Measure mmosnet's speed beside torchreid (extra "peer") and beside what this machine can do.

Each case first compares what both sides compute, then runs them in turn, several times. The table has medians, the
median of the paired ratios (the peer's time over ours) with its spread, and the share of our time that the machine
needs at least. A full run takes hours: choose rows with --only, put pieces together with --render.

Ends with 1 if results differ or a measurement fails, else with 0.
"""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import shlex
import sys

EXAMPLES = """\
examples:
  python tools/benchmark.py --list                                        rows and targets
  python tools/benchmark.py --only inference-eager training-step          some minutes
  python tools/benchmark.py --quick                                       does everything run? small sizes
  python tools/benchmark.py --device cuda --json gpu.json                 the rows for a GPU
  python tools/benchmark.py --render cpu.json more.json --markdown docs/benchmarks.md
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--only', nargs='+', metavar='ROW', help='only these rows: names, beginnings, or "*step"')
    parser.add_argument('--device', choices=['cpu', 'cuda'], help='only the rows for this device (both)')
    parser.add_argument('--list', action='store_true', help='print rows and targets, measure nothing')
    parser.add_argument('--quick', action='store_true', help='small sizes, to see that everything runs')
    parser.add_argument('--repeats', type=int, help="times that each side runs (each row's own number)")
    parser.add_argument('--threads', type=int, help='threads of PyTorch and the runtimes (one for each processor)')
    parser.add_argument('--data-root', metavar='DIR', help='where images are drawn and kept (a temporary folder)')
    parser.add_argument('--json', metavar='FILE', help='write all seconds and the description of the machine')
    parser.add_argument('--markdown', metavar='FILE', help='put the table into a Markdown file, between its marks')
    parser.add_argument('--render', nargs='+', metavar='JSON', help='measure nothing: the table of earlier runs')
    args = parser.parse_args()
    for name in ('repeats', 'threads'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name} must be at least 1')
    return args


def main() -> None:
    args = parse_args()

    # Only now: importing torch takes seconds that --help should not.
    from mmosnet.benchmark.report import merge_reports, read_report
    from mmosnet.benchmark.rows import ROWS, select_rows
    from mmosnet.benchmark.table import text_table, write_markdown
    from mmosnet.engine import launch
    from mmosnet.whole_file import check_writable

    with launch.user_errors():
        rows = select_rows(args.only, args.device)
        if args.list:
            print(
                '\n'.join(f'{row.name:18s}  {row.work}' + (f'; {row.target}' * bool(str(row.target))) for row in rows)
            )
            return
        for path in filter(None, (args.json, args.markdown)):
            check_writable(path)
        report = merge_reports([read_report(path) for path in args.render]) if args.render else run(args, rows)
        print(text_table(report, rows))
        if args.markdown:
            write_markdown(args.markdown, report, ROWS)
    sys.exit(1 if report.failed else 0)


def run(args: argparse.Namespace, rows: list):
    """Measure, with progress on standard error."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from mmosnet.benchmark.benchmark import run_benchmark
    from mmosnet.benchmark.machine import num_cores
    from mmosnet.benchmark.row import Settings

    with TemporaryDirectory() as scratch:
        folder = Path(args.data_root or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        settings = Settings(args.threads or num_cores(), args.repeats, args.quick, folder)
        return run_benchmark(
            rows,
            settings,
            shlex.join(['python', 'tools/benchmark.py', *sys.argv[1:]]),
            say=lambda line: print(line, file=sys.stderr, flush=True),
            save=lambda report: report.write(args.json) if args.json else None,
        )


if __name__ == '__main__':
    main()
