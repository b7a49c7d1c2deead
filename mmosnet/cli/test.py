"""Evaluate a checkpoint and report its results.

A config with test_targets = dict(NAME=dict(type=..., data_root=...), ...) is evaluated on each target, one row each.
"""

from __future__ import annotations

import argparse
import os

from mmosnet.cli import options

PAGE = 'protocols.md'
EXAMPLES = """
  mmosnet test osnet_reid_synthetic work_dirs/osnet_reid_synthetic/epoch_10.pth
  mmosnet test osnet-x0.25_multitask-synthetic released           the weights that belong to this model
  mmosnet test CONFIG CHECKPOINT --cfg-options test_evaluator.distance=cosine
  mmosnet test CONFIG CHECKPOINT --rerank                         also after k-reciprocal re-ranking
  mmosnet test CONFIG CHECKPOINT --verification                   also: up to which distance is it one person?
  torchrun --nproc_per_node 4 -m mmosnet test CONFIG CHECKPOINT --launcher pytorch        on 4 GPUs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    options.add_config(parser)
    options.add_checkpoint(parser)
    options.add_work_dir(parser, 'folder for log and results (work_dirs/NAME_OF_CONFIG/test)')
    parser.add_argument('--amp', action='store_true', help='compute in mixed precision')
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile the backbone by torch.compile: pays off for tens of thousands of images',
    )
    parser.add_argument(
        '--training-form',
        action='store_true',
        help='evaluate the network as it was trained, without folding its batch normalization into other layers',
    )
    parser.add_argument('--rerank', action='store_true', help='also report scores after k-reciprocal re-ranking')
    parser.add_argument(
        '--verification',
        action='store_true',
        help='also report AUC, EER, and the true positive rate and distance threshold at false positive rates',
    )
    options.add_run(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from mmosnet.engine import launch
    from mmosnet.engine.report import evaluate_targets
    from mmosnet.engine.runner import warn_slow_bfloat16
    from mmosnet.errors import DataError
    from mmosnet.models.build import RELEASED, find_trained

    cfg = options.load_run(args)
    if args.work_dir is None:
        # The results of the training run stay.
        cfg.work_dir = os.path.join(cfg.work_dir, 'test')
    if args.data_root and cfg.get('test_targets'):
        raise DataError(
            f'--data-root names one folder, and this config is tested on {", ".join(cfg.test_targets)}: give each '
            'its own, --cfg-options test_targets.NAME.data_root=FOLDER; or test_targets=None'
        )
    launch.score_more(cfg, args.rerank, args.verification)
    if args.amp:
        warn_slow_bfloat16()
        cfg.test_cfg.fp16 = True
    if not args.training_form:
        launch.add_hook(cfg, 'DeployHook')
    if args.compile:
        launch.add_hook(cfg, 'CompileHook')
    cfg.load_from = args.checkpoint
    if args.checkpoint == RELEASED:
        cfg.load_from = find_trained(args.config, RELEASED)[1]
    cfg.resume = False
    evaluate_targets(cfg)
