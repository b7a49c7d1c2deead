"""The model of a config, with the weights of a checkpoint, outside of a Runner."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmosnet.errors import DataError
from mmosnet.models.checkpoint_file import read_state_dict
from mmosnet.models.checkpoint_fit import check_fit


def build_model(cfg: Config) -> nn.Module:
    """Build a config's model in the config's scope, in evaluation mode, with random weights.

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
        return MODELS.build(cfg.model).eval()


def load_model(cfg: Config, checkpoint: str) -> nn.Module:
    """Build a config's model and load a checkpoint into it.

    mmpretrain's ``get_model`` loads what fits and warns about the rest. Here backbone and neck must fit, as
    :class:`~mmosnet.engine.CheckpointFitHook` demands in training and testing; a head may be another one and keeps
    its random weights then.

    Raises:
        FileNotFoundError: No such checkpoint.
        DataError: It belongs to another network; names the first entry that differs.
    """
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'no checkpoint {checkpoint}; tools/train.py leaves them in work_dirs/NAME_OF_CONFIG')
    model = build_model(cfg)
    found = read_state_dict(checkpoint)
    state = model.state_dict()
    check_fit(state, found, checkpoint)
    model.load_state_dict({n: v for n, v in found.items() if n in state and v.shape == state[n].shape}, strict=False)
    return model
