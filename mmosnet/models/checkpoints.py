"""Load checkpoints without running code in them, and read their weights and the names saved with them.

Since torch 2.6 ``torch.load`` reads only weights and refuses mmengine's training checkpoints, because they hold the log
history and numpy scalars. :func:`checkpoint_globals` allows exactly the types in them. Nothing is ever loaded without
this protection, as the forks of OpenMMLab do with files that they cannot load safely.
"""

from __future__ import annotations

import errno
import io
import os
import pickle
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.parse import urlparse
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
import torch
from mmengine.dist import barrier, get_rank
from mmengine.logging import MMLogger
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from mmosnet.errors import DataError
from mmosnet.io.files import whole_file
from mmosnet.io.media import file_kind

try:
    from numpy._core import multiarray
except ImportError:  # numpy < 2
    from numpy.core import multiarray  # type: ignore[no-redef]

# Errors of torch for damaged files besides UnpicklingError, also for files that claim more memory than there is.
DAMAGE = (
    *(RuntimeError, EOFError, KeyError, IndexError, AttributeError, TypeError, struct.error, BadZipFile),
    *(MemoryError, OverflowError, AssertionError, ZeroDivisionError),
)
# Keys under which programs keep the weights in a checkpoint, the likeliest first.
WRAPPERS = ('state_dict', 'model_state_dict', 'model', 'network', 'net', 'ema')
# An entry that every OSNet has: in OSNet-AIN and in the others as released, and in ours, alone or inside of a model.
AIN_KEY = 'conv2.0.conv2.0.layers.0.conv1.weight'
PLAIN_KEY = 'conv2.0.conv2a.conv1.weight'
OWN_KEY = 'stages.0.0.reduce.conv.weight'
# Prefixes that data-parallel training, compilation and programs around the network add to each name.
MARK = re.compile(
    r'((?:(?:module|model|backbone)\.)*?)(?:(?P<released>{})|(?:backbone\.)?{})'.format(
        '|'.join(map(re.escape, (AIN_KEY, PLAIN_KEY))), re.escape(OWN_KEY)
    )
)
COMPILED = '_orig_mod.'
# Last parts of the names of parameters and statistics in torch's layers.
WEIGHT_NAMES = ('weight', 'bias', 'running_mean', 'running_var')
# The log history and the one-cycle schedule pickle some of their own methods, as getattr(owner, name).
_METHODS = {(HistoryBuffer, name) for name in ('min', 'max', 'current', 'mean')} | {
    (OneCycleParamScheduler, name) for name in ('_annealing_cos', '_annealing_linear')
}
# Dtypes of the numpy scalars and arrays in a log history: all plain numbers.
_NUMBER_CODES = '?bhilqBHILQefdg'
# Makes torch.load read weights only, even where its caller asks for more.
_WEIGHTS_ONLY = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
_WEB = ('http://', 'https://')
# mmengine's loader, for schemes that are not ours.
_load_by_mmengine = CheckpointLoader.load_checkpoint
# Loaders of our schemes, and functions that every other checkpoint passes with its name; modules register them.
_LOADERS: dict[str, Callable] = {}
_RECOGNIZERS: list[Callable[[object, str], object]] = []


def _known_getattr(owner: object, name: str) -> object:
    """Replace ``getattr`` in a pickle: return only methods of :data:`_METHODS`."""
    if (owner, name) in _METHODS:
        return getattr(owner, name)
    raise RuntimeError(f'refusing getattr({owner!r}, {name!r}) in a checkpoint')


def _known_array(kind: type, shape: tuple, code: bytes) -> object:
    """Replace numpy's array constructor, which starts empty: a pickle could ask for terabytes."""
    if (kind, tuple(shape)) != (np.ndarray, (0,)):
        raise RuntimeError(f'refusing an array of shape {shape} without data in a checkpoint')
    return multiarray._reconstruct(kind, shape, code)


def _known_scalar(dtype: np.dtype, data: bytes) -> object:
    """Replace numpy's scalar constructor: a pickle could ask for a scalar of any size."""
    return multiarray.scalar(dtype, data)


def checkpoint_globals() -> list:
    """Return the globals that a checkpoint may name, as arguments of ``torch.serialization.add_safe_globals``."""
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


def torch_load(file: object, map_location: object = None, weights_only: bool | None = True) -> object:
    """Load weights and training state from a file by torch.

    Args:
        file: A path or an open file.
        map_location: Same as in :func:`torch.load`.
        weights_only: Not used, always True. The forks of OpenMMLab have a function with these arguments, which loads
            anything if this fails.
    """
    with torch.serialization.safe_globals(checkpoint_globals()):
        return torch.load(file, map_location=map_location, weights_only=True)


