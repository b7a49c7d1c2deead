"""Embeddings as a gallery keeps them, and the distances between them."""

from __future__ import annotations

import numpy as np

from mmosnet.errors import DataError

# Numbers of shorter vectors have lost digits in float32, and with them their direction.
SHORTEST = 2.0**-100
# FAISS and Milvus square distances in float32, which holds 2 ** 128.
LONGEST = 2.0**60


def checked_embeddings(embedding: np.ndarray, dimension: int, distance: str, what: str) -> np.ndarray:
    """Check embeddings, and normalize those for the cosine distance to length 1.

    Args:
        embedding: ``(N, D)`` floating point numbers.
        dimension: D, as the gallery has it.
        distance: ``'cosine'`` or ``'euclidean'``.
        what: Name of the embeddings in errors.

    Returns:
        ``(N, D)`` float32, contiguous; with ``'euclidean'`` it may be the array given.

    Raises:
        DataError: Another shape, another type, NaN or infinity, a vector too short to have a cosine, or so long that
            its squared distances are not finite in float32.
    """
    try:
        embedding = np.asarray(embedding)
    # What torch raises for a tensor with a gradient, or on a GPU; rows of unlike lengths; or no array at all.
    except (ValueError, TypeError, RuntimeError) as e:
        raise DataError(f'{what}: {e}: give floating point numbers, (N, {dimension})') from e
    if embedding.ndim != 2 or embedding.shape[1] != dimension:
        raise DataError(f'{what}: an array of shape {embedding.shape}; this gallery takes (N, {dimension})')
    if embedding.dtype.kind != 'f':
        raise DataError(f'{what}: an array of {embedding.dtype}; give floating point numbers')
    with np.errstate(over='ignore'):
        embedding = np.ascontiguousarray(embedding, np.float32)
    # In double precision squares of any float32 have a sum.
    norms = np.sqrt(np.einsum('nd,nd->n', embedding, embedding, dtype=np.float64))
    if not np.isfinite(norms).all():
        row = int(np.flatnonzero(~np.isfinite(norms))[0])
        raise DataError(f'{what}: row {row} holds NaN or infinity: extract the features of its image again')
    if distance == 'euclidean':
        if len(norms) and norms.max() > LONGEST:
            row = int(norms.argmax())
            raise DataError(
                f'{what}: row {row} has length {norms[row]:.3g}; squared distances of more than {LONGEST:.0e} are not '
                'finite in float32: divide the embeddings by a constant, or compare by the cosine distance'
            )
        return embedding
    if len(norms) and norms.min() < SHORTEST:
        row = int(norms.argmin())
        raise DataError(
            f'{what}: row {row} has length {norms[row]:.3g}: zero, or too short to have a cosine: extract its features '
            'again'
        )
    # In one pass, without an array in double precision.
    return np.divide(embedding, norms[:, None], out=np.empty_like(embedding), casting='same_kind')


def distances(query: np.ndarray, embeddings: np.ndarray, distance: str) -> np.ndarray:
    """Compute the distances of one query to embeddings in double precision, as searches return them.

    The libraries' own are rounded to float32, and the Euclidean ones come from ``x² + y² - 2xy``, which for near
    vectors keeps few digits or none.

    Args:
        query: ``(D,)`` of :func:`checked_embeddings`.
        embeddings: ``(N, D)``, likewise.
        distance: ``'cosine'`` or ``'euclidean'``.

    Returns:
        ``(N,)`` float64.
    """
    difference = embeddings.astype(np.float64) - query.astype(np.float64)
    squares = np.einsum('nd,nd->n', difference, difference)
    # |x - y|² = 2 - 2 cos for vectors of length 1; never below 0, as 1 - xy would be.
    return squares / 2 if distance == 'cosine' else np.sqrt(squares)
