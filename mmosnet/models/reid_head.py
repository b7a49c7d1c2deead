"""The re-identification head: an identity classifier in training, the embedding itself in testing."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from mmpretrain.evaluation.metrics import Accuracy
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmosnet.registry import MODELS


@MODELS.register_module()
class ReIDHead(BaseModule):
    """Learns embeddings by classifying identities, optionally with a metric loss beside.

    mmpretrain's ``LinearClsHead`` predicts categories and has neither metric loss nor BNNeck; its
    ``ArcFaceClsHead`` fixes the loss; mmdet's ``LinearReIDHead`` brings its own linear layers and
    needs mmdet.

    Args:
        num_classes: Identities of the training set.
        in_channels: D, length of the embedding that the neck gives.
        bnneck: Batch normalisation without shift between embedding and classifier (Luo et al., CVPRW 2019): the
            metric loss sees the embedding before it, the classifier and the search the one behind.
        loss: Identity loss, of mmpretrain; label smoothing 0.1 is the paper's.
        metric_loss: Loss of ``(embedding, labels)``, for example ``dict(type='mmosnet.TripletLoss')``.
        init_cfg: Initialisation; the released code's by default.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 512,
        bnneck: bool = False,
        loss: dict = dict(type='mmpretrain.LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        metric_loss: dict | None = None,
        init_cfg: dict | None = dict(type='Normal', layer='Linear', std=0.01),
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.num_classes = num_classes
        self.bnneck = nn.BatchNorm1d(in_channels) if bnneck else nn.Identity()
        if bnneck:
            # With a shift the classifier's hyperplanes would leave the origin, and cosine search would suffer.
            self.bnneck.bias.requires_grad_(False)
        self.classifier = nn.Linear(in_channels, num_classes, bias=not bnneck)
        self.loss_module = MODELS.build(loss)
        self.metric_loss = None if metric_loss is None else MODELS.build(metric_loss)

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Return the embedding ``(N, D)`` to search with: the neck's output, after the BNNeck if any."""
        return self.bnneck(feats[-1])

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Compute the embedding ``(N, D)``."""
        return self.pre_logits(feats)

    def loss(self, feats: tuple[Tensor, ...], data_samples: list[DataSample]) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            feats: The neck's outputs; the last is the embedding ``(N, D)``.
            data_samples: N samples with ``gt_label``.

        Returns:
            ``loss_id``, ``loss_metric`` if there is one, and ``top-1``, the share of images whose identity is
            classified right, in percent.
        """
        labels = torch.cat([sample.gt_label for sample in data_samples])
        logits = self.classifier(self.pre_logits(feats))
        losses = {'loss_id': self.loss_module(logits, labels, avg_factor=len(labels))}
        if self.metric_loss is not None:
            losses['loss_metric'] = self.metric_loss(feats[-1], labels)
        # Without the default threshold, which takes scores for probabilities.
        losses['top-1'] = Accuracy.calculate(logits.detach(), labels, thrs=(None,))[0][0]
        return losses

    def predict(
        self, feats: tuple[Tensor, ...], data_samples: list[DataSample | None] | None = None
    ) -> list[DataSample]:
        """Store each image's embedding ``(D,)``, float32, in its data sample as ``embedding``."""
        embeddings = self.pre_logits(feats).float()
        if data_samples is None:
            data_samples = [None] * len(embeddings)
        predictions = []
        for sample, embedding in zip(data_samples, embeddings, strict=True):
            prediction = DataSample() if sample is None else sample
            prediction.set_field(embedding, 'embedding')
            predictions.append(prediction)
        return predictions
