"""OSNet for OpenMMLab: person re-identification, attributes and category classification.

Importing the package registers everything it adds, makes mmengine's checkpoints resumable under
``weights_only=True`` and closes two holes through which a checkpoint could run code
(:mod:`mmosnet.engine.safe_checkpoint`).

Our configs become known to ``mmpretrain.get_model`` by their names in ``model-index.yml``.

All registered classes are attributes of the package too: where mmengine cannot reach a registry of ours it reads
``type='mmosnet.ReIDMetric'`` as a python path.

Where torch is not installed, as on a device beside a camera, nothing is registered, and the package is what runs
exported models and searches their embeddings: :data:`WITHOUT_TORCH`. A torch that is installed and broken is an error.
"""

import warnings
from importlib import import_module
from importlib.util import find_spec

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

if find_spec('torch') is not None:
    from mmosnet.compatibility import check_versions
    from mmosnet.garbage_collection import collection_paused
    from mmosnet.user_errors import import_faults

    # ruff: noqa: F403
    with collection_paused(), import_faults(), warnings.catch_warnings():
        # Before the imports below: they would fail with less to say.
        check_versions()
        # mmcv-lite announces the compiled operators that it leaves out; none is used here.
        warnings.filterwarnings('ignore', message='Fail to import', category=UserWarning)
        # Registries import it on first use, outside this block.
        import mmpretrain.models  # noqa: F401

        from mmosnet import datasets, engine, evaluation, models

    from mmosnet.datasets import *
    from mmosnet.engine import *
    from mmosnet.evaluation import *
    from mmosnet.model_index import register_models
    from mmosnet.models import *

    register_models()

    __all__ = ['__version__', *datasets.__all__, *engine.__all__, *evaluation.__all__, *models.__all__]
else:
    __all__ = ['__version__', *WITHOUT_TORCH]

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used; raise an error that names torch where torch is missing."""
        if name in WITHOUT_TORCH:
            return import_module(f'mmosnet.{name}')
        # Python and its tools ask for these of any module.
        if name.startswith('__'):
            raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
        raise ImportError(
            f'mmosnet.{name} needs torch, which is not installed: pip install torch torchvision, then '
            "pip install 'mmosnet[lite]'. Without torch there are: " + ', '.join(f'mmosnet.{n}' for n in WITHOUT_TORCH)
        )
