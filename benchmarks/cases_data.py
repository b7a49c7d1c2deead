"""Data loading, a training epoch, and start-up, on rendered people in the layout of Market-1501.

Data loading: JPEG crops to training batches, an epoch through the training loaders of both sides, two workers each.
Both resize to 256x128 and flip. The peer's workers normalize to floats; ours pass bytes on and the model's data
preprocessor normalizes the batch, which belongs to our time here. Each lap is one whole epoch, the start of workers
included where a side starts them in every epoch.

Epoch: x0.25 on the CPU with loading, steps and logging. Each lap is a new process that trains one epoch from random
weights; from the first request for a batch to the end of the last step is timed, the start of the workers included.
Testing and checkpoints are left out.

Start-up: how long a user waits for ``--help``, and from starting a training to the end of its first iteration.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.measure import Case, Contest, Lap, NotMeasured, Settings, Target, same_scores
from benchmarks.peer import IMAGE_SIZE, has_peer, load_config, quietly, why_no_peer
from benchmarks.process import REPOSITORY, child_environment, run_fresh, seconds_until
from mmosnet.models.build import build_model
from mmosnet.synthetic.datasets import write_synthetic_people

# The folder's name is what the peer looks for below the root that it is given.
FOLDER = 'market1501'
CAMERAS, IMAGES_PER_CAMERA = 6, 5


@dataclass(frozen=True)
class DrawnImages:
    """A drawn data set.

    Attributes:
        root: Parent folder of the data set, which the peer takes.
        num_pids: Number of training identities.
    """

    root: Path
    num_pids: int

    @property
    def folder(self) -> Path:
        return self.root / FOLDER

    @property
    def num_images(self) -> int:
        """Number of training images."""
        return self.num_pids * CAMERAS * IMAGES_PER_CAMERA

    def make(self) -> None:
        """Draw the data set unless it exists."""
        write_synthetic_people(
            self.folder,
            num_train_pids=self.num_pids,
            num_test_pids=2,
            num_cameras=CAMERAS,
            images_per_camera=IMAGES_PER_CAMERA,
            num_distractors=0,
            num_junk=0,
        )


def drawn_images(settings: Settings, num_pids: int) -> DrawnImages:
    """Return the data set with a number of training identities, in the benchmark's folder."""
    return DrawnImages(settings.folder / f'people_{num_pids}', num_pids)


WORKERS = 2
# 3,840 images are 60 whole batches; 60 in a quick run. Both sides drop a last batch that is not full, and would
# compare different images.
LOADING_BATCH, QUICK_LOADING_BATCH = 64, 12
LOADING_PIDS, QUICK_PIDS = 128, 2
# Two decoders and two resizers: brightness and contrast of the epoch, in units of normalized images.
BRIGHTNESS_TOLERANCE = 0.01


def data_loading_cases(settings: Settings) -> Sequence[Case]:
    """Return one case: an epoch at 256x128."""
    images = drawn_images(settings, QUICK_PIDS if settings.quick else LOADING_PIDS)
    batch = QUICK_LOADING_BATCH if settings.quick else LOADING_BATCH
    name = f'{images.num_images:,} images, batch {batch}, {WORKERS} workers'
    return [Case(name, partial(data_loading_contest, images, batch))]


def data_loading_contest(images: DrawnImages, batch: int) -> Contest:
    """Prepare both sides on the same files."""
    images.make()
    return Contest(
        ours=partial(_load_epoch, OurBatches(images, batch)),
        peer=partial(_load_epoch, PeerBatches(images, batch)) if has_peer() else None,
        compare=partial(same_scores, tolerance=BRIGHTNESS_TOLERANCE),
        no_peer=why_no_peer(),
        repeats=5,
    )


def our_loader(cfg: Config, images: DrawnImages, batch: int, workers: int = WORKERS) -> DataLoader:
    """Build the training loader of a config for these images."""
    cfg = fit_config(cfg, images, batch, workers)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return Runner.build_dataloader(cfg.train_dataloader, seed=0)


