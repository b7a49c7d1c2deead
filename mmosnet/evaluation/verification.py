"""Verification: do two images show the same person? Decided by a threshold on their distance.

Pairs are those of the ranking: every query with every gallery image that the protocol keeps. Their number is in the
hundreds of millions, that of the positive ones is not. These are held, and per positive distance the negatives below
are counted, a chunk of queries at a time; so all numbers are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from mmosnet.errors import DataError
from mmosnet.evaluation.distances import Distances, Embeddings
from mmosnet.evaluation.ranking import compared_chunks, no_match_message

#: Shares of strangers let through at which the true positive rate is reported.
FALSE_POSITIVE_RATES = (1e-2, 1e-3, 1e-4)

# Distances that are searched for the smallest at a time.
PART = 2**22


@dataclass(frozen=True)
class PairDistances:
    """What the verification scores need of all pairs; distances ascend and, if Euclidean, are squared.

    Args:
        positives: Distances of pairs of the same person, ``(P,)``.
        closest_negatives: The smallest distances of pairs of two people.
        num_negatives: Number of all pairs of two people.
        closer: Negatives closer than each positive, ``(P,)`` int64.
        not_farther: Negatives closer than or as far as each positive, ``(P,)`` int64.
    """

    positives: Tensor
    closest_negatives: Tensor
    num_negatives: int
    closer: Tensor
    not_farther: Tensor


def verification_scores(
    query: Embeddings,
    gallery: Embeddings,
    distance: str = 'euclidean',
    same_camera: str = 'drop',
    fprs: tuple[float, ...] = FALSE_POSITIVE_RATES,
) -> dict[str, float]:
    """Compute all verification scores.

    Args:
        query: Q images.
        gallery: G images, on the query's device.
        distance: ``'euclidean'`` or ``'cosine'``.
        same_camera: Same as in :func:`~mmosnet.evaluation.ranking.match_ranks`.
        fprs: False positive rates, each within [0, 1).

    Returns:
        ``AUC``, ``EER``, and for each false positive rate, written as ``1e-2``, ``TPR@1e-2`` and ``distance@1e-2``:
        see :func:`area_under_curve`, :func:`equal_error_rate` and :func:`operating_point`. Unrounded; a Euclidean
        distance is not squared.

    Raises:
        DataError: Same as in :func:`compare_pairs`.
    """
    pairs = compare_pairs(query, gallery, distance, same_camera, max(fprs, default=0.0))
    curve = roc_curve(pairs)
    scores = dict(AUC=area_under_curve(*curve), EER=equal_error_rate(*curve))
    for fpr in fprs:
        name = np.format_float_scientific(fpr, trim='-', exp_digits=1)
        scores[f'TPR@{name}'], threshold = operating_point(pairs, fpr)
        scores[f'distance@{name}'] = math.sqrt(threshold) if distance == 'euclidean' else threshold
    return scores


def compare_pairs(
    query: Embeddings,
    gallery: Embeddings,
    distance: str | Distances = 'euclidean',
    same_camera: str = 'drop',
    max_fpr: float = max(FALSE_POSITIVE_RATES),
) -> PairDistances:
    """Compare all pairs in two passes: first the positives, then the negatives below each of them.

    Args:
        query: Q images.
        gallery: G images, on the query's device.
        distance: ``'euclidean'``, ``'cosine'``, or distances by other means: infinite ones do not count.
        same_camera: Same as in :func:`~mmosnet.evaluation.ranking.match_ranks`.
        max_fpr: The share of the negatives that is kept, as the closest ones, within [0, 1).

    Raises:
        DataError: Empty query or gallery, a feature that is not finite, no positive pair or no negative one.
    """
    if not 0 <= max_fpr < 1:
        raise ValueError(f'a false positive rate of {max_fpr}: must be at least 0 and less than 1')
    # One more than may pass: the first that must not.
    closest = Smallest(_share(max_fpr, len(query) * len(gallery)) + 1)
    positives, num_negatives = [], 0
    for distmat, row, column in compared_chunks(query, gallery, distance, same_camera):
        positives.append(distmat[row, column])
        distmat[row, column] = torch.inf
        num_negatives += int((distmat < torch.inf).sum())
        closest.add(distmat)
    positives = torch.cat(positives).sort().values
    if len(positives) == 0:
        raise DataError(no_match_message())
    if num_negatives == 0:
        raise DataError('verification needs images of two people or more, the query and gallery sets show only one')

    closer, not_farther = torch.zeros(2, len(positives), dtype=torch.int64, device=positives.device)
    for distmat, row, column in compared_chunks(query, gallery, distance, same_camera):
        distmat[row, column] = torch.inf
        # Infinitely far, what is left out or a match counts for no positive.
        negatives = _sort(distmat.view(-1))
        closer += torch.searchsorted(negatives, positives, right=False)
        not_farther += torch.searchsorted(negatives, positives, right=True)
    return PairDistances(positives, closest.numbers().sort().values, num_negatives, closer, not_farther)


class Smallest:
    """The smallest finite numbers of many, in memory for about twice as many as are kept.

    Args:
        count: Numbers to keep.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.pieces: list[Tensor] = []
        self.bound = torch.inf

    def add(self, numbers: Tensor) -> None:
        # A mask takes 17 bytes per number.
        for part in numbers.flatten().split(PART):
            self.pieces.append(part[part < self.bound])
            if sum(map(len, self.pieces)) > 2 * self.count:
                self.pieces = [self.numbers()]
                self.bound = self.pieces[0].max()

    def numbers(self) -> Tensor:
        """Return at most ``count`` of the smallest numbers, unordered."""
        numbers = torch.cat(self.pieces)
        if len(numbers) <= self.count:
            return numbers
        if numbers.device.type == 'cpu':
            # Several times as fast as torch, which carries an index with each.
            numbers.numpy().partition(self.count - 1)
            return numbers[: self.count].clone()
        return numbers.topk(self.count, largest=False, sorted=False).values


