"""Necks and heads: re-identification, attributes, and several tasks on one backbone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmengine import dist
from mmengine.model import BaseModule, ModuleDict
from mmpretrain.evaluation.metrics import Accuracy
from mmpretrain.models import LinearNeck, MultiLabelLinearClsHead
from mmpretrain.structures import DataSample, MultiTaskDataSample
from torch import Tensor, nn

from mmosnet.errors import DataError
from mmosnet.models.losses import WeightedBCELoss
from mmosnet.registry import MODELS

POOLINGS = dict(average=nn.AdaptiveAvgPool2d, max=nn.AdaptiveMaxPool2d)
TASKS = ('reid', 'attributes', 'category')
BATCH_NORMS = (nn.BatchNorm1d, nn.SyncBatchNorm)


@MODELS.register_module()
class PooledLinearNeck(LinearNeck):
    """Global pooling, linear layer, normalization, activation.

    mmpretrain's ``LinearNeck`` only has the average; the names of parameters are the same, so that checkpoints of both
    fit. The maximum, which the released attribute code uses, keeps small things such as glasses or the strap of a bag.

    Args:
        pooling: ``'average'`` or ``'max'``, over height and width.
        gap_dim: Number of pooled dimensions, always 2; an argument so that a config of ``LinearNeck`` only needs
            another type.
        **kwargs: Same as in ``LinearNeck``.

    Raises:
        DataError: Unknown pooling, or another number of dimensions.
    """

    def __init__(self, *args, pooling: str = 'average', gap_dim: int = 2, **kwargs) -> None:
        if pooling not in POOLINGS or gap_dim != 2:
            raise DataError(
                f'PooledLinearNeck: pooling={pooling!r}, gap_dim={gap_dim}: choose pooling from {", ".join(POOLINGS)}, '
                'gap_dim is 2'
            )
        super().__init__(*args, gap_dim=gap_dim, **kwargs)
        self.gap = POOLINGS[pooling]((1, 1))


@MODELS.register_module()
class ReIDHead(BaseModule):
    """Learn embeddings by classifying identities, optionally with a metric loss; predict the embedding.

    mmpretrain's ``LinearClsHead`` predicts categories and has neither metric loss nor BNNeck; its ``ArcFaceClsHead``
    has a fixed loss; mmdet's ``LinearReIDHead`` has its own linear layers and needs mmdet.

    Args:
        num_classes: Number of identities in the training set.
        in_channels: D, length of the neck's output.
        bnneck: Whether to apply batch normalization without shift between embedding and classifier (Luo et al., CVPRW
            2019): the metric loss uses the embedding before it, classifier and search the one after it.
        loss: Identity loss of mmpretrain; label smoothing is 0.1, as in the paper, by default.
        metric_loss: Loss of ``(embedding, labels)``, for example ``dict(type='mmosnet.TripletLoss')``.
        init_cfg: Initialization; that of the released code by default.
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
        # mmdet's trackers read the length of the embedding here, for a frame without people.
        self.out_channels = in_channels
        self.bnneck = nn.BatchNorm1d(in_channels) if bnneck else nn.Identity()
        if bnneck:
            # With a shift the classifier's hyperplanes would not pass through the origin, which harms cosine search.
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
        # Without the default threshold, which is meant for probabilities.
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


