"""Registries of scope ``mmosnet``, children of mmpretrain's.

A registry imports only its own ``locations``, never its parent's. Each therefore names mmpretrain's module before ours:
``type='ImageClassifier'`` is then found with ``default_scope='mmosnet'`` too. Every registry that a Runner looks into
has a child here, so that this scope runs without warnings.
"""

from mmosnet.compatibility import supported_stack
from mmosnet.lazy_import import public_names

with supported_stack():
    # Registries import it on first use, outside of this block.
    import mmpretrain.models  # noqa: F401
    import mmpretrain.registry as _mmpretrain
    from mmengine.registry import Registry


def _child(parent: Registry, *packages: str) -> Registry:
    """Return a registry that imports packages of mmpretrain, and all modules with public names of ours."""
    locations = []
    for package in packages:
        modules = public_names(package).values() if package.startswith('mmosnet.') else [package]
        locations += dict.fromkeys(modules)
    return Registry(parent.name, parent=parent, scope='mmosnet', locations=locations)


# Engine
RUNNERS = _child(_mmpretrain.RUNNERS, 'mmpretrain.engine')
RUNNER_CONSTRUCTORS = _child(_mmpretrain.RUNNER_CONSTRUCTORS, 'mmpretrain.engine')
LOOPS = _child(_mmpretrain.LOOPS, 'mmpretrain.engine')
HOOKS = _child(_mmpretrain.HOOKS, 'mmpretrain.engine', 'mmosnet.engine')
LOG_PROCESSORS = _child(_mmpretrain.LOG_PROCESSORS, 'mmpretrain.engine')
OPTIMIZERS = _child(_mmpretrain.OPTIMIZERS, 'mmpretrain.engine')
OPTIM_WRAPPERS = _child(_mmpretrain.OPTIM_WRAPPERS, 'mmpretrain.engine', 'mmosnet.engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(_mmpretrain.OPTIM_WRAPPER_CONSTRUCTORS, 'mmpretrain.engine')
PARAM_SCHEDULERS = _child(_mmpretrain.PARAM_SCHEDULERS, 'mmpretrain.engine')

# Data
DATASETS = _child(_mmpretrain.DATASETS, 'mmpretrain.datasets', 'mmosnet.datasets', 'mmosnet.synthetic')
DATA_SAMPLERS = _child(_mmpretrain.DATA_SAMPLERS, 'mmpretrain.datasets', 'mmosnet.datasets')
TRANSFORMS = _child(_mmpretrain.TRANSFORMS, 'mmpretrain.datasets', 'mmosnet.datasets')

# Models
MODELS = _child(_mmpretrain.MODELS, 'mmpretrain.models', 'mmosnet.models')
MODEL_WRAPPERS = _child(_mmpretrain.MODEL_WRAPPERS, 'mmpretrain.models')
WEIGHT_INITIALIZERS = _child(_mmpretrain.WEIGHT_INITIALIZERS, 'mmpretrain.models')
BATCH_AUGMENTS = _child(_mmpretrain.BATCH_AUGMENTS, 'mmpretrain.models')
TASK_UTILS = _child(_mmpretrain.TASK_UTILS, 'mmpretrain.models')

# Evaluation and pictures
METRICS = _child(_mmpretrain.METRICS, 'mmpretrain.evaluation', 'mmosnet.evaluation')
EVALUATORS = _child(_mmpretrain.EVALUATORS, 'mmpretrain.evaluation', 'mmosnet.evaluation')
VISUALIZERS = _child(_mmpretrain.VISUALIZERS, 'mmpretrain.visualization')
VISBACKENDS = _child(_mmpretrain.VISBACKENDS, 'mmpretrain.visualization')
