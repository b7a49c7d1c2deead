"""Re-ranking with k-reciprocal neighbors (Zhong et al., CVPR 2017), in memory that grows with the neighborhoods.

Two images of one person tend to name each other among their nearest neighbors, and to have many neighbors in
common. Each image is described by the set of its k-reciprocal neighbors (section 3.2), weighted by their nearness and
averaged over its nearest few (sections 3.3 and 3.4); the Jaccard distance of two such sets, mixed with the original
distance, ranks again (section 3.5).

A set holds some hundred of the N = Q + G images, so all sets are one sparse matrix. The authors' code and its
descendants fill dense N x N matrices, 35 GB each for MSMT17; the results are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from mmosnet.errors import DataError
from mmosnet.evaluation.distances import FeatureDistances, check_features, chunks, nearest_by

MODES = ('paper', 'released')


@dataclass(frozen=True)
class ReRanking:
    """Settings of a re-ranking; the defaults are the paper's.

    Args:
        k1: Neighbors, besides the image itself, that must name each other.
        k2: Nearest images, itself among them, over which a set is averaged; 1 does not average.
        lambda_value: Weight of the original distance, within [0, 1].
        mode: ``'paper'`` takes squared distances; ``'released'`` squares them once more, as the code released with
            OSNet does, which hands squared distances to a function that squares.

    Raises:
        DataError: A setting out of range.
    """

    k1: int = 20
    k2: int = 6
    lambda_value: float = 0.3
    mode: str = 'paper'

    def __post_init__(self) -> None:
        for name in ('k1', 'k2'):
            if getattr(self, name) < 1:
                raise DataError(f're-ranking with {name}={getattr(self, name)}: must be 1 or more')
        if not 0 <= self.lambda_value <= 1:
            raise DataError(f're-ranking with lambda_value={self.lambda_value}: must lie within 0 and 1')
        if self.mode not in MODES:
            raise DataError(f're-ranking with mode={self.mode!r}: choose from {", ".join(MODES)}')


class ReRankedDistances:
    """Distances after re-ranking, for :func:`~mmosnet.evaluation.ranking.match_ranks`.

    Building it compares every image with every other; what it keeps are the sparse sets. The neighbors are found on
    the features' device, the sets on the CPU.

    Args:
        query: ``(Q, D)``.
        gallery: ``(G, D)``. Queries and gallery images are neighbors alike, whatever their cameras.
        distance: ``'euclidean'``, squared, or ``'cosine'``: 1 - cos, half the squared distance on the sphere. What
            counts is their ratio to the largest one.
        settings: Settings of the re-ranking.

    Raises:
        DataError: Empty query or gallery, or a feature that is not finite.
    """

    def __init__(
        self, query: Tensor, gallery: Tensor, distance: str = 'euclidean', settings: ReRanking | None = None
    ) -> None:
        check_features('query', query)
        check_features('gallery', gallery)
        self.settings = settings or ReRanking()
        self.power = 2 if self.settings.mode == 'released' else 1
        features = torch.cat([query, gallery])
        distances = FeatureDistances(features, features, distance)
        k1, k2 = self.settings.k1, self.settings.k2
        nearest, farthest = nearest_by(distances, max(k1 + 1, k2))
        # Images that all coincide have no farthest one.
        self.farthest = farthest.clamp(min=torch.finfo(farthest.dtype).tiny)
        self.original = distances.part(slice(len(query)), slice(len(query), None))

        nearest = nearest.cpu().numpy().astype(np.int32)
        sets = expanded_neighbors(nearest, k1)
        sets = weight_by_nearness(sets, distances, self.farthest, self.power)
        if k2 > 1:
            sets = _selection(nearest[:, :k2]).astype(np.float32) @ sets / np.float32(min(k2, len(features)))
        self.query_sets = sets[: len(query)]
        self.gallery_sets = sets[len(query) :].tocsc()

    def rows(self, start: int, stop: int) -> Tensor:
        """Compute the distances of queries ``start .. stop - 1`` to the gallery, within [0, 1]."""
        original = self.original.rows(start, stop).div_(self.farthest[start:stop, None]).pow_(self.power)
        jaccard = torch.from_numpy(jaccard_distances(self.query_sets[start:stop], self.gallery_sets))
        share = self.settings.lambda_value
        return original.mul_(share).add_(jaccard.to(original.device), alpha=1 - share)


def reciprocal_neighbors(nearest: np.ndarray, k: int) -> sparse.csr_array:
    """Find images that are among each other's k + 1 nearest, themselves included.

    Args:
        nearest: Indices, nearest first, ``(N, at least k + 1 or N)``.
        k: Neighbors besides the image itself.

    Returns:
        ``(N, N)`` int32, 1 where they are.
    """
    forward = _selection(nearest[:, : k + 1])
    return forward.multiply(forward.T).tocsr()


def expanded_neighbors(nearest: np.ndarray, k1: int) -> sparse.csr_array:
    """Expand k-reciprocal neighbors by those of each neighbor that shares most of its own (equation 4).

    A neighbor's k1 / 2 reciprocal neighbors join when more than two thirds of them are there already.

    Args:
        nearest: Indices, nearest first, ``(N, at least k1 + 1 or N)``.
        k1: Same as in :class:`ReRanking`.

    Returns:
        ``(N, N)`` int32, positive where column's image belongs to row's set.
    """
    wide = reciprocal_neighbors(nearest, k1)
    # Half a neighbor is rounded to the even number, as by the released code.
    narrow = reciprocal_neighbors(nearest, round(k1 / 2))
    shared = (wide @ narrow.T).multiply(wide).tocsr()
    sizes = narrow.sum(1)
    # In whole numbers: two thirds are no binary fraction.
    shared.data = (3 * shared.data > 2 * sizes[shared.indices]).astype(np.int32)
    shared.eliminate_zeros()
    return wide + shared @ narrow


def weight_by_nearness(
    sets: sparse.csr_array, distances: FeatureDistances, farthest: Tensor, power: int = 1
) -> sparse.csr_array:
    """Weigh the members of each set by exp(-distance), normalized to a sum of 1 (equation 7).

    Args:
        sets: ``(N, N)``, stored where column's image belongs to row's set.
        distances: Distances between all images.
        farthest: The largest distance of each image ``(N,)``, by which its distances are divided.
        power: Exponent of the quotient.

    Returns:
        ``(N, N)`` float32.
    """
    sizes = np.diff(sets.indptr)
    row = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes))
    column = torch.from_numpy(sets.indices)
    weights = np.empty(len(row), np.float32)
    # The copies of a chunk stay in the cache.
    for start, stop in chunks(len(row), 128 * distances.gallery.vectors.shape[1]):
        i, j = (index[start:stop].to(farthest.device) for index in (row, column))
        nearness = (distances.pairs(i, j) / farthest[i]).pow_(power).neg_().exp_()
        weights[start:stop] = nearness.cpu().numpy()
    sums = np.bincount(row.numpy(), weights, minlength=len(sizes))
    weights /= sums[row.numpy()]
    return sparse.csr_array((weights, sets.indices, sets.indptr), shape=sets.shape)


def jaccard_distances(query_sets: sparse.csr_array, gallery_sets: sparse.csc_array) -> np.ndarray:
    """Compute 1 - (sum of minima) / (sum of maxima) of weighted sets (equation 10 of the paper).

    Args:
        query_sets: ``(q, N)``, rows that sum to 1.
        gallery_sets: ``(G, N)``, rows that sum to 1, by columns.

    Returns:
        ``(q, G)`` float32.
    """
    distances = np.empty((query_sets.shape[0], gallery_sets.shape[0]), np.float32)
    sizes = np.diff(gallery_sets.indptr)
    for i, distance in enumerate(distances):
        stored = slice(*query_sets.indptr[i : i + 2])
        column = query_sets.indices[stored]
        size = sizes[column]
        # Where the images of these columns are stored; scipy's selection of columns takes twice as long.
        before = size.cumsum() - size
        place = np.repeat(gallery_sets.indptr[column] - before, size) + np.arange(size.sum())
        minima = np.minimum(np.repeat(query_sets.data[stored], size), gallery_sets.data[place])
        minima = np.bincount(gallery_sets.indices[place], minima, minlength=len(distance))
        # Both sets sum to 1, so the maxima sum to 2 less the minima.
        distance[:] = 1 - minima / (2 - minima)
    return distances


def _selection(nearest: np.ndarray) -> sparse.csr_array:
    """Return an ``(N, N)`` int32 matrix with 1 at the ``(N, k)`` given columns of each row."""
    num_images, k = nearest.shape
    pointers = np.arange(num_images + 1, dtype=np.int32) * k
    return sparse.csr_array((np.ones(nearest.size, np.int32), nearest.ravel(), pointers), shape=(num_images,) * 2)
