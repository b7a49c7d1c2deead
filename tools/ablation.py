#!/usr/bin/env python
"""Run the paper's ablation of the OSBlock on a data set: train every row of the table, then print it.

Each row is the given config with another backbone: 1 to 4 streams, ways to fuse them, full convolutions, one depth. An
interrupted table goes on where it stopped, and finished rows are not trained again. Rows run one after the other;
several machines or GPUs can share a table with --rows.
"""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
from pathlib import Path

from mmengine.config import DictAction

EXAMPLES = """\
examples:
  python tools/ablation.py --list                                     the rows and their sizes
  python tools/ablation.py                                            the paper's: Market-1501 from scratch
  python tools/ablation.py configs/osnet_reid_synthetic.py            on drawn people, half an hour on a CPU
  python tools/ablation.py CONFIG --rows t4 sum concat --data-root /data/mine --cfg-options train_cfg.max_epochs=60

The paper's rows are configs too: python tools/train.py configs/ablation/osnet_reid_market_scratch_sum.py
"""
ROOT = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'config',
        nargs='?',
        default=str(ROOT / 'configs' / 'osnet_reid_market_scratch.py'),
        help='data set and recipe (osnet_reid_market_scratch.py)',
    )
    parser.add_argument('--rows', nargs='+', metavar='ROW', help='only these rows')
    parser.add_argument('--list', action='store_true', help='print the table as it stands, train nothing')
    parser.add_argument('--work-dir', help='where runs and the table go (work_dirs/ablation/NAME_OF_CONFIG)')
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
    from mmosnet.engine import launch
    from mmosnet.engine.ablation import TABLE_FILE, ablation_rows, ablation_table, row_config, select_rows
    from mmosnet.engine.training_process import GOES_ON, train
    from mmosnet.whole_file import whole_file

    with launch.user_errors() as interruption:
        work_dir = Path(args.work_dir or Path('work_dirs') / 'ablation' / Path(args.config).stem)
        cfg = launch.load_config(args.config, args.cfg_options, str(work_dir), 'none', args.data_root)
        rows = ablation_rows(ROOT / 'configs')
        interruption.advice = lambda: GOES_ON
        chosen = select_rows(rows, args.rows)
        for row in chosen if not args.list else []:
            train(row.name, row_config(cfg, row), work_dir, ROOT / 'tools' / 'train.py')
        if not args.list:
            with whole_file(work_dir / TABLE_FILE) as draft:
                draft.write_text(ablation_table(rows, cfg, work_dir) + '\n')
        print(ablation_table(chosen if args.rows else rows, cfg, work_dir))


if __name__ == '__main__':
    main()
