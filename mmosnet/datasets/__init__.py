"""Data sets, samplers and transforms. Modules that read tables and annotation files are of use without torch too."""

from mmosnet.lazy_import import lazy_names, public_names

__all__ = list(public_names(__name__))
__getattr__, __dir__ = lazy_names(__name__)
