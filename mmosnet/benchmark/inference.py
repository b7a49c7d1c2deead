"""Images to embeddings on the CPU: our deploy form, plain and compiled, beside the peer's eager network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from mmosnet.benchmark.equality import same_numbers
from mmosnet.benchmark.limits import network_limit
from mmosnet.benchmark.networks import EmbeddingNetwork, draw_images, network_pair
from mmosnet.benchmark.peer import why_no_peer
from mmosnet.benchmark.row import Case, Contest, Settings
from mmosnet.benchmark.timer import Repeated
from mmosnet.models.deploy_form import switch_to_deploy

WIDTHS = ('x1.0', 'x0.25')
BATCHES = (1, 32)
# On these random weights the peer's own float32 lies 1.3e-5 from its float64, ours 1.7e-5.
TOLERANCE = 5e-5


def eager_cases(settings: Settings) -> Sequence[Case]:
    """x1.0 and x0.25, 256x128, batch 1 and 32."""
    return _cases(settings, compiled=False)


def compiled_cases(settings: Settings) -> Sequence[Case]:
    """The same with ``torch.compile`` of the backbone; the peer stays eager."""
    return _cases(settings, compiled=True)


def _cases(settings: Settings, compiled: bool) -> list[Case]:
    widths, batches = (('x0.25',), (1, 2)) if settings.quick else (WIDTHS, BATCHES)
    return [
        Case(f'{width}, batch {batch}', partial(contest, width, batch, compiled=compiled))
        for width in widths
        for batch in batches
    ]


def contest(width: str, batch: int, compiled: bool = False) -> Contest:
    """Both sides on the same normalised images."""
    model, peer = network_pair(width)
    images = draw_images(batch)
    limit = network_limit(EmbeddingNetwork(model), images)
    model = switch_to_deploy(model)
    if compiled:
        model.backbone = compiled_backbone(model.backbone)
    return Contest(
        ours=Repeated(inference(EmbeddingNetwork(model), images)),
        peer=None if peer is None else Repeated(inference(peer, images)),
        compare=partial(same_numbers, tolerance=TOLERANCE),
        limit=limit,
        no_peer=why_no_peer(),
    )


def compiled_backbone(backbone: nn.Module, **options: object) -> Callable:
    """``torch.compile`` for the shapes at hand, with nothing left over from the case before."""
    torch.compiler.reset()
    return torch.compile(backbone, dynamic=False, **options)


def inference(network: nn.Module, images: Tensor) -> Callable[[], Tensor]:
    """Work for the timer: embeddings of a batch."""

    def work() -> Tensor:
        with torch.inference_mode():
            return network(images)

    return work