def fit_config(cfg: Config, images: DrawnImages, batch: int, workers: int = WORKERS) -> Config:
    """Return the config with these training images, batch size and number of workers."""
    loader = cfg.train_dataloader
    loader.update(batch_size=batch, num_workers=workers, persistent_workers=workers > 0, pin_memory=False)
    loader.dataset.update(data_root=str(images.folder), check_counts=False)
    return cfg


class OurBatches:
    """Our normalized batches of an epoch, with identities."""

    def __init__(self, images: DrawnImages, batch: int) -> None:
        cfg = load_config('x0.25')
        self.preprocessor = build_model(cfg).data_preprocessor
        self.loader = our_loader(cfg, images, batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for data in self.loader:
            batch = self.preprocessor(data, training=True)
            yield batch['inputs'], torch.cat([sample.gt_label for sample in batch['data_samples']])


class PeerBatches:
    """The peer's normalized batches of an epoch, with identities."""

    def __init__(self, images: DrawnImages, batch: int) -> None:
        with quietly():
            from torchreid.reid.data import ImageDataManager

            manager = ImageDataManager(
                root=str(images.root),
                sources='market1501',
                height=IMAGE_SIZE[0],
                width=IMAGE_SIZE[1],
                transforms='random_flip',
                batch_size_train=batch,
                workers=WORKERS,
                use_gpu=False,
            )
        self.loader = manager.train_loader

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for data in self.loader:
            yield data['img'], data['pid']


def _load_epoch(batches: OurBatches | PeerBatches) -> Lap:
    """Load an epoch: its time, and statistics that must agree on both sides in any order of the images."""
    means, squares, images = [], [], 0
    start = time.perf_counter()
    for inputs, _ in batches:
        images += len(inputs)
        # A pixel in 64: enough for the comparison, nothing beside the loading.
        sample = inputs[:, :, ::8, ::8]
        means.append(sample.mean().item())
        squares.append(sample.square().mean().item())
    seconds = time.perf_counter() - start
    count = len(means)
    result = {'batches': count, 'images': images, 'mean': sum(means) / count, 'mean square': sum(squares) / count}
    return Lap(seconds, result, {'images per second': images / seconds})


PEER_TRAINING = Path(__file__).parent / 'peer_training.py'
# Identities of 30 images each: 1,620 images, an eighth of Market-1501's 12,936.
EPOCH_PIDS = 54
EPOCH_BATCH = 32
INTERVAL = 50
# Random weights, orders and flips of both sides: their losses lie near each other and are never equal.
EPOCH_LOSS_TOLERANCE = 0.5


def epoch_cases(settings: Settings) -> Sequence[Case]:
    """Return one case: a training epoch at 256x128."""
    images = drawn_images(settings, QUICK_PIDS if settings.quick else EPOCH_PIDS)
    batch = 16 if settings.quick else EPOCH_BATCH
    name = f'x0.25, {images.num_images:,} images' + ('' if settings.quick else ' (1/8 of Market-1501)')
    return [Case(f'{name}, batch {batch}, {WORKERS} workers', partial(epoch_contest, images, batch, settings))]


def epoch_contest(images: DrawnImages, batch: int, settings: Settings) -> Contest:
    """Prepare both sides on the same files."""
    images.make()
    numbers = dict(num_pids=images.num_pids, batch=batch)
    return Contest(
        ours=lambda: run_fresh(f'{__name__}:train_our_epoch', settings.threads, root=str(images.root), **numbers),
        peer=(lambda: train_peer_epoch(images, batch, settings.threads)) if has_peer() else None,
        compare=partial(same_scores, tolerance=EPOCH_LOSS_TOLERANCE),
        no_peer=why_no_peer(),
        repeats=3,
        keep_first=True,
    )


class EpochClock(Hook):
    """Record the time of an epoch and its losses."""

    priority = 'VERY_LOW'

    def before_train_epoch(self, runner: Runner) -> None:
        self.losses = []
        self.start = time.perf_counter()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: object, outputs: dict) -> None:
        self.losses.append(outputs['loss'].detach())
        # Before the checkpoint hook, which comes at the end of the epoch.
        self.seconds = time.perf_counter() - self.start


