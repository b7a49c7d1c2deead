"""OSNet for OpenMMLab: person re-identification, attributes and category classification.

Importing the package imports neither torch nor OpenMMLab and replaces none of their functions. It makes two things
known, in any order of imports: ``type='OSNet'`` in every toolbox, and the names of our configs to
``mmpretrain.get_model``.

All registered classes are attributes of the package, imported when they are first used. mmengine reads
``type='mmosnet.ReIDMetric'`` as a Python path where it does not reach a registry of ours.

Our functions load checkpoints without running code in them. :func:`install_safe_checkpoints` makes mmengine do so too;
the commands and the ``CheckpointHook`` of our configs call it. :func:`allow_package_bases` lets mmengine read
``_base_ = 'mmosnet::osnet_reid_market.py'``; the commands and whatever takes a config by its name call it.

Without torch, for example on a device beside a camera, the package runs exported models and searches their embeddings:
:data:`WITHOUT_TORCH`. A torch that is installed and broken is an error.
"""

from importlib.util import find_spec

from mmosnet.compatibility import register_backbone, register_models
from mmosnet.lazy_import import after_import, lazy_names, public_names
from mmosnet.version import __version__

# Modules and packages that import neither torch nor OpenMMLab.
WITHOUT_TORCH = ('errors', 'features', 'frames', 'gallery', 'io', 'progress', 'runtime', 'trackers', 'version')

_names = public_names(__name__)
if find_spec('torch') is None:
    _names = {
        **dict.fromkeys(WITHOUT_TORCH),
        **{name: module for name, module in _names.items() if module.split('.')[1] in WITHOUT_TORCH},
    }
__all__ = ['__version__', *_names]

_resolve, __dir__ = lazy_names(__name__)


def __getattr__(name: str) -> object:
    """Import a public name, a module or a package; if that needs a missing torch, raise an error that says so."""
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
