"""Build the model of a config and load a checkpoint into it, outside of a Runner."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.apis.model import ModelHub, list_models
from torch import nn

from mmosnet.compatibility import allow_package_bases, find_config_file, nearest_names, released_weights
from mmosnet.errors import DataError
from mmosnet.models.checkpoints import read_checkpoint
from mmosnet.models.weights import check_fit

# Files that mmengine reads.
CONFIG_SUFFIXES = ('.py', '.yml', '.yaml', '.json')
# In place of a checkpoint: the weights that model-index.yml names for a model.
RELEASED = 'released'


def find_config(model: str | Path) -> tuple[Config, str | None]:
    """Return the config of a path or name, and the released weights of a name.

    Args:
        model: Path or name; see :func:`find_config_path`.

    Raises:
        FileNotFoundError: No such file.
        DataError: No such name; names the nearest one.
    """
    path = find_config_path(model)
    if path == str(model):
        return read_config(path), None
    if find_config_file(str(model)):
        return read_config(path), released_weights(Path(path))
    return read_config(path), ModelHub.get(str(model)).weights


def read_config(path: str | Path) -> Config:
    """Read the file of a config.

    Raises:
        DataError: It is another kind of file or not Python, two of its bases have the same setting, or one is of a
            package unknown to mmengine.
    """
    if Path(path).suffix not in CONFIG_SUFFIXES:
        raise DataError(
            f'{path} is no config, which ends in {", ".join(CONFIG_SUFFIXES)}: name a config and a checkpoint'
        )
    try:
        return Config.fromfile(path)
    except SyntaxError as e:
        # mmengine parses a text, so that the error does not know the file.
        file = path if e.filename in (None, '<unknown>') else e.filename
        raise DataError(f'{file}, line {e.lineno}: {e.msg}') from e
    except KeyError as e:
        same = re.search(r'Duplicate keys: {(.*)}', str(e.args[0]))
        if same is None:
            raise
        keys = sorted(re.findall(r"'(.*?)'", same[1]))
        more = f' and {len(keys) - 3} more keys' if len(keys) > 3 else ''
        raise DataError(f'{path}: two of its bases set {", ".join(keys[:3])}{more}: keep one of the bases') from e
    except AssertionError as e:
        # mmengine refuses bases of packages that it does not know.
        raise DataError(f'{path}: {e}') from e


def find_config_path(model: str | Path) -> str:
    """Return the file of a config.

    Args:
        model: The file itself, which may inherit from ``mmosnet::NAME.py``; or the name of a config of ours, with or
            without ``.py``, or of a model in our ``model-index.yml`` or mmpretrain's. Files take precedence.

    Raises:
        FileNotFoundError: No such file.
        DataError: No such name; names the nearest one.
    """
    allow_package_bases()
    if Path(model).is_file():
        return str(model)
    if file := find_config_file(str(model)):
        return str(file)
    if Path(model).suffix == '.py':
        raise FileNotFoundError(f'no config {model}; {nearest_names(str(model))}')
    # Last, because it reads mmpretrain's whole index.
    known = list_models()
    if str(model).lower() not in known:
        raise DataError(f'{str(model)!r} is neither a config file nor a name; {nearest_names(str(model), known)}')
    return ModelHub.get(str(model)).config.filename


def find_trained(model: str | Path, checkpoint: str | None) -> tuple[Config, str]:
    """Return the config and the checkpoint that a user names.

    Args:
        model: Path or name; see :func:`find_config_path`.
        checkpoint: A file, or anything that mmengine loads; ``'released'`` or None for the index's weights.

    Raises:
        FileNotFoundError: No such config.
        DataError: No such name, or no released weights.
    """
    cfg, weights = find_config(model)
    if checkpoint not in (None, RELEASED):
        weights = checkpoint
    if weights is None:
        raise DataError(f'{model} has no released weights in model-index.yml: name a checkpoint')
    return cfg, weights


def build_model(cfg: Config) -> nn.Module:
    """Build a config's model in the config's scope, in evaluation mode, with random weights.

    The model remembers its config as ``_config``, as a model of mmpretrain's ``get_model`` does.

    Raises:
        DataError: The config has no model, or belongs to a toolbox that is not installed.
    """
    if cfg.get('model') is None:
        raise DataError(f'{cfg.filename} has no model')
    scope = cfg.get('default_scope') or 'mmengine'
    if find_spec(scope.partition('.')[0]) is None:
        raise DataError(f'{cfg.filename} is a config for {scope}, which is not installed')
    if cfg.get('data_preprocessor') is not None:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(cfg.model).eval()
    model._config = cfg
    return model


def load_model(cfg: Config, checkpoint: str, testing: bool = False) -> nn.Module:
    """Build a config's model and load a checkpoint into it; arguments and errors of :func:`load_weights`."""
    _require(checkpoint)
    model = build_model(cfg)
    load_weights(model, checkpoint, testing)
    return model


def load_weights(model: nn.Module, checkpoint: str, testing: bool = False) -> None:
    """Load a checkpoint into a model.

    mmpretrain's ``get_model`` loads the entries that fit and warns about the rest. Here backbone and neck must fit, as
    with :class:`~mmosnet.engine.CheckpointFitHook`. Names of attributes and categories go to ``model._dataset_meta``,
    as in ``get_model``.

    Args:
        model: Changed in place.
        checkpoint: A file, or anything that mmengine loads.
        testing: Whether heads must fit too, except classifiers of identities. Otherwise a head that does not fit keeps
            its random weights.

    Raises:
        FileNotFoundError: No such checkpoint.
        DataError: It belongs to another network; names the first entry that differs.
    """
    _require(checkpoint)
    loaded, dataset_meta = read_checkpoint(checkpoint)
    state = model.state_dict()
    check_fit(state, loaded, checkpoint, testing)
    model.load_state_dict({n: v for n, v in loaded.items() if n in state and v.shape == state[n].shape}, strict=False)
    model._dataset_meta = dataset_meta


def _require(checkpoint: str) -> None:
    """Check that the checkpoint exists before the model is built, which takes longer."""
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'no checkpoint {checkpoint}; "mmosnet train" leaves them in work_dirs/NAME_OF_CONFIG')
