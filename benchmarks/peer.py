"""The reference, torchreid (extra ``peer``), imported only when it is measured, and both networks with equal weights.

The package on PyPI is a third party's repackaging of the authors' code.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor, nn

from benchmarks.process import REPOSITORY
from benchmarks.report import installed_version
from mmosnet.models.build import build_model
from mmosnet.models.torchreid import from_torchreid

PEER = 'torchreid'
WANTED_VERSION = '0.2.5'


def why_no_peer() -> str:
    """Return why torchreid cannot be measured; an empty text if it can."""
    if find_spec(PEER) is None:
        return f"no peer: {PEER} is not installed (pip install -e '.[peer]')"
    installed = installed_version(PEER)
    return '' if installed in (None, WANTED_VERSION) else f'the peer is {PEER} {installed}, not {WANTED_VERSION}'


def has_peer() -> bool:
    """Return whether torchreid can be measured."""
    return find_spec(PEER) is not None


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Suppress what torchreid prints and warns of on import and when it loads data."""
    with (
        open(os.devnull, 'w') as nowhere,
        contextlib.redirect_stdout(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter('ignore')
        yield


def build_peer(width: str, num_classes: int) -> nn.Module:
    """Build the peer's network with random weights, in training mode.

    Args:
        width: ``'x1.0'`` or ``'x0.25'``.
        num_classes: Number of identities.
    """
    with quietly():
        from torchreid.reid.models import build_model

        return build_model(f'osnet_{width.replace(".", "_")}', num_classes, loss='softmax', pretrained=False)


CONFIGS = {'x1.0': 'osnet_reid_market.py', 'x0.25': 'osnet_x0_25_reid_market.py'}
IMAGE_SIZE = (256, 128)
# Identities of Market-1501's training set.
NUM_CLASSES = 751


class EmbeddingNetwork(nn.Module):
    """Backbone and neck of a model, as ``extract_feat`` runs them: normalized images to embeddings."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.neck = model.neck

    def forward(self, images: Tensor) -> Tensor:
        return self.neck(self.backbone(images))[-1]


def load_config(width: str) -> Config:
    """Return our config for Market-1501.

    Args:
        width: ``'x1.0'`` or ``'x0.25'``.
    """
    return Config.fromfile(REPOSITORY / 'configs' / CONFIGS[width])


def network_pair(width: str) -> tuple[nn.Module, nn.Module | None]:
    """Build our model for Market-1501 and the peer's network, both in evaluation mode, with equal weights.

    The weights are random. The normalization layers differ from the identity, as those of a trained network do, so that
    folding them makes a difference. Without a peer our model keeps its initial weights.

    Args:
        width: ``'x1.0'`` or ``'x0.25'``.
    """
    torch.manual_seed(0)
    model = build_model(load_config(width))
    if not has_peer():
        return model, None
    peer = build_peer(width, NUM_CLASSES)
    _settle_norms(peer)
    state_dict, _ = from_torchreid(peer.state_dict(), keep_classifier=True)
    # A copy: training steps of one must not change the other.
    model.load_state_dict({name: tensor.clone() for name, tensor in state_dict.items()})
    return model.eval(), peer.eval()


def _settle_norms(network: nn.Module) -> None:
    """Set random scales and shifts, then the statistics of some images."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.1)
            # The statistics of the next batch alone.
            norm.momentum = 1.0
        network.train()
        network(draw_images(16, (128, 64)))
    for norm in norms:
        norm.momentum = 0.1


def draw_images(batch: int, size: tuple[int, int] = IMAGE_SIZE) -> Tensor:
    """Return random normalized images ``(batch, 3, H, W)``, always the same: large patches of color under noise.

    With noise alone, all images would look the same to a network that averages over them, and normalizing the
    embeddings would magnify rounding errors.
    """
    generator = torch.Generator().manual_seed(batch)
    patches = F.interpolate(torch.randn(batch, 3, 8, 4, generator=generator), size, mode='bilinear')
    return patches + 0.3 * torch.randn(batch, 3, *size, generator=generator)
