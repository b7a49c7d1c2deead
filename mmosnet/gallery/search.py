"""From images of people to their ranked lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmosnet.features.batches import PersonBatches
from mmosnet.features.embedder import Embedder
from mmosnet.gallery.base import Gallery, Named
from mmosnet.gallery.settings import Match

BATCH_SIZE = 32
# Threads that read images.
WORKERS = 2


def search(
    gallery: Gallery,
    embedder: Embedder,
    queries: Sequence[str],
    top_k: int = 10,
    camids: Named = None,
    not_camids: Named = None,
    after: float | None = None,
    before: float | None = None,
) -> list[list[Match]]:
    """Search a gallery for the people in images.

    Args:
        gallery: Its features were extracted with the same weights.
        embedder: The model: :class:`~mmosnet.features.embedder.ExportedEmbedder` for an exported file, or
            :class:`~mmosnet.apis.embedder.TorchEmbedder` for a config and a checkpoint.
        queries: Paths of images, of regions (``frame.jpg#xywh=120,80,64,190``), or of regions of frames of a video
            (``video.mp4#frame=7&xywh=120,80,64,190``).
        top_k: Images per query.
        camids: Cameras to search, by number or name.
        not_camids: Cameras to leave out.
        after: Seconds; not seen before.
        before: Seconds; seen before.

    Returns:
        A list per query, as :meth:`mmosnet.gallery.Gallery.search` gives them.

    Raises:
        FileNotFoundError: An image is missing.
        DataError: A damaged image, a model that is not the gallery's, or a condition that cannot be.

    Example:
        >>> with Gallery.open('work_dirs/gallery') as gallery:
        ...     search(gallery, ExportedEmbedder('osnet.onnx'), ['query.jpg'], not_camids=['door'])[0][0].name
    """
    gallery.check_model(embedder.model, f'queries by {embedder.source}')
    return gallery.search(embed_images(embedder, queries), top_k, camids, not_camids, after, before)


def embed_images(embedder: Embedder, paths: Sequence[str]) -> np.ndarray:
    """Return the embeddings of images, regions of images and frames of videos, ``(N, D)`` float32.

    Raises:
        FileNotFoundError: An image is missing.
        DataError: It is damaged.
    """
    found = []
    with PersonBatches(embedder.read_file, embedder.prepare, WORKERS) as batches:
        for items in batches.read(paths, BATCH_SIZE):
            for outcome in [item for item in items if isinstance(item, Exception)] or embedder.embed(items):
                if isinstance(outcome, Exception):
                    raise outcome
                found.append(outcome)
    return np.stack(found) if found else np.empty((0, embedder.dimension), np.float32)
