"""Joining what a model says of parts of a tracklet: one row per tracklet, however long it is."""

from __future__ import annotations

import torch


def join_clips(row: dict, other: dict) -> dict:
    """Join two rows of one tracklet, each pooled over some of its clips.

    Args:
        row: ``embedding`` ``(D,)``; ``weight`` and ``pooling`` as :class:`~mmosnet.models.TrackletHead` gives them;
            ``clips``, a frozenset of the numbers of the clips; ``sample_idx``, the first of their indices. Other keys
            are equal in both.
        other: Another row of the same tracklet.

    Returns:
        The row of all clips. A row without new clips, as padding of a distributed evaluation, changes nothing.
    """
    if other['clips'] <= row['clips']:
        return row
    if row['pooling'] == 'max':
        embedding, weight = torch.maximum(row['embedding'], other['embedding']), row['weight'] + other['weight']
    else:
        weight = row['weight'] + other['weight']
        # Not sum / weight: the sum of long tracklets would lose digits.
        embedding = row['embedding'] + (other['embedding'] - row['embedding']) * (other['weight'] / weight)
    return dict(
        row,
        embedding=embedding,
        weight=weight,
        clips=row['clips'] | other['clips'],
        sample_idx=min(row['sample_idx'], other['sample_idx']),
    )
