# Importing a back end registers it. What it needs besides, FAISS or Milvus, is imported on use.
from mmosnet.gallery.faiss_gallery import FaissGallery
from mmosnet.gallery.gallery import Gallery
from mmosnet.gallery.match import Match, Record
from mmosnet.gallery.milvus_gallery import MilvusGallery

__all__ = ['FaissGallery', 'Gallery', 'Match', 'MilvusGallery', 'Record']
