"""Checkpoints that load without running code, and that still resume.

Since torch 2.6 ``torch.load`` reads weights only and refuses mmengine's training checkpoints, because they hold the
log history and numpy scalars. :func:`install` allows exactly what those checkpoints contain, and closes the two
holes that ``weights_only=True`` leaves in mmengine: ``Runner.resume`` executes python text found in
``meta['config']``, and checkpoints from the web are loaded with ``weights_only=False``. All loading passes
here, so that files of the released code are recognized here too (:func:`mmosnet.models.released_files.recognize`).
"""

from __future__ import annotations

from functools import partial, wraps

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from mmosnet.models.checkpoint_file import clear_errors
from mmosnet.models.released_files import recognize

try:
    from numpy._core import multiarray
except ImportError:  # numpy < 2
    from numpy.core import multiarray

# The log history and the one-cycle schedule pickle some of their own methods, as getattr(owner, name).
_METHODS = {(HistoryBuffer, name) for name in ('min', 'max', 'current', 'mean')} | {
    (OneCycleParamScheduler, name) for name in ('_annealing_cos', '_annealing_linear')
}
# Dtypes of the numpy scalars and arrays in a log history: all plain numbers.
_NUMBER_CODES = '?bhilqBHILQefdg'


def _known_getattr(owner: object, name: str) -> object:
    """Stand in for ``getattr`` in a pickle: resolves :data:`_METHODS`, nothing else."""
    if (owner, name) in _METHODS:
        return getattr(owner, name)
    raise RuntimeError(f'refusing getattr({owner!r}, {name!r}) in a checkpoint')


def checkpoint_globals() -> list:
    """What a training checkpoint of mmengine may name, in the form of ``torch.serialization.add_safe_globals``."""
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
            (multiarray._reconstruct, f'{module}._reconstruct'),
            (multiarray.scalar, f'{module}.scalar'),
        ]
    return allowed + [type(np.dtype(code)) for code in _NUMBER_CODES]


def install() -> None:
    """Make resuming work under ``weights_only=True``, close both holes and recognize released files, for this process.
    Idempotent."""
    torch.serialization.add_safe_globals(checkpoint_globals())
    if getattr(CheckpointLoader, '_mmosnet_safe', False):
        return
    # load_url is what every scheme that downloads ends in.
    mmengine_checkpoint.load_url = partial(mmengine_checkpoint.load_url, weights_only=True)
    load_checkpoint = CheckpointLoader.load_checkpoint

    @wraps(load_checkpoint)
    def load_safely(filename, map_location=None, logger='current'):
        with clear_errors(filename):
            checkpoint = load_checkpoint(filename, map_location, logger)
        meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
        if isinstance(meta, dict):
            # Written by mmcv 1 only; mmengine writes, and never executes, meta['cfg'].
            meta.pop('config', None)
        return recognize(checkpoint, str(filename))

    CheckpointLoader.load_checkpoint = staticmethod(load_safely)
    CheckpointLoader._mmosnet_safe = True
