"""Search a gallery for the people in images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmosnet.features.batches import PersonBatches
from mmosnet.features.embedder import ImageEmbedder
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
    return gallery.search(embed_images(embedder, queries), top_k, camids, not_camids, after, before)


def embed_images(embedder: ImageEmbedder, paths: Sequence[str]) -> np.ndarray:
    """Return the embeddings of images, regions of images and frames of videos, ``(N, D)`` float32.

    Raises:
        FileNotFoundError: An image is missing.
        DataError: An image is damaged.
    """
    embeddings = []
    with PersonBatches(embedder.read_file, embedder.prepare, WORKERS) as batches:
        for items in batches.read(paths, BATCH_SIZE):
            for outcome in embedder.embed_batch(items):
                if isinstance(outcome, Exception):
                    raise outcome
                embeddings.append(outcome)
    return np.array(embeddings, np.float32).reshape(len(paths), embedder.dimension)
