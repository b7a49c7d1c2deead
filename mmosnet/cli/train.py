"""Train a model and report its results.

Logs, checkpoints and results go to work_dirs/NAME_OF_CONFIG in the current folder.
"""

from __future__ import annotations

import argparse

from mmosnet.cli import options

PAGE = 'getting_started.md'
EXAMPLES = """
  mmosnet train osnet_reid_synthetic                         some minutes on a CPU
  mmosnet train osnet_reid_market --amp                      the paper's recipe, mixed precision
  mmosnet train my_config.py --resume                        continue where work_dirs/my_config stopped
  mmosnet train CONFIG --data-root /data/market1501 --cfg-options train_dataloader.batch_size=32
  torchrun --nproc_per_node 4 -m mmosnet train CONFIG --launcher pytorch        on 4 GPUs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    options.add_config(parser)
    options.add_work_dir(parser, 'folder for logs, checkpoints and results (work_dirs/NAME_OF_CONFIG)')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue from a checkpoint; without a value, from the newest one in the work directory that loads',
    )
    options.add_amp(parser)
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile the backbone by torch.compile: faster steps after a minute or two, for long runs',
    )
    parser.add_argument('--no-validate', action='store_true', help='train without evaluating')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate by the total batch size over the recipe's",
    )
    options.add_run(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from mmosnet.engine import launch
    from mmosnet.engine.report import evaluate_best
    from mmosnet.engine.runner import watched_processes

    cfg = options.load_run(args)
    args.interruption.advice = lambda: launch.resume_advice(cfg.work_dir)
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
    # The checkpoint hook adds it; runs without that hook need it, too.
    launch.add_missing_hook(cfg, 'DivergenceHook')
    runner = launch.build_runner(cfg)
    with watched_processes(launch.dist_timeout(cfg)):
        runner.train()
        if cfg.get('test_best'):
            evaluate_best(runner)
