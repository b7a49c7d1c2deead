#!/usr/bin/env python
"""Tables of what exporting costs, in Markdown: exactness of every network, and scores of a trained one."""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parents[1]
EXAMPLES = """\
examples:
  python tools/export_table.py parity                         12 networks, 4 tasks, 3 formats, random weights
  python tools/export_table.py parity --tasks multitask       a third of it; has the outputs of all tasks
  python tools/export_table.py parity --archs osnet_ain --widths 0.25
  python tools/export_table.py scores CONFIG CHECKPOINT --images data/synthetic_people/bounding_box_train
  python tools/export_table.py scores CONFIG CHECKPOINT --images CROPS --data-root data/market1501

docs/deployment.md has both.
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest='kind', required=True)
    parity = kinds.add_parser('parity', help='largest difference between file and model, from JPEGs on')
    parity.add_argument('--archs', nargs='+', choices=('osnet', 'osnet_ibn', 'osnet_ain'), help='networks (all)')
    parity.add_argument('--widths', nargs='+', type=float, help='factors of the channels (1 0.75 0.5 0.25)')
    parity.add_argument(
        '--tasks', nargs='+', choices=('reid', 'attributes', 'category', 'multitask'), help='heads (all)'
    )
    parity.add_argument(
        '--size', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'), default=(256, 128), help='of the images (256 128)'
    )
    scores = kinds.add_parser('scores', help="scores on the config's test set, by format and precision")
    scores.add_argument('config', help='config file, or a name that "mmosnet configs" lists')
    scores.add_argument('checkpoint', help='checkpoint file, or "released" for the weights of the name')
    scores.add_argument('--images', metavar='FOLDER', required=True, help='images to calibrate int8 on')
    scores.add_argument('--calibration-images', type=int, default=200, metavar='N', help='at most (200)')
    scores.add_argument('--metrics', nargs='+', metavar='NAME', help='the columns, as reid/mAP (all)')
    scores.add_argument('--data-root', metavar='FOLDER', help="folder of the test set (the config's)")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not (CLONE / 'benchmarks' / 'export_tables.py').is_file():
        sys.exit(f'error: no folder benchmarks in {CLONE}: it is not installed, run this tool in a clone of mmosnet')
    sys.path.insert(0, str(CLONE))

    # Only now: importing torch takes seconds that --help should not.
    import mmosnet  # noqa: F401
    from mmosnet.errors import user_errors

    with user_errors():
        if args.kind == 'parity':
            print_parity(args)
        else:
            print_scores(args)


def print_parity(args: argparse.Namespace) -> None:
    from benchmarks.export_tables import ARCHS, FORMATS, TASKS, WIDTHS, parity_rows

    print_row('network', *FORMATS)
    print_row(*['---'] * (1 + len(FORMATS)))
    rows = parity_rows(args.archs or ARCHS, args.widths or WIDTHS, args.tasks or TASKS, args.size)
    for name, differences in rows:
        print_row(name, *(f'{difference:.1e}' for difference in differences))


def print_scores(args: argparse.Namespace) -> None:
    from benchmarks.export_tables import score_rows
    from mmosnet.errors import DataError
    from mmosnet.models.build import find_trained, load_model

    cfg, checkpoint = find_trained(args.config, args.checkpoint)
    if args.data_root:
        cfg.test_dataloader.dataset.data_root = args.data_root
    model, first = load_model(cfg, checkpoint, testing=True), {}
    for name, size, scores in score_rows(cfg, model, args.images, args.calibration_images):
        if not first:
            metrics, first = args.metrics or list(scores), scores
            unknown = set(metrics) - set(scores)
            if unknown:
                raise DataError(f'--metrics {" ".join(unknown)}: there are {", ".join(scores)}')
            print_row('', 'MB', *metrics)
            print_row(*['---'] * (2 + len(metrics)))
            print_row(name, '', *(f'{scores[metric]:.4f}' for metric in metrics))
            continue
        cells = (f'{scores[metric]:.4f} ({scores[metric] - first[metric]:+.4f})' for metric in metrics)
        print_row(name, f'{size:.2f}', *cells)


def print_row(*cells: str) -> None:
    print(f'| {" | ".join(cells)} |', flush=True)


if __name__ == '__main__':
    main()
