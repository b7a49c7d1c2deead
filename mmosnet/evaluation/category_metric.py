"""Category classification as an mmengine metric: mmpretrain's accuracy, and which categories are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmpretrain.evaluation import Accuracy, ConfusionMatrix

from mmosnet.errors import DataError
from mmosnet.registry import METRICS


@METRICS.register_module()
class CategoryMetric(Accuracy):
    """Top-k accuracy in percent, with the confusion matrix beside.

    mmpretrain's ``Accuracy`` has no confusion matrix and relies on the loop to cut off padding by number; its
    ``ConfusionMatrix`` puts the whole matrix among the scores, which are logged. A sample that comes twice, as padding
    under distributed evaluation, counts once here.

    Args:
        topk: A prediction is right where the label is among the k best scored categories.
        collect_device: Same as in mmengine's ``BaseMetric``.
        prefix: Same as in mmengine's ``BaseMetric``.
    """

    def __init__(
        self, topk: int | Sequence[int] = (1, 5), collect_device: str = 'cpu', prefix: str | None = None
    ) -> None:
        # Without mmpretrain's default threshold of 0: it would make a score that underflowed a wrong prediction.
        super().__init__(topk=topk, thrs=None, collect_device=collect_device, prefix=prefix)
        #: ``(C, C)`` numbers of samples of the last evaluation, a row each true category, a column each predicted
        #: one; on the main process.
        self.confusion: np.ndarray | None = None

    @property
    def classes(self) -> list[str]:
        """Names of the C categories of the last evaluation; their numbers where they have no names."""
        number = 0 if self.confusion is None else len(self.confusion)
        return list((self.dataset_meta or {}).get('classes') or map(str, range(number)))

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep scores and label of each sample."""
        for sample in data_samples:
            self.results.append(
                dict(
                    # Data sets of arrays, as CIFAR-10, have no paths.
                    key=(sample.get('img_path'), sample['sample_idx']),
                    # A copy: a row of a batch would be pickled with the whole batch.
                    pred_score=sample['pred_score'].cpu().clone(),
                    gt_label=sample['gt_label'].cpu().clone(),
                )
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Count right predictions and confusions.

        Args:
            results: Entries of :meth:`process` from all ranks.

        Returns:
            ``top1`` and so on, in percent.

        Raises:
            DataError: No samples, scores that are no numbers, categories that the model does not know, or fewer than
                the largest k.
        """
        samples = list({entry['key']: entry for entry in results}.values())
        if not samples:
            raise DataError('CategoryMetric got no samples: the data set that is evaluated is empty')
        labels = torch.cat([entry['gt_label'] for entry in samples])
        found = len(samples[0]['pred_score'])
        self._check_number(found, labels)
        bad = [entry['key'] for entry in samples if not entry['pred_score'].isfinite().all()]
        if bad:
            first = bad[0][0] or f'at index {bad[0][1]}'
            raise DataError(
                f'{len(bad)} of {len(samples)} images, the first {first}, have scores that are not finite: the model '
                'has diverged; train with a smaller learning rate'
            )
        predicted = torch.stack([entry['pred_score'].argmax() for entry in samples])
        self.confusion = ConfusionMatrix.calculate(predicted, labels, num_classes=found).numpy()
        return super().compute_metrics(samples)

    def _check_number(self, found: int, labels: torch.Tensor) -> None:
        """Compare the model's number of categories with names, labels and k."""
        expected = len((self.dataset_meta or {}).get('classes') or range(found))
        if not (found == expected > labels.max() and labels.min() >= 0):
            raise DataError(
                f'The model tells {found} categories apart and the data set has {expected}, with labels from '
                f'{labels.min()} to {labels.max()}: give the model the data set that it was trained for, or set '
                f'model.head.num_classes={max(expected, int(labels.max()) + 1)} and train it'
            )
        if max(self.topk) > found:
            raise DataError(
                f'topk={self.topk}: there are only {found} categories; set val_evaluator.topk=1 test_evaluator.topk=1'
            )
