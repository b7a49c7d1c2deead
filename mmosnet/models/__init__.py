"""OSNet, its necks, heads and losses, and their weights. The backbone needs no mmpretrain."""

from mmosnet.compatibility import supported_stack
from mmosnet.lazy_import import lazy_names, public_names

with supported_stack('torch', 'mmengine', 'mmcv'):
    import mmcv.cnn  # noqa: F401

    from mmosnet.models import torchreid as released_files  # noqa: F401

    # Checkpoint schemes register themselves.
    from mmosnet.models import weights as embedded_weights  # noqa: F401

__all__ = list(public_names(__name__))
__getattr__, __dir__ = lazy_names(__name__)
