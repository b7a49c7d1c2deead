"""Which back end keeps a gallery: its address tells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmosnet.gallery.milvus_connection import keeps_milvus

if TYPE_CHECKING:
    from mmosnet.gallery.gallery import Gallery


def back_end(uri: str) -> type[Gallery]:
    """Return the class for galleries at such a place: Milvus, or a folder."""
    # Only now: both are built on the module that asks.
    if keeps_milvus(uri):
        from mmosnet.gallery.milvus_gallery import MilvusGallery

        return MilvusGallery
    from mmosnet.gallery.faiss_gallery import FaissGallery

    return FaissGallery


def create_gallery(uri: str | Path, **settings: Any) -> Gallery:
    """Create a gallery by :meth:`mmosnet.gallery.Gallery.create`."""
    return back_end(str(uri)).create(uri, **settings)


def open_gallery(uri: str | Path) -> Gallery:
    """Open a gallery by :meth:`mmosnet.gallery.Gallery.open`."""
    return back_end(str(uri)).open(uri)
