"""Reading the weights of a checkpoint file and the names saved with them, whatever is wrong with it."""

from __future__ import annotations

import errno
import pickle
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from mmosnet.errors import DataError
from mmosnet.runtime.file_kind import file_kind

# What torch raises for damaged files, beside UnpicklingError. Claims of more memory than there is are among them.
DAMAGE = (
    *(RuntimeError, EOFError, KeyError, IndexError, AttributeError, TypeError, struct.error, BadZipFile),
    *(MemoryError, OverflowError, AssertionError, ZeroDivisionError),
)
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
# What torch's layers call what they learn and measure.
WEIGHT_NAMES = ('weight', 'bias', 'running_mean', 'running_var')


@contextmanager
def clear_errors(source: str) -> Iterator[None]:
    """Turn an error during the loading of a checkpoint into one line that names the file.

    torch's own text recommends to load without protection.

    Raises:
        DataError: The file is damaged, or holds more than weights and training state.
    """
    try:
        yield
    except pickle.UnpicklingError as e:
        found = re.search(r'GLOBAL ([\w.]+)|Unsupported (?:global|class)[^A-Za-z]*(?:GLOBAL )?([\w.]+)', str(e))
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
        elif reason == 'File is not a zip file':
            reason = 'its end is missing, it is cut off'
        raise DataError(f'{source} was not loaded: it is damaged, or no checkpoint ({reason})') from e


def load_file(path: str | Path, map_location: object = None, source: str | None = None) -> Any:
    """Load a checkpoint file, weights and training state only, after verifying all of its checksums.

    torch writes a checksum with each tensor and does not look at it when it loads. Files in the format that torch wrote
    before version 1.6 have none: a line in the log says so.

    Args:
        path: The file.
        map_location: Same as in :func:`torch.load`.
        source: Name of the file in errors; the path by default.

    Raises:
        FileNotFoundError: No such file.
        DataError: It is damaged, or no checkpoint; or it claims more memory than its own size.
    """
    path = Path(path)
    source = str(path) if source is None else source
    if not path.exists():
        raise FileNotFoundError(f'no checkpoint {source}')
    kind = file_kind(path)
    if kind.name in ('TorchScript', 'OpenVINO') or path.suffix == '.onnx':
        raise DataError(f'{source} was not loaded: it is an exported model; name the checkpoint that it was made from')
    if kind.name not in ('checkpoint', 'legacy checkpoint'):
        raise DataError(f'{source} was not loaded: it is {"no checkpoint" if kind.name == "unknown" else kind}')
    with clear_errors(source):
        try:
            checked = kind.name == 'checkpoint' and _checksums_hold(path)
            checkpoint = torch.load(path, map_location=map_location, weights_only=True)
            _check_sizes(checkpoint, path.stat().st_size)
        except DataError as e:
            raise DataError(f'{source} was not loaded: {e}') from e
    if not checked:
        MMLogger.get_current_instance().warning(
            f'{source} has no checksums, so that damage to its weights would not be noticed: compare its SHA-256 with '
            'what its source states'
        )
    return checkpoint


def _checksums_hold(path: Path) -> bool:
    """Compare all of an archive with its checksums.

    Returns:
        Whether it has any: torch can be told to write none.

    Raises:
        DataError: They differ, or the archive is none that torch writes.
        BadZipFile: It is cut off, or its directory is damaged.
    """
    with ZipFile(path) as archive, _damaged_places():
        entries = archive.infolist()
        if len({entry.filename for entry in entries}) < len(entries):
            raise DataError('it is damaged, two of its entries have one name')
        for entry in entries:
            # torch reads nothing of an entry with MS-DOS's mark of a folder, and gives what the memory held.
            if entry.is_dir() or entry.external_attr & 0x10:
                raise DataError(f'it is damaged, its entry {entry.filename} is marked as a folder')
            # torch compresses nothing. Compressed entries could fill the memory.
            if entry.compress_type != ZIP_STORED or entry.compress_size != entry.file_size:
                raise DataError(
                    f'its entry {entry.filename} is compressed, which torch does not do: '
                    'unpack it and load the file that is in it'
                )
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise DataError(f'its entries claim more than its {path.stat().st_size} bytes')
        if not any(entry.CRC for entry in entries):
            return False
        damaged = archive.testzip()
    if damaged is not None:
        raise DataError(
            f'it is damaged, the checksum of {damaged} differs; copy or download it again, or take another checkpoint'
        )
    return True


@contextmanager
def _damaged_places() -> Iterator[None]:
    """Report damage where an archive refers to positions that a file cannot have."""
    try:
        yield
    except OSError as e:
        if e.errno != errno.EINVAL:
            raise
        raise BadZipFile('its directory names no place in the file') from e


