"""Validation splits of our own, for data sets whose authors made none."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mmosnet.errors import DataError


def held_out(items: Iterable[int], share: float, seed: int) -> set[int]:
    """Sample a share of different items, at least one; the sample is the same on every machine.

    Args:
        items: Items to sample from, in any order.
        share: Share of the items, within (0, 1).
        seed: Seed of the random sample.
    """
    ordered = sorted(set(items))
    # RandomState and not Generator: numpy promises that its stream never changes.
    order = np.random.RandomState(seed).permutation(len(ordered))
    return {ordered[position] for position in order[: max(1, round(share * len(ordered)))]}


def check_val_share(share: float, splits: Iterable[str], owner: str) -> None:
    """Check the share of a held-out validation split.

    Raises:
        DataError: No share, or a validation split is wanted where nothing is held out.
    """
    if not 0 <= share < 1:
        raise DataError(f'val_share={share} is no share of the training data')
    if 'val' in splits and not share:
        raise DataError(
            f"{owner} has no official validation split, split='val' needs one: val_share=0.1, for train as well, holds "
            'out a tenth of the training data'
        )
