from mmosnet.gallery.back_ends import create_gallery, open_gallery
from mmosnet.gallery.gallery import Gallery
from mmosnet.gallery.match import Match, Record

__all__ = ['Gallery', 'Match', 'Record', 'create_gallery', 'open_gallery']
