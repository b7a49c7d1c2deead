"""Reading the weights of a checkpoint file and the names saved with them, whatever is wrong with it."""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple
from zipfile import BadZipFile

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from mmosnet.errors import DataError

# What torch raises for damaged files, beside UnpicklingError.
DAMAGE = (RuntimeError, EOFError, KeyError, IndexError, AttributeError, TypeError, struct.error, BadZipFile)
# Where programs keep the weights in a checkpoint, the likeliest first.
WRAPPERS = ('state_dict', 'model_state_dict', 'model', 'network', 'net', 'ema')
# An entry that every OSNet has: in OSNet-AIN and in the others as released, and in ours, alone or inside of a model.
AIN_KEY = 'conv2.0.conv2.0.layers.0.conv1.weight'
PLAIN_KEY = 'conv2.0.conv2a.conv1.weight'
OWN_KEY = 'stages.0.0.reduce.conv.weight'
# What data-parallel training, compilation and programs around the network put in front of each name.
MARK = re.compile(
    r'((?:(?:module|model|backbone)\.)*?)(?:(?P<released>{})|(?:backbone\.)?{})'.format(
        '|'.join(map(re.escape, (AIN_KEY, PLAIN_KEY))), re.escape(OWN_KEY)
    )
)
COMPILED = '_orig_mod.'


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


class FoundOSNet(NamedTuple):
    """The entries of an OSNet in a checkpoint.

    Attributes:
        state: Weights by name, without what a program put in front of the names.
        released: Whether the names are those of the released code; else they are ours.
        notes: What was taken off and filled in, for a log line; empty if nothing was.
    """

    state: dict[str, Tensor]
    released: bool
    notes: list[str]


def find_osnet(checkpoint: object) -> FoundOSNet | None:
    """Find an OSNet in a checkpoint by its names, wherever a program put it and whatever it put in front of them.

    The weights may be the checkpoint itself or stand under ``state_dict``, ``model``, ``net``, ``ema`` and the like;
    names may begin with ``module.``, ``model.``, ``_orig_mod.`` or, in the released layout, ``backbone.``. Counters of
    batches, which old files lack and nothing computes with, are filled with 0.

    Args:
        checkpoint: What a file holds.

    Returns:
        The first OSNet; None without one.
    """
    for entries, place in _mappings(checkpoint):
        state = {name.replace(COMPILED, ''): value for name, value in entries.items() if isinstance(name, str)}
        mark = next(filter(None, map(MARK.fullmatch, state)), None)
        if mark is None:
            continue
        prefix = mark[1]
        found = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        notes = [f'found under {".".join(place)}'] if place not in ((), ('state_dict',)) else []
        taken_off = prefix + COMPILED * any(COMPILED in name for name in entries if isinstance(name, str))
        notes += [f'{taken_off!r} taken off its names'] if taken_off else []
        others = [str(name) for name in entries if not str(name).replace(COMPILED, '').startswith(prefix)]
        others += [str(name) for name in entries if not isinstance(name, str) and str(name) not in others]
        if others:
            notes.append(f'left out {len(others)} entries beside it, the first {others[0]!r}')
        norms = [name.removesuffix('running_var') for name in found if name.endswith('running_var')]
        new = [f'{norm}num_batches_tracked' for norm in norms if f'{norm}num_batches_tracked' not in found]
        if new:
            notes.append(f'{len(new)} missing num_batches_tracked set to 0')
        return FoundOSNet(found | {name: torch.tensor(0) for name in new}, bool(mark['released']), notes)
    return None


def _mappings(node: object, place: tuple[str, ...] = ()) -> Iterator[tuple[Mapping, tuple[str, ...]]]:
    """The mappings in a checkpoint, with where they stand."""
    if not isinstance(node, Mapping):
        return
    yield node, place
    # A wrapper in a wrapper; deeper there is the state of optimizers.
    if len(place) < 2:
        # Beside a state_dict, which mmengine and torchreid write, stands nothing that is meant.
        names = ['state_dict'] if 'state_dict' in node else [name for name in WRAPPERS if name in node]
        others = [] if 'state_dict' in node else [name for name in node if isinstance(name, str) and name not in names]
        for name in names + others:
            yield from _mappings(node[name], (*place, name))


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