def train_our_epoch(root: str, num_pids: int, batch: int) -> dict:
    """Train our network for an epoch; called in a fresh process."""
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


def train_peer_epoch(images: DrawnImages, batch: int, threads: int) -> Lap:
    """Train the peer's network for an epoch, in a fresh process.

    Raises:
        NotMeasured: The process failed.
    """
    numbers = map(str, (*IMAGE_SIZE, batch, WORKERS, INTERVAL))
    command = [sys.executable, str(PEER_TRAINING), str(images.root), *numbers]
    done = subprocess.run(command, env=child_environment(threads), capture_output=True, text=True)
    if done.returncode != 0:
        raise NotMeasured(f'the peer failed: {(done.stderr.strip().splitlines() or ["no message"])[-1]}')
    return Lap(**json.loads(done.stdout.strip().splitlines()[-1]))


# The demo: x0.25, 128x64, batch 32, one worker.
DEMO, TRAIN = REPOSITORY / 'configs' / 'osnet_reid_synthetic.py', REPOSITORY / 'tools' / 'train.py'
DEMO_NUMBERS = (128, 64, 32, 1)
# What each side logs after its first iteration.
OUR_LINE, PEER_LINE = r'Epoch\(train\)\s+\[1\]\[\s*1/', r'epoch: \[1/1\]\[1/'


def start_up_cases(settings: Settings) -> Sequence[Case]:
    """Return cases: ``--help``, and the first iteration of the demo."""
    return [
        Case('tools/train.py --help', partial(help_contest, settings), Target(seconds=1)),
        Case('first iteration of the demo', partial(first_iteration_contest, settings), Target(ratio=1)),
    ]


def help_contest(settings: Settings) -> Contest:
    """Prepare our side alone: the peer's package has no command."""
    command = [sys.executable, str(TRAIN), '--help']
    return Contest(ours=lambda: seconds_until(command, 'usage: ', settings.threads, to_end=True), repeats=9)


def first_iteration_contest(settings: Settings) -> Contest:
    """Prepare both sides: they train the same network on the same images with their own loaders."""
    images = drawn_images(settings, QUICK_PIDS if settings.quick else EPOCH_PIDS)
    images.make()
    numbers = map(str, (*DEMO_NUMBERS, 1))
    peer = [sys.executable, '-u', str(PEER_TRAINING), str(images.root), *numbers]
    return Contest(
        ours=lambda: our_first_iteration(images, settings.threads),
        peer=(lambda: seconds_until(peer, PEER_LINE, settings.threads)) if has_peer() else None,
        no_peer=why_no_peer(),
        repeats=5,
    )


def our_first_iteration(images: DrawnImages, threads: int) -> Lap:
    """Run ``tools/train.py`` with the demo's config until it has logged its first iteration."""
    with TemporaryDirectory() as work_dir:
        loaders = ('train', 'val', 'test')
        command = [
            *(sys.executable, '-u', str(TRAIN), str(DEMO)),
            *('--work-dir', work_dir, '--data-root', str(images.folder), '--cfg-options'),
            *('default_hooks.logger.interval=1', f'model.head.num_classes={images.num_pids}'),
            # The demo would draw people of its own into the folder.
            *(f'{loader}_dataloader.dataset.type=mmosnet.Market1501' for loader in loaders),
            *(f'{loader}_dataloader.dataset.check_counts=False' for loader in loaders),
        ]
        return seconds_until(command, OUR_LINE, threads)
