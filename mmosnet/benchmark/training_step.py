"""One training step: forward, backward and optimiser, as each side's own engine does it.

Ours is the model's ``train_step`` with the config's optimiser, from a batch of uint8 images, which it normalises; the
peer's is ``ImageSoftmaxEngine.forward_backward`` with AMSGrad of its own, from float images that its loaders have
normalised. Both fetch the loss once a step, as their logs do; the peer's engine also computes the accuracy, as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace

import torch
from mmengine.optim import build_optim_wrapper
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmosnet.benchmark.equality import same_numbers
from mmosnet.benchmark.limits import network_limit
from mmosnet.benchmark.networks import IMAGE_SIZE, NUM_CLASSES, EmbeddingNetwork, draw_images, load_config, network_pair
from mmosnet.benchmark.peer import quietly, why_no_peer
from mmosnet.benchmark.row import Case, Contest, Settings
from mmosnet.benchmark.timer import Repeated

# The first losses, before the weights drift apart by rounding.
LOSS_TOLERANCE = 1e-5


def cases(settings: Settings) -> Sequence[Case]:
    """x1.0 and x0.25, batch 32."""
    widths, batch = (('x0.25',), 4) if settings.quick else (('x1.0', 'x0.25'), 32)
    return [Case(f'{width}, batch {batch}', partial(contest, width, batch)) for width in widths]


def contest(width: str, batch: int) -> Contest:
    """Both sides on the same images and identities, from equal weights."""
    model, peer = network_pair(width)
    pixels, labels = draw_batch(batch)
    limit = network_limit(EmbeddingNetwork(model), draw_images(batch), passes=3)
    return Contest(
        ours=Repeated(our_step(model, width, pixels, labels)),
        peer=None if peer is None else Repeated(peer_step(peer, normalise(model, pixels), labels)),
        compare=lambda ours, theirs: f'first loss: {same_numbers(ours, theirs, LOSS_TOLERANCE)}',
        limit=limit,
        no_peer=why_no_peer(),
    )


def draw_batch(batch: int, size: tuple[int, int] = IMAGE_SIZE) -> tuple[Tensor, Tensor]:
    """Random uint8 images ``(batch, 3, H, W)``, BGR, and identities ``(batch,)``."""
    generator = torch.Generator().manual_seed(batch)
    pixels = torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8, generator=generator)
    return pixels, torch.randint(0, NUM_CLASSES, (batch,), generator=generator)


def normalise(model: nn.Module, pixels: Tensor) -> Tensor:
    """What our data preprocessor makes of the pixels."""
    return model.data_preprocessor(dict(inputs=pixels), training=True)['inputs']


def our_step(model: nn.Module, width: str, pixels: Tensor, labels: Tensor, wrapper: dict | None = None) -> Callable:
    """Work for the timer: a step of ours, returns the loss.

    Args:
        model: Switched to training.
        width: Whose config has the optimiser.
        pixels: uint8 images.
        labels: Identities.
        wrapper: Settings of the optimiser wrapper in place of the config's, as for mixed precision.
    """
    model.train()
    optim_wrapper = build_optim_wrapper(model, dict(load_config(width).optim_wrapper) | (wrapper or {}))
    data = dict(inputs=pixels, data_samples=[DataSample().set_gt_label(int(label)) for label in labels])

    def work() -> float:
        return model.train_step(data, optim_wrapper)['loss'].item()

    return work


def peer_step(network: nn.Module, images: Tensor, labels: Tensor, use_gpu: bool = False) -> Callable:
    """Work for the timer: a step of the peer's engine, returns the loss."""
    with quietly():
        from torchreid.reid.engine import ImageSoftmaxEngine
        from torchreid.reid.optim import build_optimizer
    network.train()
    optimizer = build_optimizer(network, optim='amsgrad', lr=0.0015, weight_decay=5e-4)
    manager = SimpleNamespace(train_loader=None, test_loader=None, num_train_pids=NUM_CLASSES)
    engine = ImageSoftmaxEngine(manager, network, optimizer, use_gpu=use_gpu)
    data = dict(img=images, pid=labels)
    return lambda: engine.forward_backward(data)['loss']
