"""The attribute head: one linear classifier for all attributes of a person, each of which may apply."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmpretrain.models import MultiLabelLinearClsHead
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmosnet.models.weighted_bce_loss import WeightedBCELoss
from mmosnet.registry import MODELS


@MODELS.register_module()
class AttributeHead(MultiLabelLinearClsHead):
    """Predict the probability of each attribute of a person.

    mmpretrain's ``MultiLabelLinearClsHead`` adds up the losses of all attributes, scores in half precision under
    autocast, and has no normalisation of the logits. Here the loss is the mean over images and attributes, which the
    published learning rates belong to, whatever the number of attributes.

    Args:
        num_classes: A, number of attributes.
        in_channels: D, length of the embedding that the neck gives.
        bn: Batch normalisation of each attribute's logit: rare attributes start with logits as large as common ones.
        loss: :class:`~mmosnet.models.WeightedBCELoss`, which gets ``num_classes`` from here, or a multi-label loss of
            mmpretrain.
        init_cfg: Initialisation; the released code's by default.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 512,
        bn: bool = False,
        loss: dict | nn.Module = dict(type='mmosnet.WeightedBCELoss'),
        init_cfg: dict | None = dict(type='Normal', layer='Linear', std=0.01),
    ) -> None:
        if isinstance(loss, Mapping):
            if MODELS.get(loss['type']) is WeightedBCELoss:
                loss = dict(loss, num_classes=num_classes)
            loss = MODELS.build(loss)
        super().__init__(num_classes=num_classes, in_channels=in_channels, loss=loss, init_cfg=init_cfg)
        self.bn = nn.BatchNorm1d(num_classes) if bn else nn.Identity()

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Compute the logits ``(N, A)``."""
        return self.bn(super().forward(feats))

    def _get_loss(self, cls_score: Tensor, data_samples: list[DataSample], **kwargs) -> dict[str, Tensor]:
        """Compute ``loss_attr``, and ``label_accuracy``: the percentage of labels predicted right."""
        target = torch.zeros_like(cls_score, dtype=torch.float32)
        if data_samples:
            target = torch.stack([sample.gt_score.float() for sample in data_samples])
        number = max(cls_score.numel(), 1)
        right = (cls_score.detach().float().sigmoid() >= self.thr) == (target >= self.thr)
        return dict(
            loss_attr=self.loss_module(cls_score, target, avg_factor=number, **kwargs),
            label_accuracy=100 * right.sum() / number,
        )

    def _get_predictions(self, cls_score: Tensor, data_samples: list[DataSample] | None) -> list[DataSample]:
        """Store ``pred_score`` ``(A,)``, float32, and ``pred_label`` (0.5 or more) in each sample."""
        return super()._get_predictions(cls_score.float(), data_samples)
