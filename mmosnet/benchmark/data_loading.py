"""JPEG crops to training batches: an epoch through the training loaders of both sides, two workers each.

Both resize to 256x128 and flip. The peer's workers normalise to floats; ours pass bytes on and the model's data
preprocessor normalises the batch, which belongs to our time here. Each lap is one whole epoch, the start of workers
included where a side starts them in every epoch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader

from mmosnet.benchmark.drawn_images import DrawnImages, drawn_images
from mmosnet.benchmark.equality import same_scores
from mmosnet.benchmark.networks import IMAGE_SIZE, load_config
from mmosnet.benchmark.peer import has_peer, quietly, why_no_peer
from mmosnet.benchmark.row import Case, Contest, Lap, Settings
from mmosnet.engine.trained_model import build_model

WORKERS = 2
# 3,840 images are 60 whole batches; 60 in a quick run. Both sides drop a last batch that is not full, and would
# compare different images.
BATCH, QUICK_BATCH = 64, 12
NUM_PIDS, QUICK_PIDS = 128, 2
# Two decoders and two resizers: brightness and contrast of the epoch, in units of normalised images.
TOLERANCE = 0.01


def cases(settings: Settings) -> Sequence[Case]:
    """One epoch, 256x128."""
    images = drawn_images(settings, QUICK_PIDS if settings.quick else NUM_PIDS)
    batch = QUICK_BATCH if settings.quick else BATCH
    name = f'{images.num_images:,} images, batch {batch}, {WORKERS} workers'
    return [Case(name, partial(contest, images, batch))]


def contest(images: DrawnImages, batch: int) -> Contest:
    """Both sides over the same files."""
    images.make()
    return Contest(
        ours=partial(_epoch, OurBatches(images, batch)),
        peer=partial(_epoch, PeerBatches(images, batch)) if has_peer() else None,
        compare=partial(same_scores, tolerance=TOLERANCE),
        no_peer=why_no_peer(),
        repeats=5,
    )


def our_loader(cfg: Config, images: DrawnImages, batch: int, workers: int = WORKERS) -> DataLoader:
    """The training loader of a config, on these images."""
    cfg = fit_config(cfg, images, batch, workers)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return Runner.build_dataloader(cfg.train_dataloader, seed=0)


def fit_config(cfg: Config, images: DrawnImages, batch: int, workers: int = WORKERS) -> Config:
    """The config with these training images, batch size and number of workers."""
    loader = cfg.train_dataloader
    loader.update(batch_size=batch, num_workers=workers, persistent_workers=workers > 0, pin_memory=False)
    loader.dataset.update(data_root=str(images.folder), check_counts=False)
    return cfg


class OurBatches:
    """Normalised batches of an epoch of ours, and their identities."""

    def __init__(self, images: DrawnImages, batch: int) -> None:
        cfg = load_config('x0.25')
        self.preprocessor = build_model(cfg).data_preprocessor
        self.loader = our_loader(cfg, images, batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for data in self.loader:
            batch = self.preprocessor(data, training=True)
            yield batch['inputs'], torch.cat([sample.gt_label for sample in batch['data_samples']])


class PeerBatches:
    """The same of the peer's."""

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


def _epoch(batches: OurBatches | PeerBatches) -> Lap:
    """An epoch: its time, and what both sides must agree about whatever the order of the images."""
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
    return Lap(seconds, result, {'images a second': images / seconds})
