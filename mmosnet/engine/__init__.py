"""Training and testing: launch, hooks, checkpoints, reports and series of runs."""

from mmosnet.compatibility import supported_stack
from mmosnet.lazy_import import lazy_names, public_names

with supported_stack():
    import mmcv.cnn  # noqa: F401

__all__ = list(public_names(__name__))
__getattr__, __dir__ = lazy_names(__name__)
