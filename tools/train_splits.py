#!/usr/bin/env python
"""Train and test every split of a data set whose result is the mean over splits: VIPeR, GRID, CUHK03 classic.

One command for the published protocol. A finished split is not trained again, an interrupted one goes on where it
stopped; one that fails is named at the end and does not lose the others, unless the first one fails before an epoch of
it has ended: then no other is tried. Prints every split, the mean and the standard deviation.
"""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import sys
from pathlib import Path

from mmengine.config import DictAction

EXAMPLES = """\
examples:
  python tools/train_splits.py configs/osnet_reid_viper.py
  python tools/train_splits.py configs/osnet_reid_grid.py --splits 0 1 2          only these
  python tools/train_splits.py configs/osnet_reid_cuhk03_classic.py --data-root /data/cuhk03

Several machines can share a protocol: give each other --splits and the same --work-dir, then run it without --splits.
"""
ROOT = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--splits', nargs='+', type=int, metavar='N', help='only these splits, counted from 0')
    parser.add_argument('--work-dir', help='where runs and the summary go (work_dirs/NAME_OF_CONFIG)')
    parser.add_argument('--data-root', help='folder of the data set, for training and testing')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, nested keys with dots; quote lists: key="[a,b]"',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    # Only now: importing torch takes seconds that --help should not.
    import mmosnet  # noqa: F401
    from mmosnet.engine import launch, split_runs
    from mmosnet.engine.training_process import GOES_ON
    from mmosnet.errors import DataError

    with launch.user_errors() as interruption:
        cfg = launch.load_config(args.config, args.cfg_options, args.work_dir, 'none', args.data_root)
        work_dir = Path(cfg.work_dir)
        interruption.advice = lambda: GOES_ON
        number, _ = split_runs.split_numbers(cfg)
        splits = args.splits or range(number)
        if not set(splits) <= set(range(number)):
            raise DataError(f'--splits {" ".join(map(str, splits))}: the data set has splits 0 to {number - 1}')
        failed = split_runs.run_splits(cfg, splits, work_dir, ROOT / 'tools')
        metrics = {split: split_runs.split_metrics(work_dir, split) for split in splits}
        metrics = {split: found for split, found in metrics.items() if found is not None and split not in failed}
        if metrics:
            print(split_runs.summarize(metrics, work_dir))
        if failed:
            first, cause = next(iter(failed.items()))
            sys.exit(
                f'error: {len(failed)} of {len(splits)} splits failed: {", ".join(map(str, failed))}. Split {first}: '
                + cause
            )


if __name__ == '__main__':
    main()
