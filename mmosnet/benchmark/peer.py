"""The reference: torchreid from PyPI (extra ``peer``), imported only when it is measured."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from importlib.util import find_spec

from torch import nn

from mmosnet.benchmark.machine import installed_version

PEER = 'torchreid'
WANTED_VERSION = '0.2.5'


def why_no_peer() -> str:
    """Empty if torchreid is there; else what to say in its place."""
    if find_spec(PEER) is None:
        return f"no peer: {PEER} is not installed (pip install -e '.[peer]')"
    found = installed_version(PEER)
    return '' if found in (None, WANTED_VERSION) else f'the peer is {PEER} {found}, not {WANTED_VERSION}'


def has_peer() -> bool:
    """Whether torchreid can be measured."""
    return find_spec(PEER) is not None


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without what torchreid prints and warns of when it is imported, and when it loads data."""
    with (
        open(os.devnull, 'w') as nowhere,
        contextlib.redirect_stdout(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter('ignore')
        yield


def build_peer(width: str, num_classes: int) -> nn.Module:
    """The peer's network with random weights, in training mode.

    Args:
        width: ``'x1.0'`` or ``'x0.25'``.
        num_classes: Identities.
    """
    with quietly():
        from torchreid.reid.models import build_model

        return build_model(f'osnet_{width.replace(".", "_")}', num_classes, loss='softmax', pretrained=False)