def _check_sizes(checkpoint: object, size: int) -> None:
    """Refuse arrays that need more memory than the file has bytes: small files can claim any size.

    Raises:
        DataError: Names the place of the first value.
    """
    seen, left = set(), [('', checkpoint)]
    while left:
        place, node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        claimed = 0
        if isinstance(node, Tensor):
            claimed = node.numel() * node.element_size()
            if claimed <= size and node.layout == torch.strided and node.device.type != 'meta':
                claimed = node.untyped_storage().nbytes()
        elif isinstance(node, np.ndarray):
            claimed = node.nbytes
        elif isinstance(node, (str, bytes, bytearray)):
            # A character may take four bytes, and one in the file.
            claimed = len(node)
        elif isinstance(node, Mapping):
            left += [(f'{place}.{key}' if place else f'{key}', value) for key, value in node.items()]
        elif isinstance(node, (list, tuple, set)):
            left += [(place, value) for value in node]
        else:
            left += [(place, value) for value in getattr(node, '__dict__', {}).values()]
        if claimed > size:
            raise DataError(f'{place or "it"} claims {claimed} bytes in a file of {size}')


class Checkpoint(NamedTuple):
    """What a network needs of a checkpoint.

    Attributes:
        state: Weights by name, on the CPU, without the ``module.`` prefixes of data-parallel training.
        dataset_meta: What the training data set said of itself, as mmengine saves it: ``attributes``, ``classes`` ...;
            empty in files with weights alone.
    """

    state: dict[str, Tensor]
    dataset_meta: dict[str, Any]


class FoundOSNet(NamedTuple):
    """The entries of an OSNet in a checkpoint.

    Attributes:
        state: Weights by name, without what a program put in front of the names.
        released: Whether the names are those of the released code; else they are ours.
        notes: What was removed and added, for the log; may be empty.
    """

    state: dict[str, Tensor]
    released: bool
    notes: list[str]


def find_osnet(checkpoint: object) -> FoundOSNet | None:
    """Find an OSNet in a checkpoint by its entry names, at any depth and behind any prefix.

    The weights may be the checkpoint itself or stand under ``state_dict``, ``model``, ``net``, ``ema`` and the like;
    names may begin with ``module.``, ``model.``, ``_orig_mod.`` or, in the released layout, ``backbone.``. Counters of
    batches, which old files lack and nothing computes with, are filled with 0.

    Args:
        checkpoint: Content of a checkpoint file.

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
    """Iterate over the mappings in a checkpoint, each with its place."""
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
    checkpoint = CheckpointLoader.load_checkpoint(str(source), map_location='cpu')
    state = weights_in(checkpoint, str(source))
    meta = checkpoint.get('meta')
    dataset_meta = meta.get('dataset_meta') if isinstance(meta, Mapping) else None
    return Checkpoint(state, dict(dataset_meta) if isinstance(dataset_meta, Mapping) else {})


def weights_in(checkpoint: object, source: str) -> dict[str, Tensor]:
    """Return the weights of a loaded checkpoint by name, without data-parallel ``module.`` prefixes.

    Args:
        checkpoint: Content of a checkpoint file.
        source: Name of the file in errors.

    Raises:
        DataError: It holds something else than named tensors of numbers; names the first entry.
    """
    state = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping) or not state:
        raise DataError(f'{source} holds no weights: it is a {type(checkpoint).__name__}, not a state dict')
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise DataError(
                f'{source} is no state dict: its entry {name!r:.80} is a {type(value).__name__}, not a tensor'
            )
        unusual = _unusual(value)
        if unusual:
            raise DataError(f'{source} was not loaded: its entry {name!r} is {unusual}, not an array of numbers')
    lost = not_numbers(state)
    if lost:
        raise DataError(f'{source} was not loaded: {lost}. Take an earlier checkpoint')
    return {name.removeprefix('module.'): value for name, value in state.items()}


def not_numbers(state: Mapping[str, Any]) -> str:
    """Say which weights and batch statistics are NaN or infinite; empty if none is.

    Other buffers may be: masks, and statistics that have not been measured yet.
    """
    computed = [
        name
        for name, value in state.items()
        if isinstance(value, Tensor) and value.is_floating_point() and name.rpartition('.')[2] in WEIGHT_NAMES
    ]
    lost = [name for name in computed if not bool(state[name].isfinite().all())]
    if not lost:
        return ''
    return (
        f'{len(lost)} of its {len(computed)} weights hold NaN or infinity, the first {lost[0]}: its training had '
        'failed before it was saved'
    )


def _unusual(value: Tensor) -> str | None:
    """Say why a tensor belongs to no network here; None for a plain one."""
    if value.layout != torch.strided:
        return f'a tensor of layout {value.layout}'
    if value.is_quantized or value.is_complex():
        return f'a tensor of {value.dtype}'
    return 'a tensor without data (device meta)' if value.device.type == 'meta' else None


def read_state_dict(source: str) -> dict[str, Tensor]:
    """Read the weights alone; arguments and errors are those of :func:`read_checkpoint`."""
    return read_checkpoint(source).state
