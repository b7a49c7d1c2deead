"""Tracklets in a model: frames of a batch as images, and the pooling of their embeddings.

A batch of B tracklets of T frames passes through backbone and neck as B x T images, so that neither knows of video and
checkpoints of images and of video fit each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.structures import DataSample
from torch import Tensor

from mmosnet.errors import DataError
from mmosnet.models.heads import ReIDHead
from mmosnet.registry import MODELS

POOLINGS = ('mean', 'max', 'quality')
TRAIN_ON = ('frames', 'tracklets')


def pool_frames(embedding: Tensor, counts: Sequence[int], pooling: str) -> tuple[Tensor, Tensor]:
    """Pool the embeddings of each tracklet's frames.

    Args:
        embedding: ``(N, D)``, the frames of one tracklet after the other.
        counts: Number of frames of each of B tracklets, N in all.
        pooling: ``'mean'``; ``'max'``, of each dimension; ``'quality'``, the mean weighted by the length of each
            frame's embedding, which tends to be small where little of a person is seen.

    Returns:
        ``(B, D)``, and ``(B,)``: the weight of each tracklet. Parts of one tracklet that were pooled alone give the
        whole by their mean with these weights, or for ``'max'`` by their maximum.
    """
    numbers = torch.tensor(counts, device=embedding.device)
    if pooling == 'max':
        return torch.stack([part.amax(0) for part in embedding.split(list(counts))]), numbers.to(embedding.dtype)
    weights = embedding.new_ones(len(embedding))
    if pooling == 'quality':
        # A length of 0 leaves a weight, so that a tracklet of such frames still has a mean.
        weights = embedding.norm(dim=1).clamp_min(torch.finfo(embedding.dtype).tiny)
    rows = torch.repeat_interleave(torch.arange(len(numbers), device=embedding.device), numbers)
    totals = weights.new_zeros(len(numbers)).index_add(0, rows, weights)
    shares = weights / totals[rows]
    pooled = embedding.new_zeros(len(numbers), embedding.shape[1]).index_add(0, rows, embedding * shares[:, None])
    return pooled, totals


@MODELS.register_module()
class TrackletPreprocessor(ClsDataPreprocessor):
    """Turn tracklets into a batch of their frames, then normalize it as mmpretrain's ``ClsDataPreprocessor`` does.

    That class takes images only. Tracklets of a batch may differ in the number of frames (``collate_fn`` of type
    ``pseudo_collate``). Images pass through unchanged.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Preprocess a batch.

        Args:
            data: ``inputs``, B tracklets ``(T, 3, H, W)`` as a list or a tensor, and ``data_samples``.
            training: Whether to apply batch augmentations.

        Returns:
            ``inputs`` ``(N, 3, H, W)``, with N the number of frames of all tracklets, and the B ``data_samples``, each
            with its ``num_frames``.
        """
        inputs, samples = data['inputs'], data.get('data_samples')
        if len(inputs) and inputs[0].ndim == 4:
            for sample, frames in zip(samples or [], inputs, strict=bool(samples)):
                sample.set_field(len(frames), 'num_frames', field_type='metainfo')
            data = dict(data, inputs=torch.cat(list(inputs)))
        return super().forward(data, training)


@MODELS.register_module()
class TrackletHead(ReIDHead):
    """:class:`~mmosnet.models.ReIDHead` for tracklets: one embedding per tracklet.

    It has the same parameters, so that checkpoints of both fit. Pooled are the embeddings as they are, before any
    normalization, as in torchreid. Images are tracklets of one frame.

    Args:
        pooling: ``'mean'``, ``'max'`` or ``'quality'``; see :func:`pool_frames`.
        train_on: ``'frames'``: each frame is an image with its tracklet's label, as in torchreid. ``'tracklets'``: the
            losses get the pooled embedding, so that a triplet loss compares tracklets.
        **kwargs: Same as in :class:`~mmosnet.models.ReIDHead`.

    Raises:
        DataError: Unknown ``pooling`` or ``train_on``.
    """

    def __init__(self, *args, pooling: str = 'mean', train_on: str = 'frames', **kwargs) -> None:
        for name, value, choices in (('pooling', pooling, POOLINGS), ('train_on', train_on, TRAIN_ON)):
            if value not in choices:
                raise DataError(f'TrackletHead: {name}={value!r}: choose from {", ".join(choices)}')
        super().__init__(*args, **kwargs)
        self.pooling = pooling
        self.train_on = train_on

    def loss(self, feats: tuple[Tensor, ...], data_samples: list[DataSample]) -> dict[str, Tensor]:
        """Compute the losses of a batch; see the base class.

        Args:
            feats: The neck's outputs; the last is the embedding of all frames ``(N, D)``.
            data_samples: B samples with ``gt_label`` and ``num_frames``.
        """
        counts = _frame_counts(data_samples)
        if self.train_on == 'tracklets':
            return super().loss((pool_frames(feats[-1], counts, self.pooling)[0],), data_samples)
        repeated = [sample for sample, count in zip(data_samples, counts, strict=True) for _ in range(count)]
        return super().loss(feats, repeated)

    def predict(
        self, feats: tuple[Tensor, ...], data_samples: list[DataSample | None] | None = None
    ) -> list[DataSample]:
        """Store each tracklet's ``embedding`` ``(D,)``, float32, in its data sample.

        A sample of a clip also gets what joining the clips of a tracklet needs: ``pooling``, and ``weight``, of
        :func:`pool_frames`.
        """
        if data_samples is None or any(sample is None for sample in data_samples):
            return super().predict(feats, data_samples)
        pooled, weights = pool_frames(self.pre_logits(feats).float(), _frame_counts(data_samples), self.pooling)
        for sample, embedding, weight in zip(data_samples, pooled, weights.tolist(), strict=True):
            sample.set_field(embedding, 'embedding')
            sample.set_field(weight, 'weight')
            sample.set_field(self.pooling, 'pooling')
        return data_samples


def _frame_counts(samples: Sequence[DataSample]) -> list[int]:
    return [sample.get('num_frames', 1) for sample in samples]
