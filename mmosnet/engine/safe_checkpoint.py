"""Checkpoints of mmengine's own functions: loaded without running code, written whole or not at all.

What is ours loads by :func:`mmosnet.models.checkpoints.load_checkpoint`. mmengine's Runner has loading and saving
of its own, which :func:`install_safe_checkpoints` replaces: torch refuses its training checkpoints since version 2.6,
the forks of OpenMMLab then load them without protection, checkpoints from the web are always loaded so, and
``Runner.resume`` executes python text found in ``meta['config']``.
"""

from __future__ import annotations

import io

import torch
from mmengine import runner
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner import runner as mmengine_runner
from mmengine.runner.checkpoint import CheckpointLoader

from mmosnet.engine.resume import newest_checkpoint
from mmosnet.io.files import whole_file
from mmosnet.models.checkpoints import (
    checkpoint_globals,
    load_checkpoint,
    load_from_local,
    load_from_web,
    load_url,
    torch_load,
)

# mmengine's own, for what is no local file.
_save_elsewhere = mmengine_checkpoint.save_checkpoint


def install_safe_checkpoints() -> None:
    """Let mmengine load and save checkpoints as mmosnet does, in this process, for all toolboxes.

    Training checkpoints resume, no checkpoint runs code, files are compared with their checksums, and those of the
    released code are recognized (:func:`~mmosnet.models.checkpoints.load_checkpoint`). Checkpoints are written
    whole or not at all (:func:`save_checkpoint`), and a resumed run takes the newest one that loads
    (:func:`~mmosnet.engine.resume.newest_checkpoint`).

    All commands of mmosnet call it, and :class:`~mmosnet.engine.checkpoint_hook.CheckpointHook` does, which our configs
    name; for other programs it is there to be called. Calling it again changes nothing.
    """
    torch.serialization.add_safe_globals(checkpoint_globals())
    CheckpointLoader.load_checkpoint = staticmethod(load_checkpoint)
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.register_scheme(['http://', 'https://'], load_from_web, force=True)
    # What the loaders of all other schemes end in.
    mmengine_checkpoint.load_url = load_url
    if hasattr(mmengine_checkpoint, '_safe_torch_load'):
        mmengine_checkpoint._safe_torch_load = torch_load
    # Runner has names of its own for them; a CheckpointHook that publishes asks the package.
    for module in (mmengine_checkpoint, mmengine_runner, runner):
        module.save_checkpoint = save_checkpoint
        module.find_latest_checkpoint = newest_checkpoint


def save_checkpoint(
    checkpoint: dict, filename: str, file_client_args: dict | None = None, backend_args: dict | None = None
) -> None:
    """Write a checkpoint completely or not at all; replaces mmengine's function of this name.

    Args:
        checkpoint: Checkpoint to write.
        filename: The file. What is no local one is left to mmengine.
        file_client_args: Same as in mmengine's function.
        backend_args: Same as in mmengine's function.

    Raises:
        OSError: It cannot be written, as on a full disk; what was there before is there still.
    """
    if file_client_args is not None or not isinstance(
        get_file_backend(filename, backend_args=backend_args), LocalBackend
    ):
        _save_elsewhere(checkpoint, filename, file_client_args, backend_args)
        return
    # Serialized before: torch reports a full disk as an error of its own.
    content = io.BytesIO()
    torch.save(checkpoint, content)
    with whole_file(filename) as draft:
        draft.write_bytes(content.getbuffer())
