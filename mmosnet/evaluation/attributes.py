"""Scores of attribute recognition, per attribute (mA) and per person (accuracy, precision, recall, F1).

Li et al., "A Richly Annotated Dataset for Pedestrian Attribute Recognition", arXiv 1603.07054, section 5. All scores
are shares from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmosnet.errors import DataError

#: An attribute is predicted if its score is at least this.
THRESHOLD = 0.5


@dataclass(frozen=True)
class LabelScores:
    """Scores of each attribute, ``(A,)`` each; NaN where they are undefined because no person or every person has it.

    Attributes:
        positives: Share of people who have the attribute.
        tpr: True positive rate: share of people with the attribute for whom it is predicted.
        tnr: True negative rate: share of people without the attribute for whom it is not predicted.
        ap: Average precision.
    """

    positives: np.ndarray
    tpr: np.ndarray
    tnr: np.ndarray
    ap: np.ndarray

    @property
    def accuracies(self) -> np.ndarray:
        """Balanced accuracy of each attribute, (TPR + TNR) / 2; mA is their mean."""
        return (self.tpr + self.tnr) / 2

    @property
    def one_sided(self) -> np.ndarray:
        """Mask of the attributes that no person or every person has: the means leave them out."""
        return np.isnan(self.accuracies)

    def means(self) -> dict[str, float]:
        """Return ``mA`` and ``mAP`` over the attributes that some but not all people have.

        Raises:
            DataError: There is no such attribute.
        """
        if self.one_sided.all():
            raise DataError(
                f'mA is not defined: none of {len(self.ap)} attributes is both present and absent among the people '
                'that are evaluated; evaluate more images'
            )
        return dict(mA=float(np.nanmean(self.accuracies)), mAP=float(np.nanmean(self.ap)))


def label_scores(scores: np.ndarray, target: np.ndarray, threshold: float = THRESHOLD) -> LabelScores:
    """Score each attribute over all people.

    Args:
        scores: ``(N, A)``.
        target: ``(N, A)``, 0 or 1.
        threshold: An attribute is predicted if its score is at least this.

    Raises:
        DataError: No people, shapes that differ, scores that are not finite, or labels that are neither 0 nor 1.
    """
    scores, target = _checked(scores, target)
    predicted = scores >= threshold
    return LabelScores(
        positives=target.mean(0),
        tpr=_shares(predicted & target, target),
        tnr=_shares(~predicted & ~target, ~target),
        ap=np.array([average_precision(*columns) for columns in zip(scores.T, target.T, strict=True)]),
    )


def average_precision(scores: np.ndarray, target: np.ndarray) -> float:
    """Compute the area under the precision-recall steps, equal scores as one step; NaN if one-sided.

    mmpretrain's ``AveragePrecision`` orders equal scores by chance.

    Args:
        scores: ``(N,)``.
        target: ``(N,)``, boolean.
    """
    if target.all() or not target.any():
        return float('nan')
    order = np.argsort(-scores, kind='stable')
    last_of_equals = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(target[order])[last_of_equals]
    precision = hits / (last_of_equals + 1)
    return float(np.sum(np.diff(hits, prepend=0) * precision) / hits[-1])


def instance_scores(scores: np.ndarray, target: np.ndarray, threshold: float = THRESHOLD) -> dict[str, float]:
    r"""Score each person over all attributes, and average over people.

    Args:
        scores: ``(N, A)``.
        target: ``(N, A)``, 0 or 1.
        threshold: An attribute is predicted if its score is at least this.

    Returns:
        With the predicted attributes p and the true ones g of a person: ``Accuracy``, the mean of
        \|p & g\| / \|p | g\|; ``Precision``, that of \|p & g\| / \|p\|; ``Recall``, that of \|p & g\| / \|g\|; ``F1``
        of these two means, not the mean of each person's F1. 0/0 counts as 0, so that a person without attributes for
        whom none is predicted lowers all scores.

    Raises:
        DataError: Same as in :func:`label_scores`.
    """
    scores, target = _checked(scores, target)
    predicted = scores >= threshold
    right = predicted & target
    accuracy, precision, recall = (
        float(np.nan_to_num(_shares(right.T, total.T)).mean()) for total in (predicted | target, predicted, target)
    )
    total = precision + recall
    return dict(
        Accuracy=accuracy,
        Precision=precision,
        Recall=recall,
        F1=2 * precision * recall / total if total else 0.0,
    )


def _shares(hits: np.ndarray, cases: np.ndarray) -> np.ndarray:
    """Divide the number of hits in each column by the number of cases; NaN without cases."""
    hits, cases = hits.sum(0), cases.sum(0)
    return np.divide(hits, cases, out=np.full(cases.shape, np.nan), where=cases > 0)


def _checked(scores: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores, and the labels as booleans."""
    scores, target = np.asarray(scores), np.asarray(target)
    if scores.ndim != 2 or scores.shape != target.shape or not scores.size:
        raise DataError(
            f'scores are {scores.shape} and labels {target.shape}: both must be (people, attributes), not empty'
        )
    for name, bad in (
        ('scores that are not finite: the model has diverged', ~np.isfinite(scores).all(1)),
        ('labels that are neither 0 nor 1', ~np.isin(target, (0, 1)).all(1)),
    ):
        if bad.any():
            raise DataError(f'{int(bad.sum())} of {len(scores)} people, the first at index {bad.argmax()}, have {name}')
    return scores, target.astype(bool)
