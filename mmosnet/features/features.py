"""Embeddings of people with where and when they were seen. Needs NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmosnet.errors import DataError

# Columns beside embedding and path.
TYPES = dict(pid=np.int64, camid=np.int64, time=np.float64)


@dataclass
class Features:
    """N people. Arrays are converted to the types below.

    Attributes:
        embedding: ``(N, D)`` float32.
        path: Of each image; a region of one is ``frame.jpg#xywh=l,t,w,h`` or ``video.mp4#frame=7&xywh=l,t,w,h``.
        pid: ``(N,)`` int64; -1 where unknown.
        camid: ``(N,)`` int64; -1 where unknown.
        time: ``(N,)`` float64, seconds; NaN where unknown.
        model: Digest of the weights that computed them (:func:`~mmosnet.models.weights_digest.weights_digest`); empty
            where unknown.

    Raises:
        DataError: Columns of unequal lengths, or of other shapes or types.
    """

    embedding: np.ndarray
    path: list[str]
    pid: np.ndarray
    camid: np.ndarray
    time: np.ndarray
    model: str = ''

    def __post_init__(self) -> None:
        self.embedding = np.asarray(self.embedding, np.float32)
        self.path = list(self.path)
        if self.embedding.ndim != 2 or self.embedding.shape[1] == 0:
            raise DataError(f'embedding has the shape {self.embedding.shape}: give (N, D)')
        for name, kind in TYPES.items():
            given = np.asarray(getattr(self, name))
            column = given.astype(kind)
            if given.dtype.kind == 'f' and kind == np.int64 and not np.array_equal(column, given):
                raise DataError(f'{name} has values that are no whole numbers')
            setattr(self, name, column)
        lengths = {name: np.shape(getattr(self, name)) for name in ('path', *TYPES)}
        if set(lengths.values()) != {(len(self.embedding),)}:
            found = ', '.join(f'{name} {shape}' for name, shape in lengths.items())
            raise DataError(f'{len(self.embedding)} embeddings, but {found}: every column needs one value for each')

    def __len__(self) -> int:
        return len(self.path)

    @property
    def dimension(self) -> int:
        """D, of the embeddings."""
        return self.embedding.shape[1]

    def __getitem__(self, rows: slice | Sequence[int] | np.ndarray) -> Features:
        """Some of the rows, as NumPy indexes an array: a slice, numbers or a mask; a single number is refused.

        Raises:
            IndexError: No such row.
            TypeError: A single number.
        """
        chosen = np.arange(len(self))[rows if isinstance(rows, slice) else _index(rows)]
        if chosen.ndim != 1:
            raise TypeError('features[row] takes a slice, a list of rows or a mask; for one row write features[[row]]')
        columns = {name: getattr(self, name)[chosen] for name in ('embedding', *TYPES)}
        return Features(path=[self.path[row] for row in chosen], model=self.model, **columns)

    @classmethod
    def concat(cls, parts: Sequence[Features]) -> Features:
        """All rows of several, in order.

        Raises:
            DataError: None given, or embeddings of unlike dimensions or models.
        """
        if not parts:
            raise DataError('no features to join')
        first = parts[0]
        for number, part in enumerate(parts):
            check_alike(first, part.dimension, part.model, f'features 0 and {number}')
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ('embedding', *TYPES)}
        return cls(path=[path for part in parts for path in part.path], model=first.model, **columns)


def check_alike(first: Features, dimension: int, model: str, place: str) -> None:
    """Refuse to join embeddings that cannot be compared.

    Raises:
        DataError: Another dimension or another model.
    """
    if dimension != first.dimension:
        raise DataError(f'{place}: embeddings of {first.dimension} and {dimension} numbers; extract all with one model')
    if model != first.model:
        named = [repr(name) if name else 'unknown' for name in (first.model, model)]
        raise DataError(f'{place}: embeddings of the models {named[0]} and {named[1]}; extract all with one model')


def _index(rows: Sequence[int] | np.ndarray) -> np.ndarray:
    # An empty list has floats for NumPy, which index nothing.
    found = np.asarray(rows)
    return found.astype(np.int64) if found.size == 0 and found.dtype.kind == 'f' else found
