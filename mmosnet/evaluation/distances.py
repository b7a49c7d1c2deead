"""Distances between embeddings, nearest images by them, and query expansion, a chunk of queries at a time.

Against one gallery a distance depends on its two images alone, to the bit: not on their places, the batch, the
processor or the number of threads. So equal images are equally far from every query, ``d(x, y)`` is ``d(y, x)`` if
both are in the gallery, and an image is at distance 0 from itself, which the rule for ties and the thresholds rely on.
Products of float32 matrices promise none of this. Here every vector is rounded to 26 bits of its own length; sums of
products of two such vectors are exact in double precision, in any order of the additions.

Average query expansion searches again with the mean of the query and its nearest images: Chum et al., ICCV 2007;
weighted by similarity: Radenovic et al., TPAMI 2019, section 3.5.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mmosnet.errors import DataError

DISTANCES = ('euclidean', 'cosine')
# Numbers of a matrix that are in memory at once, 128 MiB: with fewer rows a matrix product is slower.
CHUNK_ELEMENTS = 2**25
# Queries and gallery images that are compared at a time, in double precision: 4 MiB, which fits into a cache.
BLOCK_QUERIES = 512
BLOCK_IMAGES = 1024
# Images that are prepared at a time.
PART = 1024
# Bits of a vector's length that its numbers keep; large numbers are rounded to 24 bits again, in the same steps. A
# product of two has twice as many bits, and so has a sum of products, because |x . y| <= |x| |y|: 52 of the 53 bits of
# double precision.
BITS = 26
# The largest number is below 2 ** exponent. With others float32 cannot hold the squares of the largest distances, or
# loses those of distances 2 ** 23 times as small.
FLOAT32_EXPONENTS = range(-40, 56)
# Gallery images whose median is taken for the center of all.
CENTER_SAMPLE = 255
# Every 16th distance is sampled to bound the k smallest ones: see benchmarks.
SAMPLING = 16


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of images, with identities and cameras.

    Args:
        features: ``(N, D)`` float.
        pids: Identities ``(N,)`` int64.
        camids: Cameras ``(N,)`` int64.
    """

    features: Tensor
    pids: Tensor
    camids: Tensor

    def __len__(self) -> int:
        return len(self.pids)

    def to(self, device: torch.device | str) -> Embeddings:
        return Embeddings(self.features.to(device), self.pids.to(device), self.camids.to(device))

    def __getitem__(self, index) -> Embeddings:
        return Embeddings(self.features[index], self.pids[index], self.camids[index])


class Distances(Protocol):
    """Distances of a set of queries to a gallery, by which it is ranked."""

    def rows(self, start: int, stop: int) -> Tensor:
        """Compute the distances of queries ``start .. stop - 1`` to the whole gallery, ``(stop - start, G)``.

        The result is a new array, which the caller may change.
        """


