"""Checkpoints that load without running code, and that still resume.

Since torch 2.6 ``torch.load`` reads weights only and refuses mmengine's training checkpoints, because they hold the
log history and numpy scalars. :func:`install` allows exactly what those checkpoints contain, and closes the two
holes that ``weights_only=True`` leaves in mmengine: ``Runner.resume`` executes python text found in
``meta['config']``, and checkpoints from the web are loaded with ``weights_only=False``. All loading passes
here, so that files are compared with their checksums here (:func:`mmosnet.models.checkpoint_file.load_file`), and
those of the released code are recognized (:func:`mmosnet.models.released_files.recognize`). All saving passes here
too, so that no checkpoint is ever half a file.
"""

from __future__ import annotations

import io
import os
from functools import wraps
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine import runner
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner import runner as mmengine_runner
from mmengine.runner.checkpoint import CheckpointLoader

from mmosnet.engine.resume import newest_checkpoint
from mmosnet.errors import DataError
from mmosnet.models.checkpoint_file import clear_errors, load_file
from mmosnet.models.released_files import recognize
from mmosnet.whole_file import whole_file

try:
    from numpy._core import multiarray
except ImportError:  # numpy < 2
    from numpy.core import multiarray  # type: ignore[no-redef]

# mmengine's own, for what is no local file.
_save_elsewhere = mmengine_checkpoint.save_checkpoint
# The log history and the one-cycle schedule pickle some of their own methods, as getattr(owner, name).
_METHODS = {(HistoryBuffer, name) for name in ('min', 'max', 'current', 'mean')} | {
    (OneCycleParamScheduler, name) for name in ('_annealing_cos', '_annealing_linear')
}
# Dtypes of the numpy scalars and arrays in a log history: all plain numbers.
_NUMBER_CODES = '?bhilqBHILQefdg'


def _known_getattr(owner: object, name: str) -> object:
    """Replace ``getattr`` in a pickle: resolve :data:`_METHODS` and nothing else."""
    if (owner, name) in _METHODS:
        return getattr(owner, name)
    raise RuntimeError(f'refusing getattr({owner!r}, {name!r}) in a checkpoint')


def _known_array(kind: type, shape: tuple, code: bytes) -> Any:
    """Replace numpy's array constructor, which starts empty: a pickle could ask for terabytes."""
    if (kind, tuple(shape)) != (np.ndarray, (0,)):
        raise RuntimeError(f'refusing an array of shape {shape} without data in a checkpoint')
    return multiarray._reconstruct(kind, shape, code)


def _known_scalar(dtype: np.dtype, data: bytes) -> Any:
    """Replace numpy's scalar constructor: a pickle could ask for a scalar of any size."""
    return multiarray.scalar(dtype, data)


def checkpoint_globals() -> list:
    """Return what a training checkpoint may name, as ``torch.serialization.add_safe_globals`` takes it."""
    allowed = [
        HistoryBuffer,
        OneCycleParamScheduler,
        np.ndarray,
        np.dtype,
        (_known_getattr, 'builtins.getattr'),
    ]
    # numpy 1 and numpy 2 write different module names.
    for module in ('numpy._core.multiarray', 'numpy.core.multiarray'):
        allowed += [
            (_known_array, f'{module}._reconstruct'),
            (_known_scalar, f'{module}.scalar'),
        ]
    return allowed + [type(np.dtype(code)) for code in _NUMBER_CODES]


def install() -> None:
    """Make loading safe in this process: resuming works under ``weights_only=True``, released files are recognized.

    The two ways around ``weights_only=True`` are closed. A second call does nothing.
    """
    torch.serialization.add_safe_globals(checkpoint_globals())
    if getattr(CheckpointLoader, '_mmosnet_safe', False):
        return
    # load_url is what every scheme that downloads ends in.
    mmengine_checkpoint.load_url = load_url
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    # Runner has names of its own for them; a CheckpointHook that publishes asks the package.
    for module in (mmengine_checkpoint, mmengine_runner, runner):
        module.save_checkpoint = save_checkpoint
        module.find_latest_checkpoint = newest_checkpoint
    load_checkpoint = CheckpointLoader.load_checkpoint

    @wraps(load_checkpoint)
    def load_safely(filename, map_location=None, logger='current'):
        with clear_errors(filename):
            checkpoint = load_checkpoint(str(filename), map_location, logger)
        meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
        if isinstance(meta, dict):
            # Written by mmcv 1 only; mmengine writes, and never executes, meta['cfg'].
            meta.pop('config', None)
        return recognize(checkpoint, str(filename))

    CheckpointLoader.load_checkpoint = staticmethod(load_safely)
    CheckpointLoader._mmosnet_safe = True


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


def load_from_local(filename: str, map_location: object = None) -> object:
    """Load a checkpoint file; replaces mmengine's loader of this name."""
    return load_file(os.path.expanduser(filename), map_location)


def load_url(
    url: str, model_dir: str | None = None, map_location: object = None, progress: bool = True, **unused: object
) -> object:
    """Load a checkpoint from the web or from torch's cache; replaces torch's function of this name.

    A download gets its name in the cache after it was loaded: a damaged one is never found there.

    Args:
        url: The address; the file in the cache is called as in its path.
        model_dir: The cache; torch's by default.
        map_location: Same as in :func:`torch.load`.
        progress: Show a bar.
        unused: torch's further options; weights alone are loaded whatever they say.

    Raises:
        DataError: It cannot be downloaded, or is no checkpoint.
    """
    path = Path(model_dir or Path(torch.hub.get_dir()) / 'checkpoints') / Path(urlparse(url).path).name
    if path.is_file():
        try:
            return load_file(path, map_location)
        except DataError as e:
            raise DataError(f'{e}. It stands in the cache for {url}: delete it, and it is downloaded again') from e
    try:
        with whole_file(path) as draft:
            torch.hub.download_url_to_file(url, str(draft), progress=progress)
            return load_file(draft, map_location, source=url)
    except (URLError, HTTPException, ConnectionError, TimeoutError) as e:
        raise DataError(f'{url} cannot be downloaded: {str(e) or type(e).__name__}') from e