@contextmanager
def _weights_only() -> Iterator[None]:
    """Restrict mmengine's loaders to weights and training state, whatever they ask torch for."""
    before = os.environ.get(_WEIGHTS_ONLY)
    os.environ[_WEIGHTS_ONLY] = '1'
    # The forks of OpenMMLab allow the real getattr here, and thus any code.
    forks = getattr(mmengine_checkpoint, '_safe_torch_load', None)
    mmengine_load_url = mmengine_checkpoint.load_url
    mmengine_checkpoint.load_url = load_url
    if forks is not None:
        mmengine_checkpoint._safe_torch_load = torch_load
    try:
        with torch.serialization.safe_globals(checkpoint_globals()):
            yield
    finally:
        mmengine_checkpoint.load_url = mmengine_load_url
        if forks is not None:
            mmengine_checkpoint._safe_torch_load = forks
        if before is None:
            del os.environ[_WEIGHTS_ONLY]
        else:
            os.environ[_WEIGHTS_ONLY] = before


def loads_scheme(scheme: str) -> Callable[[Callable], Callable]:
    """Return a decorator for a function that loads checkpoints by a scheme, here and in mmengine.

    Args:
        scheme: Start of the names, for example ``torchreid://``.
    """

    def register(loader: Callable) -> Callable:
        _LOADERS[scheme] = loader
        CheckpointLoader.register_scheme(scheme, loader, force=True)
        return loader

    return register


def recognizes(recognizer: Callable[[object, str], object]) -> Callable[[object, str], object]:
    """Register a function that converts every loaded checkpoint: takes content and name, returns the content to use."""
    _RECOGNIZERS.append(recognizer)
    return recognizer


def load_checkpoint(filename: str | Path, map_location: object = None, logger: object = 'current') -> Any:
    """Load a checkpoint from anywhere without running code in it; replaces mmengine's function of this name.

    Python text in ``meta['config']``, which mmengine executes when it resumes, is dropped.

    Args:
        filename: A file, a web address, ``torchreid://NAME``, ``mmosnet://NAME``, or another scheme of mmengine's.
        map_location: Same as in :func:`torch.load`.
        logger: Same as in mmengine's function, for a line with the origin of the checkpoint.

    Raises:
        FileNotFoundError: No such file.
        DataError: It is damaged, no checkpoint, or holds more than weights and training state.
    """
    source = str(filename)
    loader = next((loader for scheme, loader in _LOADERS.items() if source.startswith(scheme)), None)
    with clear_errors(source):
        if loader is not None:
            checkpoint = loader(source, map_location)
        elif source.startswith(_WEB):
            checkpoint = load_from_web(source, map_location)
        elif '://' in source:
            with _weights_only():
                checkpoint = _load_by_mmengine(source, map_location, logger)
        else:
            checkpoint = load_from_local(source, map_location)
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if isinstance(meta, dict):
        # Only mmcv 1 writes it; mmengine writes meta['cfg'] and never executes that.
        meta.pop('config', None)
    for recognizer in _RECOGNIZERS:
        checkpoint = recognizer(checkpoint, source)
    return checkpoint


def load_from_local(filename: str, map_location: object = None) -> object:
    """Load a checkpoint file; replaces mmengine's loader of this name."""
    return load_file(os.path.expanduser(filename), map_location)


def load_from_web(url: str, map_location: object = None) -> object:
    """Load a checkpoint from the web; the first of several processes downloads it.

    Raises:
        DataError: See :func:`load_url`.
    """
    checkpoint = load_url(url, map_location=map_location) if get_rank() == 0 else None
    barrier()
    return load_url(url, map_location=map_location) if checkpoint is None else checkpoint


