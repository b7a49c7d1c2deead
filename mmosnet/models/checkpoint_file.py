"""Reading the weights of a checkpoint file and the names saved with them, whatever is wrong with it."""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple
from zipfile import BadZipFile

from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from mmosnet.errors import DataError

# What torch raises for damaged files, beside UnpicklingError.
DAMAGE = (RuntimeError, EOFError, KeyError, IndexError, AttributeError, TypeError, struct.error, BadZipFile)


@contextmanager
def clear_errors(source: str) -> Iterator[None]:
    """Turn what goes wrong while a checkpoint loads into one line that names the file.

    torch's own text recommends to load without protection.

    Raises:
        DataError: The file is damaged, or holds more than weights and training state.
    """
    try:
        yield
    except pickle.UnpicklingError as e:
        found = re.search(r'GLOBAL ([\w.]+)|Unsupported (?:global|class|operand)[^A-Za-z]*(?:GLOBAL )?([\w.]+)', str(e))
        what = f'it names {next(filter(None, found.groups()))}' if found else 'it is no checkpoint, or damaged'
        raise DataError(
            f'{source} was not loaded: {what}. A checkpoint may hold weights and training state, and nothing that runs'
        ) from e
    except DataError:
        raise
    except (*DAMAGE, ValueError) as e:
        reason = (str(e).strip() or type(e).__name__).splitlines()[0]
        if 'weights_only' in reason:
            reason = 'no checkpoint'
        raise DataError(f'{source} was not loaded: it is damaged, or no checkpoint ({reason})') from e


class Checkpoint(NamedTuple):
    """What a network needs of a checkpoint.

    Attributes:
        state: Weights by name, on the CPU, without the ``module.`` prefixes of data-parallel training.
        dataset_meta: What the training data set said of itself, as mmengine saves it: ``attributes``, ``classes`` ...;
            empty in files with weights alone.
    """

    state: dict[str, Tensor]
    dataset_meta: dict[str, object]


def read_checkpoint(source: str) -> Checkpoint:
    """Read a checkpoint.

    Args:
        source: A file, or anything that mmengine loads: ``torchreid://NAME``, a web address.

    Raises:
        FileNotFoundError: No such file.
        DataError: The file is damaged, or holds something else than named tensors.
    """
    with clear_errors(source):
        checkpoint = CheckpointLoader.load_checkpoint(str(source), map_location='cpu')
    state = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping) or not state:
        raise DataError(f'{source} holds no weights: it is a {type(checkpoint).__name__}, not a state dict')
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise DataError(f'{source} is no state dict: its entry {name!r} is a {type(value).__name__}, not a tensor')
    meta = checkpoint.get('meta')
    dataset_meta = meta.get('dataset_meta') if isinstance(meta, Mapping) else None
    return Checkpoint(
        {name.removeprefix('module.'): value for name, value in state.items()},
        dict(dataset_meta) if isinstance(dataset_meta, Mapping) else {},
    )


def read_state_dict(source: str) -> dict[str, Tensor]:
    """The weights alone; arguments and errors of :func:`read_checkpoint`."""
    return read_checkpoint(source).state
