"""A training epoch end to end, x0.25 on the CPU: loading, steps, logging, as both sides run it.

Each lap is a new process that trains one epoch from random weights; from the first request for a batch to the end of
the last step is timed, the start of the workers included. Testing and checkpoints are left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmosnet.benchmark.data_loading import WORKERS, fit_config
from mmosnet.benchmark.drawn_images import DrawnImages, drawn_images
from mmosnet.benchmark.equality import same_scores
from mmosnet.benchmark.fresh_process import child_environment, run_fresh
from mmosnet.benchmark.networks import IMAGE_SIZE, load_config
from mmosnet.benchmark.peer import has_peer, why_no_peer
from mmosnet.benchmark.row import Case, Contest, Lap, NotMeasured, Settings

PEER_TRAINING = Path(__file__).parent / 'peer_training.py'
# Identities of 30 images each: 1,620 images, an eighth of Market-1501's 12,936.
NUM_PIDS, QUICK_PIDS = 54, 2
BATCH = 32
INTERVAL = 50
# Random weights, orders and flips of both sides: their losses lie near each other and are never equal.
LOSS_TOLERANCE = 0.5


def cases(settings: Settings) -> Sequence[Case]:
    """One epoch at 256x128."""
    images = drawn_images(settings, QUICK_PIDS if settings.quick else NUM_PIDS)
    batch = 16 if settings.quick else BATCH
    name = f'x0.25, {images.num_images:,} images' + ('' if settings.quick else ' (1/8 of Market-1501)')
    return [Case(f'{name}, batch {batch}, {WORKERS} workers', partial(contest, images, batch, settings))]


def contest(images: DrawnImages, batch: int, settings: Settings) -> Contest:
    """Both sides over the same files."""
    images.make()
    numbers = dict(num_pids=images.num_pids, batch=batch)
    return Contest(
        ours=lambda: run_fresh(f'{__name__}:ours', settings.threads, root=str(images.root), **numbers),
        peer=(lambda: peer(images, batch, settings.threads)) if has_peer() else None,
        compare=partial(same_scores, tolerance=LOSS_TOLERANCE),
        no_peer=why_no_peer(),
        repeats=3,
        keep_first=True,
    )


class EpochClock(Hook):
    """Takes the time of the epoch and its losses."""

    priority = 'VERY_LOW'

    def before_train_epoch(self, runner: Runner) -> None:
        self.losses = []
        self.start = time.perf_counter()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: object, outputs: dict) -> None:
        self.losses.append(outputs['loss'].detach())
        # Before the checkpoint hook, which comes at the end of the epoch.
        self.seconds = time.perf_counter() - self.start


def ours(root: str, num_pids: int, batch: int) -> dict:
    """Runs in a fresh process: an epoch of ours."""
    cfg = fit_config(load_config('x0.25'), DrawnImages(Path(root), num_pids), batch)
    cfg.load_from = None
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook.type != 'mmosnet.BaseFreezeHook']
    cfg.model.head.num_classes = num_pids
    cfg.optim_wrapper.optimizer.lr = 0.0015
    cfg.train_cfg.max_epochs = 1
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.default_hooks.checkpoint = None
    cfg.default_hooks.logger.interval = INTERVAL
    clock = EpochClock()
    with TemporaryDirectory() as work_dir:
        cfg.work_dir = work_dir
        runner = Runner.from_cfg(cfg)
        runner.register_hook(clock)
        runner.train()
    losses = [loss.item() for loss in clock.losses]
    result = {'batches': len(losses), 'mean loss': sum(losses) / len(losses)}
    return dict(seconds=clock.seconds, result=result)


def peer(images: DrawnImages, batch: int, threads: int) -> Lap:
    """An epoch of the peer's, in a fresh process.

    Raises:
        NotMeasured: It failed.
    """
    numbers = map(str, (*IMAGE_SIZE, batch, WORKERS, INTERVAL))
    command = [sys.executable, str(PEER_TRAINING), str(images.root), *numbers]
    done = subprocess.run(command, env=child_environment(threads), capture_output=True, text=True)
    if done.returncode != 0:
        raise NotMeasured(f'the peer failed: {(done.stderr.strip().splitlines() or ["no message"])[-1]}')
    return Lap(**json.loads(done.stdout.strip().splitlines()[-1]))
