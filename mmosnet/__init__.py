"""OSNet for OpenMMLab: person re-identification, attributes and category classification.

Importing the package registers everything it adds, makes mmengine's checkpoints resumable under
``weights_only=True`` and closes two holes through which a checkpoint could run code
(:mod:`mmosnet.engine.safe_checkpoint`).

Our configs become known to ``mmpretrain.get_model`` by their names in ``model-index.yml``.

All registered classes are attributes of the package too: where mmengine cannot reach a registry of ours it reads
``type='mmosnet.ReIDMetric'`` as a python path.
"""

import warnings

from mmosnet.compatibility import check_versions
from mmosnet.garbage_collection import collection_paused

# ruff: noqa: F403
with collection_paused(), warnings.catch_warnings():
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
from mmosnet.version import __version__

register_models()

__all__ = ['__version__', *datasets.__all__, *engine.__all__, *evaluation.__all__, *models.__all__]
