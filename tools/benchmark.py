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
from pathlib import Path

CLONE = Path(__file__).resolve().parents[1]
EXAMPLES = """\
examples:
  python tools/benchmark.py --list                                        rows and targets
  python tools/benchmark.py --only inference-eager training-step          some minutes
  python tools/benchmark.py --quick                                       does everything run? small sizes
  python tools/benchmark.py --device cuda --json gpu.json                 the rows for a GPU
  python tools/benchmark.py --render cpu.json more.json --markdown docs/benchmarks.md
  python tools/benchmark.py gallery work_dirs/benchmark --vectors 1000000 --index exact ivfpq
  python tools/benchmark.py identities work_dirs/scenes --per track       who is who in drawn scenes; extra "peer"
  python tools/benchmark.py people work_dirs/benchmark --people 10000 --images 1 5

runs in a clone of the repository: what it measures is not part of the installed package
"""
INDEX_KINDS = ('exact', 'ivfpq', 'hnsw')


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
    commands = parser.add_subparsers(
        dest='command', metavar='gallery|people|identities', help='other measurements instead'
    )
    text = 'speed and recall of galleries of random embeddings'
    gallery = commands.add_parser('gallery', help=text, description=text)
    gallery.add_argument('place', metavar='PLACE', help='folder for galleries; or file NAME.db or address of Milvus')
    gallery.add_argument('--vectors', type=int, default=100_000, metavar='N', help='images (100000)')
    gallery.add_argument('--dimension', type=int, default=512, metavar='D', help='size of the embeddings (512)')
    gallery.add_argument('--index', nargs='+', choices=INDEX_KINDS, default=INDEX_KINDS, help='(all)')
    gallery.add_argument('--queries', type=int, default=500, metavar='N', help='searches (500)')
    gallery.add_argument('--threads', type=int, default=1, metavar='N', help='threads that FAISS computes with (1)')
    gallery.add_argument(
        '--seconds',
        type=float,
        default=float('inf'),
        metavar='S',
        help='stop building then; the same command goes on (never)',
    )
    text = 'speed of People, known or new, in galleries of random embeddings'
    people = commands.add_parser('people', help=text, description=text)
    people.add_argument('place', metavar='PLACE', help='folder in which galleries are made and removed')
    people.add_argument('--people', type=int, default=10_000, metavar='N', help='people (10000)')
    people.add_argument('--images', type=int, nargs='+', default=[1, 5], metavar='N', help='images per person (1 5)')
    people.add_argument('--dimension', type=int, default=512, metavar='D', help='size of the embeddings (512)')
    add_identities(commands)
    args = parser.parse_args()
    if args.command and sys.argv[1] != args.command:
        parser.error(f'give the command {args.command} first, then its options')
    for name in ('repeats', 'threads', 'vectors', 'dimension', 'queries', 'people'):
        if getattr(args, name, None) is not None and getattr(args, name) < 1:
            parser.error(f'--{name} must be at least 1')
    return args


def add_identities(commands: argparse._SubParsersAction) -> None:
    """Add the command that measures who is taken for whom."""
    text = 'share of right identities and IDF1 of mmosnet.People, against the threshold alone'
    parser = commands.add_parser('identities', help=text, description=text)
    parser.add_argument('place', metavar='PLACE', help='folder for drawn scenes; or, with --images, the data set')
    parser.add_argument('--images', action='store_true', help="PLACE is a data set in Market-1501's layout")
    parser.add_argument('--model', default='osnet-x0.25_multitask-synthetic', help='of mmosnet.Embedder (%(default)s)')
    parser.add_argument('--checkpoint', metavar='FILE', help='weights of the model (those that belong to it)')
    parser.add_argument('--per', choices=('track', 'box'), default='track', help='what is decided on (track)')
    parser.add_argument('--fmr', type=float, default=0.005, help='false-match rate of the threshold (0.005)')
    parser.add_argument(
        '--shortest-track', type=int, default=3, metavar='N', help='tracks of fewer boxes get no answer (3)'
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='of scenes, or orders (0 1 2)')
    parser.add_argument(
        '--two-folds',
        action='store_true',
        help='threshold of the other half of the test people, not of training people',
    )
    parser.add_argument('--variants', nargs='+', metavar='TITLE', help='arrangements of People (all)')


