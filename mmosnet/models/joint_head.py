"""Several tasks on one backbone: a head for each, and batches in which samples lack some labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmengine import dist
from mmengine.model import BaseModule, ModuleDict
from mmpretrain.structures import DataSample, MultiTaskDataSample
from torch import Tensor, nn

from mmosnet.errors import DataError
from mmosnet.registry import MODELS

TASKS = ('reid', 'attributes', 'category')
BATCH_NORMS = (nn.BatchNorm1d, nn.SyncBatchNorm)


@MODELS.register_module()
class JointHead(BaseModule):
    """One head per task on the output of one backbone and neck.

    A sample is a ``MultiTaskDataSample`` with a ``DataSample`` for each task that it has labels of
    (:class:`~mmosnet.datasets.PackTasks`). A task's loss is the mean over the samples with its labels. mmpretrain's
    ``MultiTaskHead`` has no weights, leaves a task's parameters without gradients when a batch has none of its labels,
    at which DistributedDataParallel stops, and fails in a head with batch normalisation where a batch has one.

    Args:
        heads: Config of each task's head, under the names ``reid``, ``attributes``, ``category``; those with None are
            left out (``--cfg-options model.head.heads.category=None``).
        loss_weights: Factor of a task's losses; 1 for tasks that are not named.
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
            What each head returns, as ``TASK_NAME``, with losses times the task's weight. A task for which the batch
            has no label, or a single one under batch normalisation, has the loss 0 and zero gradients.
        """
        losses = {}
        for task, head in self.heads.items():
            rows = [row for row, sample in enumerate(data_samples) if task in sample]
            if self._fewest(head, len(rows)) < self._least(head):
                losses[f'{task}_loss'] = self._nothing(feats, head)
                continue
            labelled = tuple(feat[torch.tensor(rows, device=feat.device)] for feat in feats)
            for name, value in head.loss(labelled, [data_samples[row].get(task) for row in rows]).items():
                losses[f'{task}_{name}'] = value * self.loss_weights[task] if 'loss' in name else value
        return losses

    @staticmethod
    def _least(head: nn.Module) -> int:
        """Return the smallest number of samples with which a head can train."""
        return 2 if any(isinstance(module, BATCH_NORMS) for module in head.modules()) else 1

    @staticmethod
    def _fewest(head: nn.Module, number: int) -> int:
        """Return the smallest number of samples over processes that wait for each other inside the head."""
        if not any(isinstance(module, nn.SyncBatchNorm) for module in head.modules()):
            return number
        fewest = torch.tensor(number, device=next(head.parameters()).device)
        dist.all_reduce(fewest, op='min')
        return int(fewest)

    @staticmethod
    def _nothing(feats: tuple[Tensor, ...], head: nn.Module) -> Tensor:
        """Return a zero that depends on everything, so that gradients are 0 instead of missing."""
        touched = [feats[-1].float().sum(), *(p.float().sum() for p in head.parameters() if p.requires_grad)]
        return torch.stack(touched).sum() * 0

    def predict(
        self, feats: tuple[Tensor, ...], data_samples: list[MultiTaskDataSample | None] | None = None
    ) -> list[MultiTaskDataSample]:
        """Predict all tasks for all samples.

        Returns:
            The samples with each head's predictions in ``sample.TASK``, whose ``eval_mask`` says whether the sample
            came with labels of the task, as :class:`~mmosnet.evaluation.TaskEvaluator` wants to know.
        """
        if data_samples is None:
            data_samples = [None] * len(feats[-1])
        samples = [MultiTaskDataSample() if sample is None else sample for sample in data_samples]
        for task, head in self.heads.items():
            labelled = [task in sample for sample in samples]
            parts = [sample.get(task) if task in sample else DataSample() for sample in samples]
            for sample, part, mask in zip(samples, head.predict(feats, parts), labelled, strict=True):
                part.set_field(mask, 'eval_mask', field_type='metainfo')
                sample.set_field(part, task)
        return samples
