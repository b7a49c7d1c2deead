"""Train and test every split of a data set whose result is the mean over splits.

This is the protocol of VIPeR (the splits are ours: none are official), GRID, CUHK03 classic, iLIDS-VID and PRID2011.
Finished splits are not trained again, and an interrupted one is resumed. If a split fails, the others still run, and
the failed one is named at the end; only if the first split fails within its first epoch, no other is tried. Prints all
splits, their mean and standard deviation.
"""

from __future__ import annotations

import argparse

from mmosnet.cli import options

PAGE = 'protocols.md'
EXAMPLES = """
  mmosnet train-splits osnet_reid_viper
  mmosnet train-splits osnet_reid_grid --splits 0 1 2          only these
  mmosnet train-splits osnet_reid_cuhk03_classic --data-root /data/cuhk03

Several machines can share the splits: give each machine its own --splits and all the same --work-dir, then run the
command once without --splits.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    options.add_config(parser)
    parser.add_argument('--splits', nargs='+', type=int, metavar='N', help='only these splits, counted from 0')
    options.add_work_dir(parser, 'folder for runs and summary (work_dirs/NAME_OF_CONFIG)')
    options.add_data_root(parser)
    options.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from pathlib import Path

    import mmosnet  # noqa: F401
    from mmosnet.engine import launch, series
    from mmosnet.errors import DataError

    overrides = options.parse_cfg_options(args.cfg_options)
    cfg = launch.load_config(args.config, overrides, args.work_dir, 'none', args.data_root)
    work_dir = Path(cfg.work_dir)
    args.interruption.advice = lambda: series.GOES_ON
    number, _ = series.split_numbers(cfg)
    splits = args.splits or range(number)
    if not set(splits) <= set(range(number)):
        raise DataError(f'--splits {" ".join(map(str, splits))}: the data set has splits 0 to {number - 1}')
    failed = series.run_splits(cfg, splits, work_dir)
    metrics = {split: series.split_metrics(work_dir, split) for split in splits}
    metrics = {split: scores for split, scores in metrics.items() if scores is not None and split not in failed}
    if metrics:
        print(series.summarize(metrics, work_dir))
    if failed:
        first, cause = next(iter(failed.items()))
        raise DataError(
            f'{len(failed)} of {len(splits)} splits failed: {", ".join(map(str, failed))}. Split {first}: {cause}'
        )
