"""Search a gallery for the people in images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from mmosnet.errors import DataError
from mmosnet.features.batches import PersonBatches
from mmosnet.features.embedder import ImageEmbedder
from mmosnet.features.tracks import TrackPool, track_quality
from mmosnet.gallery.base import Gallery, Named
from mmosnet.gallery.settings import Match

BATCH_SIZE = 32
# Threads that read images.
WORKERS = 2


def search(
    gallery: Gallery,
    embedder: ImageEmbedder,
    queries: Sequence[str],
    top_k: int = 10,
    camids: Named = None,
    not_camids: Named = None,
    after: float | None = None,
    before: float | None = None,
    attributes: str | Iterable[str] | None = None,
) -> list[list[Match]]:
    """Embed images and search a gallery for them.

    Args:
        gallery: Gallery whose features were extracted with the same weights.
        embedder: The model: :class:`~mmosnet.features.embedder.ExportedEmbedder` for an exported file, or
            :class:`~mmosnet.apis.embedder.TorchEmbedder` for a config and a checkpoint.
        queries: Paths of images, of regions (``frame.jpg#xywh=120,80,64,190``), or of regions of frames of a video
            (``video.mp4#frame=7&xywh=120,80,64,190``).
        top_k: Images per query. Default: 10.
        camids: Cameras to search, by number or name; see :meth:`mmosnet.gallery.Gallery.search`, as for the others.
        not_camids: Cameras to leave out.
        after: Earliest time in seconds.
        before: Time in seconds from which on images are left out.
        attributes: Names of attributes, all of which an image has to have.

    Returns:
        One list of matches per query, nearest first.

    Raises:
        FileNotFoundError: An image is missing.
        DataError: An image is damaged, the model is not the gallery's, or a condition is invalid.

    Example:
        >>> with Gallery.open('work_dirs/gallery') as gallery:
        ...     search(gallery, ExportedEmbedder('osnet.onnx'), ['query.jpg'], not_camids=['door'])[0][0].name
    """
    gallery.check_model(embedder.model, f'queries by {embedder.source}')
    embedding = embed_images(embedder, queries)
    return gallery.search(embedding, top_k, camids, not_camids, after, before, attributes)


def search_tracks(
    gallery: Gallery,
    embedder: ImageEmbedder,
    tracks: Sequence[Sequence[str]],
    pool: str = 'mean',
    **conditions: Any,
) -> list[list[Match]]:
    """Embed tracks, pool the images of each, and search a gallery for them by its threshold for tracks.

    Args:
        gallery: Gallery whose features were extracted with the same weights.
        embedder: The model, as in :func:`search`.
        tracks: Paths of the images of each track, one or more, as in :func:`search`.
        pool: Way of pooling, see :func:`~mmosnet.features.tracks.pool_track`. Default: ``'mean'``.
        conditions: Arguments of :meth:`mmosnet.gallery.Gallery.search`: ``top_k``, ``not_camids`` and so on.

    Returns:
        One list of matches per track.

    Raises:
        FileNotFoundError: An image is missing.
        DataError: A track has no image, its images cannot be pooled, or as in :func:`search`.
    """
    gallery.check_model(embedder.model, f'queries by {embedder.source}')
    pools = [TrackPool(pool) for _ in tracks]
    paths, numbers = [path for track in tracks for path in track], [n for n, track in enumerate(tracks) for _ in track]
    # One image after the other: memory does not grow with a track's length.
    for number, path, embedding in zip(numbers, paths, _embedded(embedder, paths), strict=True):
        try:
            weight = float(track_quality(norm=[np.linalg.norm(embedding)])[0]) if pool == 'quality' else 1.0
            pools[number].add(embedding, weight)
        except DataError as e:
            raise DataError(f'{path}: {e}') from e
    pooled = np.array([one.result() for one in pools], np.float32).reshape(len(tracks), embedder.dimension)
    return gallery.search(pooled, per='track', **conditions)


def embed_images(embedder: ImageEmbedder, paths: Sequence[str]) -> np.ndarray:
    """Return the embeddings of images, regions of images and frames of videos, ``(N, D)`` float32.

    Raises:
        FileNotFoundError: An image is missing.
        DataError: An image is damaged.
    """
    return np.array(list(_embedded(embedder, paths)), np.float32).reshape(len(paths), embedder.dimension)


def _embedded(embedder: ImageEmbedder, paths: Sequence[str]) -> Iterator[np.ndarray]:
    with PersonBatches(embedder.read_file, embedder.prepare, WORKERS) as batches:
        for items in batches.read(paths, BATCH_SIZE):
            for outcome in embedder.embed_batch(items):
                if isinstance(outcome, Exception):
                    raise outcome
                yield outcome
