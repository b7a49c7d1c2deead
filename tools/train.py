#!/usr/bin/env python
"""Train a model and report its results."""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import os

from mmengine.config import DictAction

EXAMPLES = """\
examples:
  python tools/train.py configs/osnet_reid_synthetic.py            the demo, some minutes on a CPU
  python tools/train.py configs/osnet_reid_market.py --amp         the paper's recipe, mixed precision
  python tools/train.py CONFIG --resume                            go on where work_dirs/CONFIG stopped
  python tools/train.py CONFIG --data-root /data/market1501 --cfg-options train_dataloader.batch_size=32
  bash tools/dist_train.sh CONFIG 4                                on 4 GPUs
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where logs, checkpoints and results go (work_dirs/NAME_OF_CONFIG)')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint; without a value, from the newest one in the work directory that loads',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on a GPU, bfloat16 on a CPU with AVX-512 (often slower)',
    )
    parser.add_argument(
        '--compile',
        action='store_true',
        help='torch.compile the backbone: faster steps after a minute or two, for long runs',
    )
    parser.add_argument('--no-validate', action='store_true', help='train without evaluating')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate by the total batch size over the recipe's",
    )
    parser.add_argument('--data-root', help='folder of the data set, for training and testing')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, nested keys with dots; quote lists: key="[a,b]"',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed run were started',
    )
    # torch.distributed.launch passes it; torchrun sets LOCAL_RANK itself.
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    args = parse_args()

    # Only now: importing torch takes seconds that --help should not.
    from mmosnet.engine import launch
    from mmosnet.engine.best_test import test_best

    with launch.user_errors() as interruption:
        cfg = launch.load_config(args.config, args.cfg_options, args.work_dir, args.launcher, args.data_root)
        interruption.advice = lambda: launch.resume_advice(cfg.work_dir)
        if args.no_validate:
            cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
            cfg.default_hooks.checkpoint.save_best = None
        if args.amp:
            launch.use_amp(cfg)
        if args.compile:
            launch.add_hook(cfg, 'CompileHook')
        if args.auto_scale_lr:
            cfg.auto_scale_lr.enable = True
        if args.resume is not None:
            launch.resume_from(cfg, args.resume)
        launch.check_numbers(cfg)
        # The hook of checkpoints adds it; this is for runs that save none.
        launch.add_missing_hook(cfg, 'DivergenceHook')
        runner = launch.build_runner(cfg)
        with launch.watched_processes(launch.dist_timeout(cfg)):
            runner.train()
            if cfg.get('test_best'):
                test_best(runner)


if __name__ == '__main__':
    main()
