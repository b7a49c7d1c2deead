"""The config and the checkpoints that a user names for a picture."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.config import Config

from mmosnet.engine.launch import load_config
from mmosnet.engine.trained_model import find_config
from mmosnet.errors import DataError

RELEASED = 'released'


def find_trained(
    model: str, checkpoints: Sequence[str], options: dict | None = None, data_root: str | None = None
) -> tuple[Config, list[str]]:
    """Read a config for this machine, and find its checkpoints.

    Args:
        model: A config file, or a name in ``model-index.yml``.
        checkpoints: Files, addresses, or ``'released'`` for the weights of a name.
        options: Overrides from ``--cfg-options``.
        data_root: Folder of the data set; the config's by default.

    Raises:
        FileNotFoundError: No such config.
        DataError: No such name, or no released weights.
    """
    known, weights = find_config(model)
    if RELEASED in checkpoints and weights is None:
        raise DataError(f'{model} has no released weights in model-index.yml: name a checkpoint')
    cfg = load_config(str(known.filename), options, None, 'none', data_root)
    return cfg, [weights if checkpoint == RELEASED else checkpoint for checkpoint in checkpoints]
