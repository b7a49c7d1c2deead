"""Inference and training steps on a GPU, in the precisions and forms that each side can be run in.

A lap waits for the GPU at its beginning and its end and counts everything between: where kernels are short their
launches are what a user waits for. The peer runs eagerly, in bf16 under autocast as ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.cases_cpu import (
    LOSS_TOLERANCE,
    WIDTHS,
    compiled_backbone,
    draw_batch,
    inference,
    normalize,
    our_step,
    peer_step,
)
from benchmarks.limits import network_limit
from benchmarks.measure import Case, Contest, Lap, NotMeasured, Repeated, Settings, as_near, same_numbers
from benchmarks.peer import IMAGE_SIZE, EmbeddingNetwork, draw_images, network_pair, why_no_peer
from mmosnet.models.deploy import switch_to_deploy

GPU_BATCHES = (1, 64, 512)
# The optimiser wrapper of ours for each precision.
AUTOCAST = dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=1.0)
# A GPU sums in another order, and cuDNN may choose another algorithm for another memory format.
GPU_TOLERANCE, BF16_LOSS_TOLERANCE = 1e-4, 2e-2


@dataclass(frozen=True)
class Form:
    """A way to run our network. The backbone always computes in channels_last.

    Attributes:
        name: Part of the case's name.
        bf16: Whether both sides run under bfloat16 autocast.
        compile_mode: Mode of ``torch.compile``; None for eager. ``'reduce-overhead'`` records CUDA graphs.
    """

    name: str
    bf16: bool = False
    compile_mode: str | None = None


INFERENCE_FORMS = (
    Form('fp32'),
    Form('fp32, compiled', compile_mode='default'),
    Form('bf16', bf16=True),
    Form('bf16, CUDA graphs', bf16=True, compile_mode='reduce-overhead'),
)
TRAINING_FORMS = (
    Form('fp32'),
    Form('bf16', bf16=True),
    Form('bf16, compiled', bf16=True, compile_mode='default'),
)


def gpu_inference_cases(settings: Settings) -> Sequence[Case]:
    """Return cases of x1.0 and x0.25, batch 1, 64 and 512, in each form."""
    return _gpu_cases(settings, INFERENCE_FORMS, GPU_BATCHES, gpu_inference_contest)


def gpu_training_cases(settings: Settings) -> Sequence[Case]:
    """Return the same cases without batch 1, which has no batch statistics."""
    return _gpu_cases(settings, TRAINING_FORMS, GPU_BATCHES[1:], gpu_training_contest)


def _gpu_cases(settings: Settings, forms: Sequence[Form], batches: Sequence[int], contest: Callable) -> list[Case]:
    widths, batches = (('x0.25',), (4,)) if settings.quick else (WIDTHS, batches)
    return [
        Case(f'{width}, batch {batch}, {form.name}', partial(contest, width, batch, form))
        for width in widths
        for batch in batches
        for form in forms
    ]


def need_device(device: str) -> None:
    """Check that a device is present.

    Raises:
        NotMeasured: There is no CUDA device.
    """
    if device == 'cuda' and not torch.cuda.is_available():
        raise NotMeasured('no CUDA device')


def gpu_inference_contest(
    width: str, batch: int, form: Form, device: str = 'cuda', size: tuple[int, int] = IMAGE_SIZE
) -> Contest:
    """Prepare both sides on the same images.

    Args:
        width: Width of both networks.
        batch: Images per batch.
        form: How our network runs; the peer has the same precision.
        device: Device; tests use a CPU.
        size: Height and width of the images.
    """
    need_device(device)
    model, peer = network_pair(width)
    images = draw_images(batch, size).to(device)
    dtype = torch.bfloat16 if form.bf16 else torch.float32
    model = switch_to_deploy(model.to(device))
    with torch.inference_mode():
        exact = None if peer is None else peer.to(device)(images)
    limit = network_limit(EmbeddingNetwork(model), images, device, dtype)
    if form.compile_mode is not None:
        model.backbone = compiled_backbone(model.backbone, mode=form.compile_mode)
    with_memory = partial(_with_memory, device)
    return Contest(
        ours=with_memory(_inference_work(EmbeddingNetwork(model), images, form, device)),
        peer=None if peer is None else with_memory(_inference_work(peer.to(device), images, form, device)),
        compare=partial(as_near, exact=exact) if form.bf16 else partial(same_numbers, tolerance=GPU_TOLERANCE),
        limit=limit,
        no_peer=why_no_peer(),
    )


def _inference_work(network: nn.Module, images: Tensor, form: Form, device: str) -> Callable[[], Tensor]:
    plain = inference(network, images)

    def work() -> Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=form.bf16):
            # A CUDA graph's output lies in memory that its next run overwrites.
            return plain().float().clone() if form.compile_mode == 'reduce-overhead' else plain()

    return work


def gpu_training_contest(
    width: str, batch: int, form: Form, device: str = 'cuda', size: tuple[int, int] = IMAGE_SIZE
) -> Contest:
    """Prepare both sides on the same images and identities; arguments of :func:`gpu_inference_contest`."""
    need_device(device)
    model, peer = network_pair(width)
    pixels, labels = draw_batch(batch, size)
    model, pixels = model.to(device), pixels.to(device)
    images = normalize(model, pixels)
    dtype = torch.bfloat16 if form.bf16 else torch.float32
    limit = network_limit(EmbeddingNetwork(model), images, device, dtype, passes=3)
    if form.compile_mode is not None:
        model.backbone.compile(dynamic=False, mode=form.compile_mode)
    wrapper = AUTOCAST if form.bf16 else None
    if form.bf16 and device == 'cpu':
        wrapper = dict(type='mmosnet.AutocastOptimWrapper')
    with_memory = partial(_with_memory, device)
    ours = our_step(model, width, pixels, labels, wrapper)
    tolerance = BF16_LOSS_TOLERANCE if form.bf16 else max(GPU_TOLERANCE, LOSS_TOLERANCE)
    return Contest(
        ours=with_memory(ours),
        peer=None if peer is None else with_memory(_peer_work(peer.to(device), images, labels, form, device)),
        compare=lambda ours, theirs: f'first loss: {same_numbers(ours, theirs, tolerance)}',
        limit=limit,
        no_peer=why_no_peer(),
    )


def _peer_work(network: nn.Module, images: Tensor, labels: Tensor, form: Form, device: str) -> Callable[[], float]:
    plain = peer_step(network, images, labels.to(device), use_gpu=device == 'cuda')

    def work() -> float:
        with torch.autocast(device, torch.bfloat16, enabled=form.bf16):
            return plain()

    return work


def _with_memory(device: str, work: Callable[[], object]) -> Callable[[], Lap]:
    """Return laps of work, with the largest memory that PyTorch held on the GPU."""
    repeated = Repeated(work, device)
    if device != 'cuda':
        return repeated

    def lap() -> Lap:
        torch.cuda.reset_peak_memory_stats()
        measured = repeated()
        return Lap(measured.seconds, measured.result, {'peak GPU GiB': torch.cuda.max_memory_allocated() / 2**30})

    return lap
