"""Verification: do two images show the same person? Scores, and thresholds on the distance.

Scores use the pairs of the ranking: every query with every gallery image that the protocol keeps. There may be hundreds
of millions of pairs of two people, but far fewer of one person. The latter are held in memory, and for each of their
distances the closer pairs of two people are counted, a chunk of queries at a time; so all numbers are exact.

Thresholds for given false-match rates compare every labeled image with every other one in the same way. A false-match
rate depends on the choice of people, much more than the number of pairs suggests: one person who looks like many
others is in many false matches. Its interval therefore comes from the jackknife over people (Efron & Stein, The Annals
of Statistics, 1981): how much the rate changes when a person is left out. It needs one count per person and, unlike
the bootstrap, no random numbers; if there are few false matches, it is too wide rather than too narrow. Wilson's
interval assumes independent pairs and is far too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from mmosnet.errors import DataError
from mmosnet.evaluation.distances import Distances, Embeddings, FeatureDistances
from mmosnet.evaluation.ranking import compared_chunks, no_match_message

#: False positive rates at which the true positive rate is reported.
FALSE_POSITIVE_RATES = (1e-2, 1e-3, 1e-4)
#: False-match rates in every table of thresholds.
RATES = (1e-1, 1e-2, 1e-3, 1e-4)
# Distances of which the smallest are selected at a time.
PART = 2**22
# Standard deviations of a 95 % interval.
WIDTH = 1.96
# If nothing was seen in n trials, the upper end of the 95 % interval is about 3 / n: (1 - 3 / n) ** n is 0.05.
RULE_OF_THREE = 3
BINS = 400


@dataclass(frozen=True)
class PairDistances:
    """Distances from which the verification scores are computed; they ascend and, if Euclidean, are squared.

    Args:
        positives: Distances of pairs of one person, ``(P,)``.
        closest_negatives: The smallest distances of pairs of two people.
        num_negatives: Number of all pairs of two people.
        closer: Number of negatives closer than each positive, ``(P,)`` int64.
        not_farther: Number of negatives not farther than each positive, ``(P,)`` int64.
    """

    positives: Tensor
    closest_negatives: Tensor
    num_negatives: int
    closer: Tensor
    not_farther: Tensor


def _share(fpr: float, number: int) -> int:
    # Exact in decimal: 0.29 * 100 is less than 29 in binary.
    return int(Fraction(str(fpr)) * number)


def _sort(numbers: Tensor) -> Tensor:
    """Sort numbers, in place on a CPU, where numpy sorts three times as fast as torch."""
    if numbers.device.type != 'cpu':
        return numbers.sort().values
    numbers.numpy().sort()
    return numbers


class Smallest:
    """The smallest finite numbers of many, in memory for about twice their number.

    Args:
        count: How many numbers to keep.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.pieces: list[Tensor] = []
        self.bound = torch.inf

    def add(self, numbers: Tensor) -> None:
        # A mask needs 17 bytes per number.
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
            # Several times as fast as torch, which moves an index with each number.
            numbers.numpy().partition(self.count - 1)
            return numbers[: self.count].clone()
        return numbers.topk(self.count, largest=False, sorted=False).values


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
        distance: ``'euclidean'``, ``'cosine'``, or other distances: infinite ones do not count.
        same_camera: Same as in :func:`~mmosnet.evaluation.ranking.match_ranks`.
        max_fpr: Share of the negatives, the closest ones, that is kept, within [0, 1).

    Raises:
        DataError: Empty query or gallery, a feature that is not finite, no positive pair or no negative one.
    """
    if not 0 <= max_fpr < 1:
        raise ValueError(f'a false positive rate of {max_fpr}: must be at least 0 and less than 1')
    # One more than may pass: the first one that must not.
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
        # Matches and images that are left out are infinitely far, and closer than no positive.
        negatives = _sort(distmat.view(-1))
        closer += torch.searchsorted(negatives, positives, right=False)
        not_farther += torch.searchsorted(negatives, positives, right=True)
    return PairDistances(positives, closest.numbers().sort().values, num_negatives, closer, not_farther)


def roc_curve(pairs: PairDistances) -> tuple[Tensor, Tensor]:
    """Compute the receiver operating characteristic.

    Args:
        pairs: Result of :func:`compare_pairs`.

    Returns:
        ``(fpr, tpr)``: false and true positive rates at the corners of the curve, from (0, 0) to (1, 1), float64.
        Straight lines connect them; a negative at the distance of a positive makes a slope.
    """
    _, counts = pairs.positives.unique_consecutive(return_counts=True)
    up_to = counts.cumsum(0)
    before = up_to - counts
    # Two corners per distance: without the pairs at this distance, and with them.
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

    Two images count as one person if their distance is BELOW the threshold, which is the distance of the closest pair
    of two people that must not pass.

    Args:
        pairs: Result of :func:`compare_pairs`.
        fpr: The rate, at most ``max_fpr`` of :func:`compare_pairs`. With fewer than 1 / fpr pairs of two people none
            may pass.

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


@dataclass(frozen=True)
class MatchThreshold:
    """A threshold on the distance, and its error rates.

    Attributes:
        wanted: The false-match rate asked for.
        distance: The threshold: the largest distance that counts as one person. It is in the middle between the
            farthest pair that counts and the closest one that must not; None if no distance reaches the rate.
        fmr: False-match rate: share of the pairs of two people that count as one, at most ``wanted``.
        interval: 95 % interval of the false-match rate for other people of this kind.
        tmr: True-match rate: share of the pairs of one person that count as one.
        false_hits: Share of the images with a false match among all images of other people.
        enough_pairs: Whether there are 3 / ``wanted`` pairs of two people; with fewer, none might pass by chance.
    """

    wanted: float
    distance: float | None
    fmr: float
    interval: tuple[float, float]
    tmr: float
    false_hits: float
    enough_pairs: bool


@dataclass(frozen=True)
class MatchThresholds:
    """Thresholds for several rates, and the pairs on which they were measured.

    Attributes:
        thresholds: One per rate, the largest rate first.
        people: Number of identities.
        images: Number of images.
        genuine: Number of pairs of one person.
        impostor: Number of pairs of two people.
        edges: Edges of the histogram bins ``(B + 1,)``, distances.
        genuine_histogram: Shares of the pairs of one person ``(B,)``.
        impostor_histogram: Shares of the pairs of two people ``(B,)``.
    """

    thresholds: list[MatchThreshold]
    people: int
    images: int
    genuine: int
    impostor: int
    edges: np.ndarray
    genuine_histogram: np.ndarray
    impostor_histogram: np.ndarray

    def at(self, wanted: float) -> MatchThreshold:
        """Return the threshold for one of the rates."""
        return next(threshold for threshold in self.thresholds if threshold.wanted == wanted)


class OtherCamera(FeatureDistances):
    """Distances between images of two cameras; infinite within one."""

    def __init__(self, embeddings: Embeddings, distance: str) -> None:
        super().__init__(embeddings.features, embeddings.features, distance)
        self.camids = embeddings.camids

    def rows(self, start: int, stop: int) -> Tensor:
        same = self.camids[start:stop, None] == self.camids
        return super().rows(start, stop).masked_fill_(same, torch.inf)


def chosen_people(pids: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """Return the rows of all images of randomly sampled people, up to a number of images.

    Args:
        pids: Identities ``(N,)``; unknown ones, below 0, are left out.
        most: Largest number of images.
        seed: Seed of the random sample.

    Returns:
        Rows, ascending.
    """
    known = np.flatnonzero(pids >= 0)
    if len(known) <= most:
        return known
    people, counts = np.unique(pids[known], return_counts=True)
    order = np.random.default_rng(seed).permutation(len(people))
    return known[np.isin(pids[known], people[order[np.cumsum(counts[order]) <= most]])]


def jackknife(closer: Tensor, impostors: Tensor, person: Tensor) -> tuple[float, tuple[float, float]]:
    """Estimate a false-match rate with its 95 % interval for new people, leaving out one person at a time.

    The interval is computed for the logarithm of the rate, so that both ends are positive. Without a false match it
    goes from 0 to 3 over the number of disjoint pairs of people, P / 2.

    Args:
        closer: Number of false matches of each image, ``(N,)``.
        impostors: Number of images of other people that each image was compared with, ``(N,)``.
        person: The person of each image, ``(N,)``, from 0 to P - 1.

    Returns:
        ``(fmr, (low, high))``.
    """
    people = int(person.max()) + 1
    matches, pairs = (torch.bincount(person, column.double(), people) for column in (closer, impostors))
    # Each pair counts for both of its people, and is left out with either of them.
    rate = (matches.sum() / pairs.sum()).item()
    if rate == 0:
        return 0.0, (0.0, min(1.0, RULE_OF_THREE / max(1, people // 2)))
    left = pairs.sum() - 2 * pairs
    without = torch.where(left > 0, (matches.sum() - 2 * matches) / left.clamp(min=1), rate)
    deviation = math.sqrt((people - 1) / people * (without - without.mean()).square().sum().item())
    factor = math.exp(WIDTH * deviation / rate)
    return rate, (rate / factor, min(1.0, rate * factor))


def _check(embeddings: Embeddings, rates: Sequence[float], cross_camera: bool) -> None:
    for rate in rates:
        if not 0 < rate < 1:
            raise DataError(f'a false-match rate of {rate}: give a share between 0 and 1, for example 0.001')
    if not len(embeddings) or embeddings.pids.min() < 0:
        raise DataError('thresholds need images of known people: give each image its pid')
    views = torch.stack([embeddings.pids, embeddings.camids], 1) if cross_camera else embeddings.pids[:, None]
    if cross_camera and embeddings.camids.min() < 0:
        missing = int((embeddings.camids < 0).sum())
        raise DataError(f'{missing} of {len(embeddings)} images have no camera, which pairs of two cameras need')
    if len(embeddings.pids.unique()) < 2:
        raise DataError('thresholds need images of two people or more; these show one')
    per_person = (views.unique(dim=0) if cross_camera else views)[:, 0].unique(return_counts=True)[1]
    if per_person.max() < 2:
        what = 'images by two cameras' if cross_camera else 'two images'
        raise DataError(f'no person has {what}: without pairs of one person a true-match rate cannot be measured')


def _unit(numbers: Tensor, distance: str) -> Tensor:
    """Convert ranking distances to the unit that users see."""
    return numbers.sqrt() if distance == 'euclidean' else numbers


def _between(pairs: PairDistances, first_out: float, distance: str) -> float | None:
    """Return the threshold below the first distance that must not pass; None if that distance is 0."""
    below = [numbers[numbers < first_out] for numbers in (pairs.positives, pairs.closest_negatives)]
    last_in = max([numbers[-1].item() for numbers in below if len(numbers)], default=0.0)
    ends = _unit(torch.tensor([last_in, first_out], dtype=torch.float64), distance)
    # It is 0 if one image shows two people, or is labeled so.
    return ends.mean().item() if first_out > 0 else None


@dataclass(frozen=True)
class _Counts:
    closer: Tensor
    impostors: Tensor
    histogram: np.ndarray


def _count(
    embeddings: Embeddings,
    distances: FeatureDistances,
    distance: str,
    first_out: list[float],
    edges: np.ndarray,
) -> _Counts:
    """Count per image the impostors closer than each of T distances ``(N, T)``, and all impostors ``(N,)``.

    The distances are in the unit that ranks: two of them may differ although their roots are equal.
    """
    closer, impostors = [], []
    histogram = torch.zeros(len(edges) - 1, dtype=torch.float64)
    for distmat, row, column in compared_chunks(embeddings, embeddings, distances, 'drop'):
        distmat[row, column] = torch.inf
        closer.append(torch.stack([(distmat < limit).sum(1) for limit in first_out], 1))
        impostors.append((distmat < torch.inf).sum(1))
        distmat = _unit(distmat, distance)
        # Infinite distances are in no bin.
        histogram += torch.histc(distmat, len(edges) - 1, edges[0], edges[-1]).double().cpu()
    return _Counts(torch.cat(closer), torch.cat(impostors), histogram.numpy())


def match_thresholds(
    embeddings: Embeddings, rates: Sequence[float] = RATES, distance: str = 'cosine', cross_camera: bool = False
) -> MatchThresholds:
    """Find the thresholds for some false-match rates.

    Args:
        embeddings: N images of known people: pids of 0 or more.
        rates: False-match rates, each within (0, 1).
        distance: ``'cosine'``, 1 - cos, or ``'euclidean'``, not squared.
        cross_camera: Whether to use only pairs of images from two cameras.

    Raises:
        DataError: No person with two images (by two cameras), fewer than two people, a rate out of range, or an
            embedding that is not finite.
    """
    _check(embeddings, rates, cross_camera)
    if cross_camera:
        distances = OtherCamera(embeddings, distance)
    else:
        # The protocol leaves out images of one person by one camera: with a camera per image, only the image itself.
        embeddings = Embeddings(embeddings.features, embeddings.pids, torch.arange(len(embeddings)))
        distances = FeatureDistances(embeddings.features, embeddings.features, distance)
    # Each pair counts twice, once for each image: rates are the same.
    pairs = compare_pairs(embeddings, embeddings, distances, max_fpr=max(rates))
    rates = sorted(set(rates), reverse=True)
    points = [operating_point(pairs, rate) for rate in rates]
    # Images that all coincide have no farthest pair.
    farthest = (math.sqrt(distances.bound) if distance == 'euclidean' else distances.bound) or 1.0
    edges = np.linspace(0, farthest, BINS + 1)
    counts = _count(embeddings, distances, distance, [first_out for _, first_out in points], edges)
    _, person = embeddings.pids.unique(return_inverse=True)
    thresholds = []
    for rate, (tmr, first_out), closer in zip(rates, points, counts.closer.T, strict=True):
        threshold = _between(pairs, first_out, distance)
        fmr, interval = jackknife(closer, counts.impostors, person)
        enough = pairs.num_negatives / 2 >= RULE_OF_THREE / rate
        hits = (closer > 0).double().mean().item()
        thresholds.append(MatchThreshold(rate, threshold, fmr, interval, tmr, hits, enough))
    genuine = torch.histc(_unit(pairs.positives, distance), len(edges) - 1, edges[0], edges[-1]).numpy()
    return MatchThresholds(
        thresholds=thresholds,
        people=int(person.max()) + 1,
        images=len(embeddings),
        genuine=len(pairs.positives) // 2,
        impostor=pairs.num_negatives // 2,
        edges=edges,
        genuine_histogram=genuine / genuine.sum(),
        impostor_histogram=counts.histogram / counts.histogram.sum(),
    )
