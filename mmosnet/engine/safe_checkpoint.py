"""Safe replacements of mmengine's functions for checkpoints: loading runs no code, writing is complete or not done.

Our code loads by :func:`mmosnet.models.checkpoints.load_checkpoint`. mmengine's Runner has its own functions, which
:func:`install_safe_checkpoints` replaces: torch refuses mmengine's training checkpoints since version 2.6, the forks of
OpenMMLab then load them without protection, checkpoints from the web are always loaded without, and ``Runner.resume``
executes Python text in ``meta['config']``.
"""

from __future__ import annotations

import torch
from mmengine import runner
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner import runner as mmengine_runner
from mmengine.runner.checkpoint import CheckpointLoader

from mmosnet.engine.resume import newest_checkpoint
from mmosnet.models.checkpoints import (
    checkpoint_globals,
    load_checkpoint,
    load_from_local,
    load_from_web,
    load_url,
    torch_load,
    write_checkpoint,
)

# mmengine's function, for paths that are no local files.
_mmengine_save_checkpoint = mmengine_checkpoint.save_checkpoint


def install_safe_checkpoints() -> None:
    """Let mmengine load and save checkpoints as mmosnet does, in this process, for all toolboxes.

    Training checkpoints can be resumed, no checkpoint runs code, files are compared with their checksums, and those of
    the released code are recognized (:func:`~mmosnet.models.checkpoints.load_checkpoint`). Checkpoints are written
    completely or not at all (:func:`save_checkpoint`), and a resumed run starts from the newest one that loads
    (:func:`~mmosnet.engine.resume.newest_checkpoint`).

    All commands of mmosnet call it, and so does :class:`~mmosnet.engine.checkpoint_hook.CheckpointHook`, which our
    configs name. Other programs can call it. Calling it again changes nothing.
    """
    torch.serialization.add_safe_globals(checkpoint_globals())
    CheckpointLoader.load_checkpoint = staticmethod(load_checkpoint)
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.register_scheme(['http://', 'https://'], load_from_web, force=True)
    # The loaders of all other schemes end in these.
    mmengine_checkpoint.load_url = load_url
    if hasattr(mmengine_checkpoint, '_safe_torch_load'):
        mmengine_checkpoint._safe_torch_load = torch_load
    # Runner imports them by name; a CheckpointHook that publishes uses the package.
    for module in (mmengine_checkpoint, mmengine_runner, runner):
        module.save_checkpoint = save_checkpoint
        module.find_latest_checkpoint = newest_checkpoint


def save_checkpoint(
    checkpoint: dict, filename: str, file_client_args: dict | None = None, backend_args: dict | None = None
) -> None:
    """Write a checkpoint completely or not at all; replaces mmengine's function of this name.

    Args:
        checkpoint: Checkpoint to write.
        filename: Path of the file. mmengine writes paths that are no local files.
        file_client_args: Same as in mmengine's function.
        backend_args: Same as in mmengine's function.

    Raises:
        OSError: It cannot be written, for example on a full disk; an earlier file of this name is kept.
    """
    if file_client_args is not None or not isinstance(
        get_file_backend(filename, backend_args=backend_args), LocalBackend
    ):
        _mmengine_save_checkpoint(checkpoint, filename, file_client_args, backend_args)
    else:
        write_checkpoint(checkpoint, filename)
