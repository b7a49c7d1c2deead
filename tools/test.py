#!/usr/bin/env python
"""Evaluate a checkpoint and report its results.

A config with test_targets = dict(NAME=dict(type=..., data_root=...), ...) is evaluated on each of them, a row each.
"""

import signal

# Ctrl-C during the imports, which take seconds, ends without a traceback. Background jobs of a shell ignore it.
if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import os

from mmengine.config import DictAction

EXAMPLES = """\
examples:
  python tools/test.py configs/osnet_reid_synthetic.py work_dirs/osnet_reid_synthetic/epoch_10.pth
  python tools/test.py osnet-x0.25_multitask-synthetic released    a model of configs/README.md by its name
  python tools/test.py CONFIG CHECKPOINT --cfg-options test_evaluator.distance=cosine
  python tools/test.py CONFIG CHECKPOINT --rerank                  also after k-reciprocal re-ranking
  python tools/test.py CONFIG CHECKPOINT --verification            also: which distance means the same person?
  bash tools/dist_test.sh CONFIG CHECKPOINT 4                      on 4 GPUs
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, or name of a model in configs/README.md')
    parser.add_argument('checkpoint', help='checkpoint file, torchreid://NAME, or "released" for those of the name')
    parser.add_argument('--work-dir', help='where log and results go (work_dirs/NAME_OF_CONFIG/test)')
    parser.add_argument('--amp', action='store_true', help='compute in mixed precision')
    parser.add_argument(
        '--compile', action='store_true', help='torch.compile the backbone: pays for tens of thousands of images'
    )
    parser.add_argument(
        '--training-form',
        action='store_true',
        help='leave the network as it was trained; else its batch normalisation is folded into the layers before',
    )
    parser.add_argument('--rerank', action='store_true', help='also report scores after k-reciprocal re-ranking')
    parser.add_argument(
        '--verification',
        action='store_true',
        help='also report AUC, EER, and the true positive rate and distance threshold at false positive rates',
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
    from mmosnet.engine.autocast_optim_wrapper import warn_slow_bfloat16
    from mmosnet.engine.cross_domain import evaluate_targets
    from mmosnet.engine.trained_model import RELEASED, find_trained
    from mmosnet.errors import DataError

    with launch.user_errors():
        cfg = launch.load_config(args.config, args.cfg_options, args.work_dir, args.launcher, args.data_root)
        if args.work_dir is None:
            # Not over the results of the training run.
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


if __name__ == '__main__':
    main()
