"""Train the variants of the paper's ablation on any data set, and fill its table.

Each row of the table is one training, in a process of its own. Finished rows are not trained again, and an interrupted
one is resumed.
"""

from __future__ import annotations

import argparse

from mmosnet.cli import options

PAGE = 'extending.md'
EXAMPLES = """
  mmosnet ablation --list                        list the rows and their sizes
  mmosnet ablation                               the paper's recipe: Market-1501 from scratch
  mmosnet ablation osnet_reid_synthetic          on drawn people, half an hour on a CPU
  mmosnet ablation CONFIG --rows t4 sum concat --data-root /data/mine --cfg-options train_cfg.max_epochs=60

The paper's rows are configs too: mmosnet train osnet_reid_market_scratch_sum
"""
DEFAULT = 'osnet_reid_market_scratch'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    action = options.add_config(parser, nargs='?', default=DEFAULT)
    action.help = f'data set and recipe: {action.help} ({DEFAULT})'
    parser.add_argument('--rows', nargs='+', metavar='ROW', help='only these rows')
    parser.add_argument('--list', action='store_true', help='print the table with the results so far, without training')
    options.add_work_dir(parser, 'folder for runs and table (work_dirs/ablation/NAME_OF_CONFIG)')
    options.add_data_root(parser)
    options.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from pathlib import Path

    from mmosnet.engine import launch
    from mmosnet.engine.series import GOES_ON, TABLE_FILE, ablation_rows, ablation_table, row_config, select_rows, train
    from mmosnet.io.files import whole_file
    from mmosnet.models.build import find_config_path

    name = Path(find_config_path(args.config)).stem
    work_dir = Path(args.work_dir or Path('work_dirs') / 'ablation' / name)
    overrides = options.parse_cfg_options(args.cfg_options)
    cfg = launch.load_config(args.config, overrides, str(work_dir), 'none', args.data_root)
    rows = ablation_rows()
    args.interruption.advice = lambda: GOES_ON
    chosen = select_rows(rows, args.rows)
    for row in chosen if not args.list else []:
        train(row.name, row_config(cfg, row), work_dir)
    if not args.list:
        with whole_file(work_dir / TABLE_FILE) as draft:
            draft.write_text(ablation_table(rows, cfg, work_dir) + '\n')
    print(ablation_table(chosen if args.rows else rows, cfg, work_dir))
