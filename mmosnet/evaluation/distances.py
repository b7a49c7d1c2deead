"""Distances between images, a chunk of queries at a time, and the nearest images by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmosnet.errors import DataError

# Numbers of a matrix in memory at once, 128 MiB: a matrix product of fewer rows at a time is slower.
CHUNK_ELEMENTS = 2**25

# One of so many distances sets the bound for the smallest: see benchmarks.
SAMPLING = 16

DISTANCES = ('euclidean', 'cosine')


@dataclass(frozen=True)
class Embeddings:
    """Images to search with or among.

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
    """What ranks a gallery for a set of queries."""

    def rows(self, start: int, stop: int) -> Tensor:
        """Distances of the queries ``start .. stop - 1`` to the whole gallery, ``(stop - start, G)``, new memory."""


class FeatureDistances:
    """Distances between features, in the unit that ranks: squared for Euclidean.

    Args:
        query: ``(Q, D)``.
        gallery: ``(G, D)``, prepared once for all chunks of queries.
        distance: ``'euclidean'`` (squared, at least 0) or ``'cosine'`` (1 - cosine).
    """

    def __init__(self, query: Tensor, gallery: Tensor, distance: str = 'euclidean') -> None:
        if distance not in DISTANCES:
            raise ValueError(f'distance={distance!r}: choose from {", ".join(DISTANCES)}')
        self.cosine = distance == 'cosine'
        self.query = query
        self.gallery = F.normalize(gallery) if self.cosine else gallery
        self.gallery_squares = None if self.cosine else _squares(gallery)

    def rows(self, start: int, stop: int) -> Tensor:
        query = self.query[start:stop]
        if self.cosine:
            return _products(F.normalize(query), self.gallery).neg_().add_(1)
        squares = _products(-2 * query, self.gallery).add_(self.gallery_squares)
        return squares.add_(_squares(query)[:, None]).clamp_(min=0)


def _products(query: Tensor, gallery: Tensor) -> Tensor:
    """``query @ gallery.T``, new memory."""
    if query.device.type == 'cpu' and query.dtype == torch.float32:
        # numpy's OpenBLAS is 1.7 times as fast as torch's MKL on the processors of AMD: see benchmarks.
        return torch.from_numpy(query.detach().numpy() @ gallery.detach().numpy().T)
    return query @ gallery.T


def _squares(features: Tensor) -> Tensor:
    # A part at a time, without a copy of all features, and exact for small integers.
    return torch.cat([part.square().sum(1) for part in features.split(1024)])


def pairwise_distance(query: Tensor, gallery: Tensor, distance: str = 'euclidean') -> Tensor:
    """Distances of every query ``(Q, D)`` to every gallery image ``(G, D)`` at once, as of :class:`FeatureDistances`.

    Returns:
        ``(Q, G)``.
    """
    return FeatureDistances(query, gallery, distance).rows(0, len(query))


def chunks(num_rows: int, row_length: int) -> Iterator[tuple[int, int]]:
    """Cut a matrix into ranges ``(start, stop)`` of rows of about :data:`CHUNK_ELEMENTS` numbers, one row at least."""
    step = max(1, CHUNK_ELEMENTS // row_length)
    for start in range(0, num_rows, step):
        yield start, min(start + step, num_rows)


def check_features(name: str, features: Tensor) -> None:
    """Refuse what cannot be compared.

    Args:
        name: Of the set, for the message.
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


def nearest_images(query: Tensor, gallery: Tensor, k: int, distance: str = 'euclidean') -> tuple[Tensor, Tensor]:
    """The k nearest gallery images of every query, exact in ties: those go to the lower gallery index.

    Args:
        query: ``(Q, D)``.
        gallery: ``(G, D)``.
        k: Images to find; all of them where the gallery has no more.
        distance: As of :class:`FeatureDistances`.

    Returns:
        ``(indices, farthest)``: gallery indices, nearest first, ``(Q, min(k, G))`` int64, and the distance of each
        query's farthest gallery image ``(Q,)``.
    """
    distances = FeatureDistances(query, gallery, distance)
    k = min(k, len(gallery))
    indices, farthest = [], []
    for start, stop in chunks(len(query), len(gallery)):
        distmat = distances.rows(start, stop)
        smallest = _smallest_below_bound if distmat.device.type == 'cpu' else _smallest
        indices.append(smallest(distmat, k))
        farthest.append(distmat.amax(1))
    return torch.cat(indices), torch.cat(farthest)


def _smallest_below_bound(distmat: Tensor, k: int) -> Tensor:
    """As :func:`_smallest`, on the CPU: a sample of each row sets a bound, and only what lies below is looked at."""
    if distmat.shape[1] < SAMPLING * k:
        return _smallest(distmat, k)
    columns = np.empty((len(distmat), k), np.int64)
    for found, numbers in zip(columns, distmat.numpy(), strict=True):
        near = np.flatnonzero(numbers <= np.partition(numbers[::SAMPLING], k - 1)[k - 1])
        near = near[numbers[near] <= np.partition(numbers[near], k - 1)[k - 1]]
        found[:] = near[numbers[near].argsort(kind='stable')[:k]]
    return torch.from_numpy(columns)


def _smallest(distmat: Tensor, k: int) -> Tensor:
    """Columns of the k smallest numbers of each row ``(q, k)``, as a stable sort would give them."""
    # One more than asked for shows where several share the last place: of equal numbers topk picks any.
    values, columns = distmat.topk(min(k + 1, distmat.shape[1]), largest=False)
    contested = (values[:, k - 1 : k] == values[:, k:]).any(1)
    columns, order = columns[:, :k].sort(1)
    order = values[:, :k].gather(1, order).sort(dim=1, stable=True).indices
    columns = columns.gather(1, order)
    if contested.any():
        columns[contested] = distmat[contested].sort(dim=1, stable=True).indices[:, :k]
    return columns
