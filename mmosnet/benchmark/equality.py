"""Whether both sides computed the same, said with a number."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmosnet.benchmark.row import Unequal


def same_numbers(ours: Tensor | np.ndarray, peer: Tensor | np.ndarray, tolerance: float = 1e-5) -> str:
    """Compare arrays: the largest difference, relative to the peer's largest number.

    Raises:
        Unequal: Of another shape, not finite, or farther apart than ``tolerance``.
    """
    ours, peer = (torch.as_tensor(array).detach().double().cpu() for array in (ours, peer))
    if ours.shape != peer.shape:
        raise Unequal(f'ours is {tuple(ours.shape)}, the peer {tuple(peer.shape)}')
    difference = float((ours - peer).abs().max() / peer.abs().max().clamp(min=torch.finfo(torch.float32).tiny))
    # Written so that an undefined number fails.
    if not difference <= tolerance:
        raise Unequal(f'relative difference {difference:.1e}, allowed {tolerance:.0e}')
    return f'relative difference {difference:.1e}'


def same_directions(ours: Tensor | np.ndarray, peer: Tensor | np.ndarray, least: float = 0.99) -> str:
    """Compare embeddings of lower precision: the smallest cosine of a pair, ``(N, D)`` each.

    Raises:
        Unequal: Of another shape, or a cosine below ``least``.
    """
    cosine = float(_cosines(ours, peer).min())
    if not cosine >= least:
        raise Unequal(f'smallest cosine {cosine:.4f}, at least {least} wanted')
    return f'smallest cosine {cosine:.5f}'


def as_near(
    ours: Tensor | np.ndarray, peer: Tensor | np.ndarray, exact: Tensor | np.ndarray, slack: float = 0.01
) -> str:
    """Compare embeddings of lower precision by how near each side's come to the exact ones, ``(N, D)`` each.

    Both sides round; how far that leads away depends on the network, and on random weights farther than on trained
    ones. Ours may not lead farther than the peer's.

    Raises:
        Unequal: Our smallest cosine with the exact embeddings is below the peer's by more than ``slack``.
    """
    ours, peer = (float(_cosines(side, exact).min()) for side in (ours, peer))
    if not ours >= peer - slack:
        raise Unequal(f'smallest cosine with fp32 {ours:.4f}, the peer has {peer:.4f}')
    return f'smallest cosine with fp32 {ours:.4f}, the peer {peer:.4f}'


def same_scores(ours: Mapping[str, float], peer: Mapping[str, float], tolerance: float = 1e-6) -> str:
    """Compare named numbers, those that both have: the largest difference.

    Raises:
        Unequal: No common name, or farther apart than ``tolerance``.
    """
    names = [name for name in ours if name in peer]
    if not names:
        raise Unequal(f'no score in common: {", ".join(ours)} and {", ".join(peer)}')
    worst = max(names, key=lambda name: abs(ours[name] - peer[name]))
    difference = abs(ours[worst] - peer[worst])
    if not difference <= tolerance:
        raise Unequal(f'{worst} is {ours[worst]:.6f}, the peer has {peer[worst]:.6f}')
    return f'scores differ by {difference:.0e}'


def _cosines(left: Tensor | np.ndarray, right: Tensor | np.ndarray) -> Tensor:
    left, right = (torch.as_tensor(array).detach().double().cpu() for array in (left, right))
    if left.shape != right.shape:
        raise Unequal(f'ours is {tuple(left.shape)}, the peer {tuple(right.shape)}')
    return F.cosine_similarity(left, right)
