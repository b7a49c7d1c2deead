"""Galleries of people: enroll features, and search them for the nearest. Needs no torch."""

# Importing a back end registers it; FAISS and pymilvus are imported on use.
from mmosnet.gallery.base import Gallery
from mmosnet.gallery.faiss import FaissGallery
from mmosnet.gallery.milvus import MilvusGallery
from mmosnet.gallery.people import People
from mmosnet.gallery.people_input import Sighting
from mmosnet.gallery.settings import Match, Record

__all__ = ['FaissGallery', 'Gallery', 'Match', 'MilvusGallery', 'People', 'Record', 'Sighting']
