"""Train and test every split of a data set whose result is the mean over splits.

For VIPeR, GRID and CUHK03 classic: one command for the published protocol. A finished split is not trained again, an
interrupted one goes on where it stopped; one that fails is named at the end and does not lose the others, unless the
first one fails before an epoch of it has ended: then no other is tried. Prints every split, the mean and the standard
deviation.
"""

from __future__ import annotations

import argparse

from mmosnet.cli import options

PAGE = 'protocols.md'
EXAMPLES = """
  mmosnet train-splits osnet_reid_viper
  mmosnet train-splits osnet_reid_grid --splits 0 1 2          only these
  mmosnet train-splits osnet_reid_cuhk03_classic --data-root /data/cuhk03

Several machines can share a protocol: give each other --splits and the same --work-dir, then run it without --splits.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    options.add_config(parser)
    parser.add_argument('--splits', nargs='+', type=int, metavar='N', help='only these splits, counted from 0')
    options.add_work_dir(parser, 'where runs and the summary go (work_dirs/NAME_OF_CONFIG)')
    options.add_data_root(parser)
    options.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from pathlib import Path

    import mmosnet  # noqa: F401
    from mmosnet.engine import launch
    from mmosnet.engine import series as split_runs
    from mmosnet.engine.series import GOES_ON
    from mmosnet.errors import DataError

    overrides = options.parse_cfg_options(args.cfg_options)
    cfg = launch.load_config(args.config, overrides, args.work_dir, 'none', args.data_root)
    work_dir = Path(cfg.work_dir)
    args.interruption.advice = lambda: GOES_ON
    number, _ = split_runs.split_numbers(cfg)
    splits = args.splits or range(number)
    if not set(splits) <= set(range(number)):
        raise DataError(f'--splits {" ".join(map(str, splits))}: the data set has splits 0 to {number - 1}')
    failed = split_runs.run_splits(cfg, splits, work_dir)
    metrics = {split: split_runs.split_metrics(work_dir, split) for split in splits}
    metrics = {split: found for split, found in metrics.items() if found is not None and split not in failed}
    if metrics:
        print(split_runs.summarize(metrics, work_dir))
    if failed:
        first, cause = next(iter(failed.items()))
        raise DataError(
            f'{len(failed)} of {len(splits)} splits failed: {", ".join(map(str, failed))}. Split {first}: {cause}'
        )