@MODELS.register_module()
class AttributeHead(MultiLabelLinearClsHead):
    """Predict the probability of each attribute of a person.

    mmpretrain's ``MultiLabelLinearClsHead`` sums the losses of all attributes, scores in half precision under
    autocast, and does not normalize the logits. Here the loss is the mean over images and attributes, so that the
    published learning rates suit any number of attributes.

    Args:
        num_classes: A, number of attributes.
        in_channels: D, length of the neck's output.
        bn: Whether to apply batch normalization to each attribute's logit, so that rare attributes start with logits as
            large as common ones.
        loss: :class:`~mmosnet.models.WeightedBCELoss`, which gets ``num_classes`` from the head, or a multi-label loss
            of mmpretrain.
        init_cfg: Initialization; that of the released code by default.
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


@MODELS.register_module()
class JointHead(BaseModule):
    """One head per task on the output of one backbone and neck.

    A sample is a ``MultiTaskDataSample`` with a ``DataSample`` for each task for which it has labels
    (:class:`~mmosnet.datasets.PackTasks`). A task's loss is the mean over the samples with its labels. mmpretrain's
    ``MultiTaskHead`` has no weights, leaves a task's parameters without gradients if a batch has no label of the task,
    at which DistributedDataParallel stops, and fails in a head with batch normalization if a batch has a single one.

    Args:
        heads: Config of each task's head, under the names ``reid``, ``attributes``, ``category``; those with None are
            left out (``--cfg-options model.head.heads.category=None``).
        loss_weights: Factor of each task's losses; 1 by default.
        init_cfg: Same as in mmengine's ``BaseModule``.

    Raises:
        DataError: No head, or an unknown task.
    """

    def __init__(
        self,
        heads: Mapping[str, dict | nn.Module | None],
        loss_weights: Mapping[str, float] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        present = {task: head for task, head in heads.items() if head is not None}
        unknown = [task for task in (*heads, *(loss_weights or {})) if task not in TASKS]
        if unknown or not present:
            raise DataError(f'JointHead has heads {list(heads)}, loss_weights {loss_weights}: name some of {TASKS}')
        self.heads = ModuleDict(
            {task: head if isinstance(head, nn.Module) else MODELS.build(head) for task, head in present.items()}
        )
        self.loss_weights = {task: float((loss_weights or {}).get(task, 1.0)) for task in present}

    def forward(self, feats: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Compute each task's output: the embedding, or logits."""
        return {task: head(feats) for task, head in self.heads.items()}

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Return the shared feature ``(N, D)`` that all heads start from."""
        return feats[-1]

    def loss(self, feats: tuple[Tensor, ...], data_samples: list[MultiTaskDataSample]) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            feats: The neck's outputs.
            data_samples: N samples; those without a task's labels do not count in its loss.

        Returns:
            Values of each head as ``TASK_NAME``, with losses times the task's weight. A task for which the batch has no
            label, or a single one in a head with batch normalization, has the loss 0 and zero gradients.
        """
        losses = {}
        for task, head in self.heads.items():
            rows = [row for row, sample in enumerate(data_samples) if task in sample]
            if self._fewest_samples(head, len(rows)) < self._needed_samples(head):
                losses[f'{task}_loss'] = self._zero_loss(feats, head)
                continue
            labeled = tuple(feat[torch.tensor(rows, device=feat.device)] for feat in feats)
            for name, value in head.loss(labeled, [data_samples[row].get(task) for row in rows]).items():
                losses[f'{task}_{name}'] = value * self.loss_weights[task] if 'loss' in name else value
        return losses

    @staticmethod
    def _needed_samples(head: nn.Module) -> int:
        """Return the smallest number of samples with which a head can train."""
        return 2 if any(isinstance(module, BATCH_NORMS) for module in head.modules()) else 1

    @staticmethod
    def _fewest_samples(head: nn.Module, number: int) -> int:
        """Return the smallest number of samples in one of the processes that synchronize inside the head."""
        if not any(isinstance(module, nn.SyncBatchNorm) for module in head.modules()):
            return number
        fewest = torch.tensor(number, device=next(head.parameters()).device)
        dist.all_reduce(fewest, op='min')
        return int(fewest)

    @staticmethod
    def _zero_loss(feats: tuple[Tensor, ...], head: nn.Module) -> Tensor:
        """Return a zero that depends on all parameters, so that their gradients are 0 instead of missing."""
        touched = [feats[-1].float().sum(), *(p.float().sum() for p in head.parameters() if p.requires_grad)]
        return torch.stack(touched).sum() * 0

    def predict(
        self, feats: tuple[Tensor, ...], data_samples: list[MultiTaskDataSample | None] | None = None
    ) -> list[MultiTaskDataSample]:
        """Predict all tasks for all samples.

        Returns:
            The samples with each head's predictions in ``sample.TASK``, whose ``eval_mask`` says whether the sample has
            labels of the task, for :class:`~mmosnet.evaluation.TaskEvaluator`.
        """
        if data_samples is None:
            data_samples = [None] * len(feats[-1])
        samples = [MultiTaskDataSample() if sample is None else sample for sample in data_samples]
        for task, head in self.heads.items():
            labeled = [task in sample for sample in samples]
            parts = [sample.get(task) if task in sample else DataSample() for sample in samples]
            for sample, part, mask in zip(samples, head.predict(feats, parts), labeled, strict=True):
                part.set_field(mask, 'eval_mask', field_type='metainfo')
                sample.set_field(part, task)
        return samples
