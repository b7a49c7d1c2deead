"""Attribute recognition as an mmengine metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mmosnet.datasets.chosen_images import spread
from mmosnet.errors import DataError
from mmosnet.evaluation.attribute_scores import LabelScores, instance_scores, label_scores
from mmosnet.registry import METRICS


@dataclass(frozen=True)
class AttributeRow:
    """One attribute's scores, shares from 0 to 1; None where nobody, or everybody, leaves them without a meaning.

    Attributes:
        name: Name of the attribute.
        positives: Share of people who have it.
        TPR: Share of those who have it that are predicted to.
        TNR: Share of those who have it not that are predicted not to.
        AP: Average precision.
    """

    name: str
    positives: float
    TPR: float | None
    TNR: float | None
    AP: float | None


@dataclass(frozen=True)
class ShownAttributes:
    """A person's attributes, true and predicted, for a picture or a report.

    Attributes:
        img_path: The image.
        names: Names of all A attributes.
        gt: Whether the person has each of them; None where it is unknown.
        scores: Predicted score of each, within [0, 1].
    """

    img_path: str
    names: list[str]
    gt: list[bool] | None
    scores: list[float]


@METRICS.register_module()
class AttributeMetric(BaseMetric):
    """mA, mAP, and accuracy, precision, recall and F1 by person, as unrounded shares.

    mmpretrain's ``MultiLabelMetric`` has none of the field's scores: it averages precision and recall over attributes,
    in percent, with numbers of no class. A sample that comes twice, as padding under distributed evaluation, counts
    once.

    Args:
        num_shown: People, spread over the set, whose attributes are kept in :attr:`shown`.
        collect_device: Same as in mmengine's ``BaseMetric``.
        prefix: Same as in mmengine's ``BaseMetric``.
    """

    default_prefix = 'attributes'

    def __init__(self, num_shown: int = 20, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.num_shown = num_shown
        #: A row each attribute, of the last evaluation, on the main process.
        self.per_attribute: list[AttributeRow] = []
        #: Some people of the last evaluation, on the main process.
        self.shown: list[ShownAttributes] = []

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep scores and labels of each sample."""
        for sample in data_samples:
            self.results.append(
                dict(
                    sample_idx=sample['sample_idx'],
                    img_path=sample['img_path'],
                    # Copies: a row of a batch would be pickled with the whole batch.
                    pred_score=sample['pred_score'].cpu().clone(),
                    gt_score=sample['gt_score'].cpu().clone(),
                )
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Score attributes and people.

        Args:
            results: Entries of :meth:`process` from all ranks.

        Returns:
            ``mA``, ``Accuracy``, ``Precision``, ``Recall``, ``F1``, ``mAP``; see
            :mod:`mmosnet.evaluation.attribute_scores`.

        Raises:
            DataError: No samples, another number of attributes than the data set's, or no attribute that counts.
        """
        # In the order of the data set, whatever the number of processes. The path is part of the key because joined
        # data sets each count from 0.
        by_key = {(entry['sample_idx'], entry['img_path']): entry for entry in results}
        samples = [by_key[key] for key in sorted(by_key)]
        if not samples:
            raise DataError('AttributeMetric got no samples: the data set that is evaluated is empty')
        names = self._names(samples[0])
        scores, target = (
            np.stack([entry[key].float().numpy() for entry in samples]) for key in ('pred_score', 'gt_score')
        )
        by_label = label_scores(scores, target)
        _report_one_sided(names, by_label)
        means = by_label.means()
        self.per_attribute = _rows(names, by_label)
        self.shown = [
            ShownAttributes(samples[i]['img_path'], names, target[i].astype(bool).tolist(), scores[i].tolist())
            for i in spread(range(len(samples)), self.num_shown)
        ]
        return dict(mA=means['mA'], **instance_scores(scores, target), mAP=means['mAP'])

    def _names(self, sample: dict) -> list[str]:
        """Return the attributes' names, after checking that there is one for each predicted score."""
        predicted, labelled = len(sample['pred_score']), len(sample['gt_score'])
        names = list((self.dataset_meta or {}).get('attributes') or (f'attribute {i}' for i in range(labelled)))
        if not predicted == labelled == len(names):
            raise DataError(
                f'The model predicts {predicted} attributes and the data set has {len(names)}, with labels of '
                f'{labelled}: give the model the data set that it was trained for, or set num_classes={labelled} in '
                'the attribute head and train it'
            )
        return names


def _rows(names: Sequence[str], scores: LabelScores) -> list[AttributeRow]:
    columns = zip(names, scores.positives, scores.tpr, scores.tnr, scores.ap, strict=True)
    return [
        AttributeRow(name, float(positives), *(None if np.isnan(value) else float(value) for value in values))
        for name, positives, *values in columns
    ]


def _report_one_sided(names: Sequence[str], scores: LabelScores) -> None:
    """Log which attributes are left out of mA and mAP."""
    for share, whose in ((0, 'nobody has'), (1, 'everybody has')):
        found = [name for name, positives in zip(names, scores.positives, strict=True) if positives == share]
        if found:
            MMLogger.get_current_instance().info(
                f'AttributeMetric: left out of mA and mAP, {whose} them: {", ".join(found)}'
            )
