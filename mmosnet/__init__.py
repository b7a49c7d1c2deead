"""OSNet for OpenMMLab: person re-identification, attributes and category classification.

Importing the package imports neither torch nor OpenMMLab and replaces nothing that works in them. It sees to two
things, whichever is imported first: ``type='OSNet'`` is known in every toolbox, and our configs are known by their
names, to ``mmpretrain.get_model`` and as ``_base_ = 'mmosnet::osnet_reid_market.py'`` of another config.

All registered classes are attributes of the package, imported when they are first used. mmengine reads
``type='mmosnet.ReIDMetric'`` as a python path where it does not reach a registry of ours.

Checkpoints load without running code in all that is ours. :func:`install_safe_checkpoints` makes all of mmengine load
them so; the commands and the ``CheckpointHook`` of our configs call it.

Where torch is not installed, as on a device beside a camera, the package is what runs exported models and searches
their embeddings: :data:`WITHOUT_TORCH`. A torch that is installed and broken is an error.
"""

from importlib.util import find_spec

from mmosnet.compatibility import allow_package_bases, register_backbone, register_models
from mmosnet.lazy_import import after_import, lazy_names, public_names
from mmosnet.version import __version__

# Modules and packages that import neither torch nor OpenMMLab.
WITHOUT_TORCH = (
    'errors',
    'features',
    'gallery',
    'interruption',
    'optional_package',
    'runtime',
    'user_errors',
    'version',
)

__all__ = ['__version__', *(public_names(__name__) if find_spec('torch') is not None else WITHOUT_TORCH)]

_resolve, __dir__ = lazy_names(__name__)


def __getattr__(name: str) -> object:
    """Import a public name, a module or a package; without torch, say so, as it does not look like a mistyped name."""
    try:
        return _resolve(name)
    except ImportError as e:
        if find_spec('torch') is not None:
            raise
        raise ImportError(
            f'mmosnet.{name} needs torch, which is not installed: pip install torch torchvision, then '
            "pip install '.[lite]' in a clone of mmosnet. Without torch there are: "
            + ', '.join(f'mmosnet.{n}' for n in WITHOUT_TORCH)
        ) from e


after_import('mmengine.registry', register_backbone)
after_import('mmpretrain.apis.model', register_models)
after_import('mmengine.config.config', allow_package_bases)