def main() -> None:
    args = parse_args()
    if not (CLONE / 'benchmarks' / 'rows.py').is_file():
        sys.exit(f'error: no folder benchmarks in {CLONE}: it is not installed, run this tool in a clone of mmosnet')
    sys.path.insert(0, str(CLONE))
    if args.command == 'gallery':
        measure_galleries(args)
    elif args.command == 'identities':
        measure_identities(args)
    elif args.command == 'people':
        measure_people(args)
    else:
        measure_rows(args)


def measure_identities(args: argparse.Namespace) -> None:
    from benchmarks.identities import VARIANTS, measure_scenes, measure_tracks
    from mmosnet.errors import DataError, need, user_errors
    from mmosnet.frames import Embedder

    with user_errors():
        need('trackeval', 'peer')
        unknown = [title for title in args.variants or () if title not in VARIANTS]
        if unknown:
            raise DataError(f'--variants {unknown[0]!r}: choose from {", ".join(map(repr, VARIANTS))}')
        common = (
            args.place,
            Embedder(args.model, args.checkpoint),
            args.per,
            args.fmr,
            args.shortest_track,
            args.seeds,
        )
        variants = args.variants or tuple(VARIANTS)
        if args.images:
            print(measure_tracks(*common, args.two_folds, variants, say))
        else:
            print(measure_scenes(*common, variants, say))


def measure_galleries(args: argparse.Namespace) -> None:
    from benchmarks.gallery import measure_galleries
    from mmosnet.errors import user_errors

    with user_errors():
        sizes = (args.vectors, args.dimension, args.queries)
        print(measure_galleries(args.place, args.index, *sizes, args.threads, args.seconds, say))


def measure_people(args: argparse.Namespace) -> None:
    from benchmarks.people import measure_people
    from mmosnet.errors import user_errors

    with user_errors():
        print(measure_people(args.place, args.people, args.images, args.dimension, say=say))


def measure_rows(args: argparse.Namespace) -> None:
    # Only now: importing torch takes seconds that --help should not.
    from benchmarks.report import merge_reports, read_report, report_table, write_markdown
    from benchmarks.rows import ROWS, select_rows
    from mmosnet.errors import user_errors
    from mmosnet.io.files import check_writable
    from mmosnet.io.text_tables import fact_table

    with user_errors():
        rows = select_rows(args.only, args.device)
        if args.list:
            print(fact_table([(row.name, '; '.join(filter(None, (row.work, str(row.target))))) for row in rows]))
            return
        for path in filter(None, (args.json, args.markdown)):
            check_writable(path)
        report = merge_reports([read_report(path) for path in args.render]) if args.render else run(args, rows)
        print(report_table(report, rows))
        if args.markdown:
            write_markdown(args.markdown, report, ROWS)
    sys.exit(1 if report.failed else 0)


def run(args: argparse.Namespace, rows: list):
    """Measure, with progress on standard error."""
    from tempfile import TemporaryDirectory

    from benchmarks.measure import Settings
    from benchmarks.report import num_cores, run_benchmark

    with TemporaryDirectory() as scratch:
        folder = Path(args.data_root or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        settings = Settings(args.threads or num_cores(), args.repeats, args.quick, folder)
        return run_benchmark(
            rows,
            settings,
            shlex.join(['python', 'tools/benchmark.py', *sys.argv[1:]]),
            say=say,
            save=lambda report: report.write(args.json) if args.json else None,
        )


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == '__main__':
    main()