def chunks(num_rows: int, row_length: int) -> Iterator[tuple[int, int]]:
    """Split a matrix into row ranges ``(start, stop)`` of about :data:`CHUNK_ELEMENTS` numbers, at least one row."""
    step = max(1, CHUNK_ELEMENTS // row_length)
    for start in range(0, num_rows, step):
        yield start, min(start + step, num_rows)


def check_features(name: str, features: Tensor) -> None:
    """Refuse features that cannot be compared.

    Args:
        name: Name of the set, for the error message.
        features: ``(N, D)``.

    Raises:
        DataError: No features, or one that is not finite.
    """
    if len(features) == 0:
        raise DataError(f'the {name} set is empty')
    # A part at a time, for its copy; the largest of numbers that are not all defined is not either.
    finite = torch.cat([part.abs().amax(1).isfinite() for part in features.split(4096)])
    if not finite.all():
        raise DataError(
            f'{int((~finite).sum())} of {len(finite)} {name} embeddings hold infinite or undefined numbers, the '
            f'first at index {int((~finite).nonzero()[0])}: the model has diverged'
        )


def _squared_lengths(features: Tensor) -> Tensor:
    """Sum the squares of each row in the same order on every processor, whatever the number of rows."""
    sums = features.square()
    while sums.shape[1] > 1:
        half = (sums.shape[1] + 1) // 2
        sums[:, : sums.shape[1] - half] += sums[:, half:]
        sums = sums[:, :half]
    return sums.sum(1)


def _normalize(features: Tensor) -> Tensor:
    """Normalize in double precision, as :func:`normalize`; the result depends on the vector alone."""
    # The largest number first: then neither squares of large numbers overflow nor those of small ones vanish.
    features = features / features.abs().amax(1, keepdim=True).clamp_(min=torch.finfo(features.dtype).tiny)
    return features / _squared_lengths(features).sqrt_().clamp_(min=torch.finfo(features.dtype).tiny)[:, None]


def normalize(features: Tensor) -> Tensor:
    """Scale vectors to length 1, whatever their length; zero vectors stay as they are.

    ``torch.nn.functional.normalize`` leaves vectors shorter than 1e-12 short, and overflows where squares do.

    Args:
        features: ``(N, D)`` float.

    Returns:
        ``(N, D)``, half precision as float32.
    """
    dtype = torch.promote_types(features.dtype, torch.float32)
    normalized = torch.empty(features.shape, dtype=dtype, device=features.device)
    for start in range(0, len(features), PART):
        normalized[start : start + PART] = _normalize(features[start : start + PART].double())
    return normalized


@dataclass(frozen=True)
class _Prepared:
    """Vectors that can be compared exactly.

    Args:
        vectors: ``(N, D)`` float32; each consists of multiples of a power of two and is at most about ``2 ** BITS`` of
            them long.
        squares: Their squared lengths ``(N,)`` float64, exact.
        zero: Whether each vector was zero at first, ``(N,)`` bool.
    """

    vectors: Tensor
    squares: Tensor
    zero: Tensor

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, index) -> _Prepared:
        return _Prepared(self.vectors[index], self.squares[index], self.zero[index])


def _exponent(features: Tensor) -> int:
    """Return the smallest exponent of 2 above all numbers; -400 for zeros and numbers next to them."""
    if not features.numel():
        return -400
    low, high = features.aminmax()
    largest = max(-low.item(), high.item())
    return max(math.frexp(largest)[1], -400) if largest else -400