def _sort(numbers: Tensor) -> Tensor:
    """Sort numbers, in place on a CPU, where numpy sorts three times as fast as torch."""
    if numbers.device.type != 'cpu':
        return numbers.sort().values
    numbers.numpy().sort()
    return numbers


def _share(fpr: float, number: int) -> int:
    # In decimal, as written: 0.29 * 100 is less than 29 in binary.
    return int(Fraction(str(fpr)) * number)


def roc_curve(pairs: PairDistances) -> tuple[Tensor, Tensor]:
    """Compute the receiver operating characteristic.

    Args:
        pairs: Result of :func:`compare_pairs`.

    Returns:
        ``(fpr, tpr)``: false and true positive rates at the corners of the curve, from (0, 0) to (1, 1), with a
        straight line between any two, float64. Negatives as far as a positive make a slope.
    """
    _, counts = pairs.positives.unique_consecutive(return_counts=True)
    up_to = counts.cumsum(0)
    before = up_to - counts
    # Two corners a distance: without the pairs that are just as far, and with them.
    tpr = torch.stack([before, up_to], 1).view(-1).double() / len(pairs.positives)
    fpr = torch.stack([pairs.closer[before], pairs.not_farther[before]], 1).view(-1).double() / pairs.num_negatives
    start, end = fpr.new_zeros(1), fpr.new_ones(1)
    return torch.cat([start, fpr, end]), torch.cat([start, tpr, end])


def area_under_curve(fpr: Tensor, tpr: Tensor) -> float:
    """Compute the AUC: the probability that a genuine pair is closer than an impostor pair; ties count half.

    Args:
        fpr: Result of :func:`roc_curve`.
        tpr: Result of :func:`roc_curve`.
    """
    return torch.trapezoid(tpr, fpr).item()


def equal_error_rate(fpr: Tensor, tpr: Tensor) -> float:
    """Compute the EER: the rate at which false matches equal false non-matches, ``fpr = 1 - tpr``.

    Args:
        fpr: Result of :func:`roc_curve`.
        tpr: Result of :func:`roc_curve`.
    """
    excess = fpr + tpr - 1
    end = int(torch.searchsorted(excess, 0.0))
    share = -excess[end - 1] / (excess[end] - excess[end - 1])
    return torch.lerp(fpr[end - 1], fpr[end], share).item()


def operating_point(pairs: PairDistances, fpr: float) -> tuple[float, float]:
    """Return the largest threshold whose false-match rate is at most ``fpr``.

    Two images are taken for the same person when their distance is BELOW the threshold: the distance of the closest
    pair of two people that must not pass.

    Args:
        pairs: Result of :func:`compare_pairs`.
        fpr: The share, at most the one given there. With fewer than 1 / fpr pairs of two people none may pass.

    Returns:
        ``(true positive rate, threshold)``: the share of pairs of one person that pass, and the distance, squared if
        Euclidean.
    """
    passing = _share(fpr, pairs.num_negatives)
    if passing >= len(pairs.closest_negatives):
        raise ValueError(f'a false positive rate of {fpr} is more than compare_pairs() kept negatives for')
    threshold = pairs.closest_negatives[passing]
    below = int(torch.searchsorted(pairs.positives, threshold, right=False))
    return below / len(pairs.positives), threshold.item()