def load_url(
    url: str, model_dir: str | None = None, map_location: object = None, progress: bool = True, **unused: object
) -> object:
    """Load a checkpoint from the web or from torch's cache; replaces torch's function of this name.

    A download gets its name in the cache only after it was loaded, so that the cache has no damaged files.

    Args:
        url: Address; its last part is the name of the file in the cache.
        model_dir: Folder of the cache; torch's by default.
        map_location: Same as in :func:`torch.load`.
        progress: Whether to show a bar.
        unused: Further options of torch's function, not used: only weights are loaded.

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


def write_checkpoint(checkpoint: dict, path: str | Path) -> None:
    """Write a checkpoint completely or not at all.

    Raises:
        OSError: It cannot be written, for example on a full disk; an earlier file of this name is kept.
    """
    # Serialized first: torch reports a full disk as another kind of error.
    content = io.BytesIO()
    torch.save(checkpoint, content)
    with whole_file(path) as draft:
        draft.write_bytes(content.getbuffer())


@contextmanager
def clear_errors(source: str) -> Iterator[None]:
    """Turn an error during the loading of a checkpoint into one line that names the file.

    torch's text recommends loading without protection.

    Raises:
        DataError: The file is damaged, or holds more than weights and training state.
    """
    try:
        yield
    except pickle.UnpicklingError as e:
        match = re.search(r'GLOBAL ([\w.]+)|Unsupported (?:global|class)[^A-Za-z]*(?:GLOBAL )?([\w.]+)', str(e))
        what = f'it names {next(filter(None, match.groups()))}' if match else 'it is no checkpoint, or damaged'
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

    torch writes a checksum with each tensor and does not check it when it loads. Files in the format of torch before
    version 1.6 have no checksums, which is logged.

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
            checkpoint = torch_load(path, map_location)
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
    """Compare all entries of an archive with their checksums.

    Returns:
        Whether the archive has checksums: torch has an option to write none.

    Raises:
        DataError: A checksum differs, or torch does not write such archives.
        BadZipFile: It is cut off, or its directory is damaged.
    """
    with ZipFile(path) as archive, _damaged_places():
        entries = archive.infolist()
        if len({entry.filename for entry in entries}) < len(entries):
            raise DataError('it is damaged, two of its entries have one name')
        for entry in entries:
            # torch does not read an entry with MS-DOS's mark of a folder, and returns uninitialized memory.
            if entry.is_dir() or entry.external_attr & 0x10:
                raise DataError(f'it is damaged, its entry {entry.filename} is marked as a folder')
            # torch does not compress. Compressed entries could fill the memory.
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
        DataError: Names the first such array.
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
            # A character may need four bytes in memory and one in the file.
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
    """Weights and metadata of a checkpoint.

    Attributes:
        state: Weights by name, on the CPU, without the ``module.`` prefixes of data-parallel training.
        dataset_meta: Metadata of the training set, as mmengine saves it: ``attributes``, ``classes`` ...; empty if the
            file has only weights.
    """

    state: dict[str, Tensor]
    dataset_meta: dict[str, Any]


class FoundOSNet(NamedTuple):
    """The entries of an OSNet in a checkpoint.

    Attributes:
        state: Weights by name, without prefixes of other programs.
        released: Whether the names are those of the released code; otherwise they are ours.
        notes: Removed and added entries, for the log; may be empty.
    """

    state: dict[str, Tensor]
    released: bool
    notes: list[str]


def find_osnet(checkpoint: object) -> FoundOSNet | None:
    """Find an OSNet in a checkpoint by its entry names, at any depth and behind any prefix.

    The weights may be the checkpoint itself or be under ``state_dict``, ``model``, ``net``, ``ema`` and the like; names
    may begin with ``module.``, ``model.``, ``_orig_mod.`` or, in the released layout, ``backbone.``. Counters of
    batches, which old files lack and nothing uses, become 0.

    Args:
        checkpoint: Content of a checkpoint file.

    Returns:
        The first OSNet; None if there is none.
    """
    for entries, place in _mappings(checkpoint):
        state = {name.replace(COMPILED, ''): value for name, value in entries.items() if isinstance(name, str)}
        mark = next(filter(None, map(MARK.fullmatch, state)), None)
        if mark is None:
            continue
        prefix = mark[1]
        part = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        notes = [f'found under {".".join(place)}'] if place not in ((), ('state_dict',)) else []
        taken_off = prefix + COMPILED * any(COMPILED in name for name in entries if isinstance(name, str))
        notes += [f'{taken_off!r} taken off its names'] if taken_off else []
        others = [str(name) for name in entries if not str(name).replace(COMPILED, '').startswith(prefix)]
        others += [str(name) for name in entries if not isinstance(name, str) and str(name) not in others]
        if others:
            notes.append(f'left out {len(others)} entries beside it, the first {others[0]!r}')
        norms = [name.removesuffix('running_var') for name in part if name.endswith('running_var')]
        new = [f'{norm}num_batches_tracked' for norm in norms if f'{norm}num_batches_tracked' not in part]
        if new:
            notes.append(f'{len(new)} missing num_batches_tracked set to 0')
        return FoundOSNet(part | {name: torch.tensor(0) for name in new}, bool(mark['released']), notes)
    return None


def _mappings(node: object, place: tuple[str, ...] = ()) -> Iterator[tuple[Mapping, tuple[str, ...]]]:
    """Yield the mappings in a checkpoint, each with the keys that lead to it."""
    if not isinstance(node, Mapping):
        return
    yield node, place
    # A wrapper in a wrapper; the state of optimizers is deeper.
    if len(place) < 2:
        # If there is a state_dict, which mmengine and torchreid write, the weights are there.
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
        DataError: The file is damaged, or its weights are not named tensors.
    """
    checkpoint = load_checkpoint(source, map_location='cpu')
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
        DataError: An entry is no named tensor of numbers; names the first one.
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
    """Describe the weights and batch statistics that are NaN or infinite; empty if none is.

    Other buffers may be infinite: masks, and statistics that have not been measured yet.
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
    """Describe a tensor that no network here has; None for a plain one."""
    if value.layout != torch.strided:
        return f'a tensor of layout {value.layout}'
    if value.is_quantized or value.is_complex():
        return f'a tensor of {value.dtype}'
    return 'a tensor without data (device meta)' if value.device.type == 'meta' else None


def read_state_dict(source: str) -> dict[str, Tensor]:
    """Read only the weights; arguments and errors are those of :func:`read_checkpoint`."""
    return read_checkpoint(source).state
