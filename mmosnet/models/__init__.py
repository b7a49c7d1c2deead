"""OSNet, its necks, heads and losses, and their weights. The backbone needs no mmpretrain."""

from mmosnet.compatibility import supported_stack
from mmosnet.lazy_import import lazy_names, public_names

with supported_stack('torch', 'mmengine', 'mmcv'):
    import mmcv.cnn  # noqa: F401

    # Both register a checkpoint scheme.
    from mmosnet.models import torchreid, weights  # noqa: F401

__all__ = list(public_names(__name__))
__getattr__, __dir__ = lazy_names(__name__)
