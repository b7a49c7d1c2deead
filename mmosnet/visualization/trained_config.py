"""The config and the checkpoints that a user names for a picture."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.config import Config

from mmosnet.engine.launch import load_config
from mmosnet.models.build import find_trained


def trained_config(
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
    found = [find_trained(model, checkpoint)[1] for checkpoint in checkpoints]
    return load_config(model, options, None, 'none', data_root), found
