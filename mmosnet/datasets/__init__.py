"""Data sets, samplers and transforms."""

from mmosnet.lazy_import import lazy_names, public_names

__all__ = list(public_names(__name__))
__getattr__, __dir__ = lazy_names(__name__)