def _center(gallery: Tensor, scale: float, cosine: bool) -> Tensor:
    """Return a vector in the middle of the gallery, ``(D,)``, in double precision.

    The median of each dimension is one of its numbers, so that whole numbers stay whole, and few images far away do
    not move it.
    """
    sample = gallery[:: max(1, len(gallery) // CENTER_SAMPLE)].double() * scale
    sample = _normalize(sample) if cosine else sample
    return sample.median(0).values if len(sample) else sample.new_zeros(gallery.shape[1])


def _prepare(features: Tensor, scale: float, center: Tensor, cosine: bool) -> _Prepared:
    """Scale, shift and round features ``(N, D)``, in chunks."""
    vectors = torch.empty(features.shape, dtype=torch.float32, device=features.device)
    squares = torch.empty(len(features), dtype=torch.float64, device=features.device)
    zero = torch.empty(len(features), dtype=torch.bool, device=features.device)
    for start in range(0, len(features), PART):
        part = slice(start, start + PART)
        shifted = features[part].double() * scale
        zero[part] = (shifted == 0).all(1)
        if cosine:
            shifted = _normalize(shifted)
        shifted -= center
        # Each vector becomes a multiple of 2 ** -BITS times the smallest power of two above its length.
        length = _squared_lengths(shifted).sqrt_()
        power = (length / torch.frexp(length).mantissa).nan_to_num_(nan=1)
        step = power[:, None] * 2.0**-BITS
        shifted = shifted.div_(step).round_().mul_(step)
        vectors[part] = shifted
        squares[part] = vectors[part].double().square_().sum(1)
    return _Prepared(vectors, squares, zero)


class FeatureDistances:
    """Distances between features, in the unit that ranks: squared for Euclidean.

    Features may have any floating point type and any finite size: they are scaled by a power of two, and shifted by a
    vector in the middle of the gallery, so that a common offset costs no digits. Rounding moves each vector by at most
    ``sqrt(D) * 2 ** -26`` of its distance from the middle, and by more only if others are ``2 ** 100`` times as long.

    Args:
        query: ``(Q, D)``.
        gallery: ``(G, D)``, prepared once for all chunks of queries.
        distance: ``'euclidean'`` (squared, at least 0) or ``'cosine'`` (1 - cosine; 1 for a vector of zeros).

    Raises:
        ValueError: Another distance.
        DataError: Numbers above 1e150, whose squares double precision cannot hold.
    """

    def __init__(self, query: Tensor, gallery: Tensor, distance: str = 'euclidean') -> None:
        if distance not in DISTANCES:
            raise ValueError(f'distance={distance!r}: choose from {", ".join(DISTANCES)}')
        self.cosine = distance == 'cosine'
        exponent = max(_exponent(query), _exponent(gallery))
        if exponent > 500:
            raise DataError(f'embeddings hold numbers of about 2 ** {exponent}: the model has diverged')
        scale = math.ldexp(1, -exponent)
        # Distances of scaled features are multiplied by it.
        self.unit = 0.5 if self.cosine else math.ldexp(1, 2 * exponent)
        fits = self.cosine or exponent in FLOAT32_EXPONENTS
        double = torch.float64 in (query.dtype, gallery.dtype) or not fits
        self.dtype = torch.float64 if double else torch.float32
        center = _center(gallery, scale, self.cosine)
        self.gallery = _prepare(gallery, scale, center, self.cosine)
        self.query = self.gallery if query is gallery else _prepare(query, scale, center, self.cosine)

    def part(self, query: slice, gallery: slice) -> FeatureDistances:
        """Return distances between some queries and some gallery images, equal to those between all."""
        part = copy.copy(self)
        part.query, part.gallery = self.query[query], self.gallery[gallery]
        return part

    @property
    def bound(self) -> float:
        """Upper bound of the distance between two gallery images."""
        return 2.0 if self.cosine else 4 * self.gallery.squares.max().item() * self.unit

    def rows(self, start: int, stop: int) -> Tensor:
        query = self.query[start:stop]
        vectors = query.vectors.double()
        distmat = torch.empty(len(query), len(self.gallery), dtype=self.dtype, device=vectors.device)
        for column in range(0, len(self.gallery), BLOCK_IMAGES):
            columns = slice(column, column + BLOCK_IMAGES)
            gallery = self.gallery[columns]
            gallery_vectors = gallery.vectors.double()
            for row in range(0, len(query), BLOCK_QUERIES):
                rows = slice(row, row + BLOCK_QUERIES)
                products = vectors[rows] @ gallery_vectors.T
                # The squares are added to each other first: the same from either side.
                block = (query.squares[rows, None] + gallery.squares).add_(products, alpha=-2)
                distmat[rows, columns] = self._finish(block, query.zero[rows, None], gallery.zero)
        return distmat

    def pairs(self, i: Tensor, j: Tensor) -> Tensor:
        """Compute distances of queries ``i`` to as many gallery images ``j``, each ``(n,)``; returns ``(n,)``."""
        query, gallery = self.query[i], self.gallery[j]
        products = (query.vectors.double() * gallery.vectors).sum(1)
        distances = (query.squares + gallery.squares).sub_(products, alpha=2)
        return self._finish(distances, query.zero, gallery.zero).to(self.dtype)

    def _finish(self, distances: Tensor, query_zero: Tensor, gallery_zero: Tensor) -> Tensor:
        if self.unit != 1:
            distances *= self.unit
        if self.cosine:
            # Lengths are 1 but for the rounding.
            distances.clamp_(max=2)
            if query_zero.any() or gallery_zero.any():
                distances.masked_fill_(query_zero | gallery_zero, 1)
        return distances


def pairwise_distance(query: Tensor, gallery: Tensor, distance: str = 'euclidean') -> Tensor:
    """Compute the distances of all queries ``(Q, D)`` to all gallery images ``(G, D)`` at once.

    Returns:
        ``(Q, G)``.
    """
    return FeatureDistances(query, gallery, distance).rows(0, len(query))


def _smallest(distmat: Tensor, k: int) -> Tensor:
    """Return the columns of the k smallest numbers of each row ``(q, k)``, as a stable sort orders them."""
    # One more than asked for shows where several share the last place: of equal numbers topk picks any.
    values, columns = distmat.topk(min(k + 1, distmat.shape[1]), largest=False)
    contested = (values[:, k - 1 : k] == values[:, k:]).any(1)
    columns, order = columns[:, :k].sort(1)
    order = values[:, :k].gather(1, order).sort(dim=1, stable=True).indices
    columns = columns.gather(1, order)
    if contested.any():
        columns[contested] = distmat[contested].sort(dim=1, stable=True).indices[:, :k]
    return columns


def _smallest_below_bound(distmat: Tensor, k: int) -> Tensor:
    """Return :func:`_smallest` on a CPU, faster: a sample of each row bounds what is sorted."""
    if distmat.shape[1] < SAMPLING * k:
        return _smallest(distmat, k)
    columns = np.empty((len(distmat), k), np.int64)
    for nearest, numbers in zip(columns, distmat.numpy(), strict=True):
        near = np.flatnonzero(numbers <= np.partition(numbers[::SAMPLING], k - 1)[k - 1])
        near = near[numbers[near] <= np.partition(numbers[near], k - 1)[k - 1]]
        nearest[:] = near[numbers[near].argsort(kind='stable')[:k]]
    return torch.from_numpy(columns)


def nearest_by(distances: FeatureDistances, k: int) -> tuple[Tensor, Tensor]:
    """Return the k nearest images as :func:`nearest_images`, by distances that are prepared already."""
    num_queries, num_images = len(distances.query), len(distances.gallery)
    k = min(k, num_images)
    indices, farthest = [], []
    for start, stop in chunks(num_queries, num_images):
        distmat = distances.rows(start, stop)
        smallest = _smallest_below_bound if distmat.device.type == 'cpu' else _smallest
        indices.append(smallest(distmat, k))
        farthest.append(distmat.amax(1))
    return torch.cat(indices), torch.cat(farthest)


def nearest_images(query: Tensor, gallery: Tensor, k: int, distance: str = 'euclidean') -> tuple[Tensor, Tensor]:
    """Return the k nearest gallery images of every query; ties go to the lower gallery index.

    Args:
        query: ``(Q, D)``.
        gallery: ``(G, D)``.
        k: Images to find; all of them where the gallery has no more.
        distance: Same as in :class:`FeatureDistances`.

    Returns:
        ``(indices, farthest)``: gallery indices, nearest first, ``(Q, min(k, G))`` int64, and the distance of each
        query's farthest gallery image ``(Q,)``.
    """
    return nearest_by(FeatureDistances(query, gallery, distance), k)


@dataclass(frozen=True)
class QueryExpansion:
    """Settings of a query expansion.

    Args:
        num_images: Nearest gallery images averaged with the query.
        alpha: The weight of an image is (cosine similarity to the query) ** alpha, that of the query 1. 0 gives the
            plain average; the paper of the weighted one uses 3.

    Raises:
        DataError: A setting out of range.
    """

    num_images: int = 5
    alpha: float = 0.0

    def __post_init__(self) -> None:
        if self.num_images < 1:
            raise DataError(f'query expansion with num_images={self.num_images}: must be 1 or more')
        if self.alpha < 0:
            raise DataError(f'query expansion with alpha={self.alpha}: must be 0 or more')


def expand_queries(
    query: Tensor, gallery: Tensor, distance: str = 'euclidean', settings: QueryExpansion | None = None
) -> Tensor:
    """Replace every query by the weighted mean of itself and its nearest gallery images of any identity.

    Args:
        query: ``(Q, D)``.
        gallery: ``(G, D)``.
        distance: ``'euclidean'``, or ``'cosine'``, which averages directions.
        settings: Settings of the query expansion.

    Returns:
        ``(Q, D)``.

    Raises:
        DataError: Empty query or gallery, or a feature that is not finite.
    """
    check_features('query', query)
    check_features('gallery', gallery)
    settings = settings or QueryExpansion()
    # Half precision has too few digits for a mean.
    dtype = torch.promote_types(query.dtype, torch.float32)
    query, gallery = query.to(dtype), gallery.to(dtype)
    if distance == 'cosine':
        query, gallery = normalize(query), normalize(gallery)
    nearest, _ = nearest_images(query, gallery, settings.num_images, distance)
    expanded = torch.empty_like(query)
    for start, stop in chunks(len(query), 16 * nearest.shape[1] * query.shape[1]):
        own, images = query[start:stop], gallery[nearest[start:stop]]  # (q, D), (q, k, D)
        directions = normalize(images.flatten(0, 1)).view_as(images)
        weights = torch.einsum('qd,qkd->qk', normalize(own), directions).clamp_(0, 1) ** settings.alpha
        # Weights that sum to 1, so that the mean cannot overflow.
        total = 1 + weights.sum(1, keepdim=True)
        expanded[start:stop] = own / total + torch.einsum('qk,qkd->qd', weights / total, images)
    return expanded
