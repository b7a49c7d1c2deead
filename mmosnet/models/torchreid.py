"""The authors' released weights (torchreid): names, layouts, downloads, conversion in both directions.

State dicts of the released OSNet, OSNet-IBN and OSNet-AIN are renamed to ours and back. The released code names them in
two ways: OSNet and OSNet-IBN call their streams ``conv2a`` to ``conv2d`` and have the transition inside of the stage;
OSNet-AIN numbers its streams and has ``pool2`` and ``pool3``. Widths and numbers of classes follow from the tensors.

The module registers the checkpoint scheme ``torchreid://NAME``, for ``load_from`` and for
``init_cfg=dict(type='Pretrained', checkpoint=...)``. NAME is a key of :data:`RELEASED_FILES`, the stem of a file in one
of :func:`weights_folders`, or a path. Files are downloaded when the scheme is used. A released file that is loaded
without the scheme is recognized by the names of its entries (:func:`recognize`).
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from mmosnet.errors import DataError
from mmosnet.io.files import draft_folder, whole_file
from mmosnet.models.checkpoints import (
    AIN_KEY,
    PLAIN_KEY,
    find_osnet,
    load_file,
    loads_scheme,
    read_state_dict,
    recognizes,
    write_checkpoint,
)
from mmosnet.models.osnet import OSNet
from mmosnet.models.weights import misfits
from mmosnet.version import __version__

BATCH_NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
AFFINE = ('weight', 'bias')
NUM_STREAMS = 4
# Tells OSNet-IBN from OSNet.
IBN_KEY = 'conv2.0.IN.weight'
SCHEME = 'torchreid://'
FOLDER_VARIABLE = 'MMOSNET_WEIGHTS'
DEFAULT_FOLDER = 'checkpoints'
MODEL_ZOO = 'https://kaiyangzhou.github.io/deep-person-reid/MODEL_ZOO'
# The authors' collection on the Hugging Face Hub, at one commit.
REPOSITORY = 'kaiyangzhou/osnet'
REVISION = 'a5c5cc037c24235cda3b21085b93ad77c9616224'
SUFFIXES = ('.pth', '.pth.tar', '.pyth', '.pt')
CHUNK_BYTES = 1 << 20
# Suffix of the file with the SHA-256 beside a downloaded file.
DIGEST_SUFFIX = '.sha256'
# SHA-256 of released files that several independent users have published. The others are checked against what the
# hub states for REVISION.
KNOWN_SHA256 = {
    'osnet_x0_25_msmt17_combineall': 'cf55163d78fc44c62c82f85ab62d39f10438679b5abe8c698ae08cfa84aa6e18',
    'osnet_ain_x1_0_msmt17': '8a07e8da38946f7cee37f4561617bf8b6d2fe8f3a4027852893ea092e46d919f',
}


def _released_files() -> dict[str, str]:
    """Return the released files by short name: network and training data."""
    files = {f'osnet_{width}_imagenet': f'osnet_{width}_imagenet.pth' for width in ('x1_0', 'x0_75', 'x0_5', 'x0_25')}
    files |= {f'osnet_{variant}_x1_0_imagenet': f'osnet_{variant}_x1_0_imagenet.pth' for variant in ('ibn', 'ain')}
    files |= {f'osnet_ain_{width}_imagenet': f'osnet_ain_{width}_imagenet.pyth' for width in ('x0_75', 'x0_5', 'x0_25')}
    large = 'amsgrad_ep150_stp60_lr0.0015_b64_fb10_softmax_labelsmooth_flip'
    small = 'amsgrad_ep180_stp80_lr0.003_b128_fb10_softmax_labelsmooth_flip'
    for width, recipe in (('x1_0', large), ('x0_75', large), ('x0_5', small), ('x0_25', small)):
        for name, written in (('market1501', 'market'), ('dukemtmcreid', 'duke'), ('msmt17', 'msmt17')):
            files[f'osnet_{width}_{name}'] = f'osnet_{width}_{written}_256x128_{recipe}.pth'
        files[f'osnet_{width}_msmt17_combineall'] = f'osnet_{width}_msmt17_combineall_256x128_{large}_jitter.pth'
    for name, written in (('market1501', 'market1501'), ('dukemtmcreid', 'duke')):
        files[f'osnet_ibn_x1_0_{name}'] = f'osnet_ibn_x1_0_{written}_256x128_{large}_jitter.pth'
    files['osnet_ibn_x1_0_msmt17_combineall'] = f'osnet_ibn_x1_0_msmt17_combineall_256x128_{large}_jitter.pth'
    for name, epochs in (('market1501', 100), ('dukemtmcreid', 90), ('msmt17', 50)):
        files[f'osnet_ain_x1_0_{name}'] = (
            f'osnet_ain_x1_0_{name}_256x128_amsgrad_ep{epochs}_lr0.0015_coslr_b64_fb10_softmax_labsmth_flip_jitter.pth'
        )
    # Trained on three data sets at once: Duke, Market, CUHK03, MSMT17.
    for variant in ('osnet', 'osnet_ibn', 'osnet_ain'):
        for sources in ('d_m_c', 'ms_d_c', 'ms_d_m', 'ms_m_c'):
            files[f'{variant}_{sources}'] = f'{variant}_{sources}.pth.tar'
    return files


RELEASED_FILES = _released_files()
# Names of the networks that torchreid can build.
TORCHREID_NETWORKS = [
    f'{arch}_{width}' for arch in ('osnet', 'osnet_ain') for width in ('x1_0', 'x0_75', 'x0_5', 'x0_25')
] + ['osnet_ibn_x1_0']


@dataclass(frozen=True)
class ReleasedModel:
    """Network in a released state dict.

    Attributes:
        arch: ``'osnet'``, ``'osnet_ibn'`` or ``'osnet_ain'``.
        widen_factor: Width multiplier.
        embedding_size: Outputs of the embedding layer; None if there is none.
        num_classes: Outputs of the classifier; None if there is none.
    """

    arch: str
    widen_factor: float
    embedding_size: int | None
    num_classes: int | None

    def __str__(self) -> str:
        name = {'osnet': 'OSNet', 'osnet_ibn': 'OSNet-IBN', 'osnet_ain': 'OSNet-AIN'}[self.arch]
        return f'{name} x{self.widen_factor}'


def _entries(released: str, ours: str, kinds: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for kind in kinds:
        yield f'{released}.{kind}', f'{ours}.{kind}'


def _conv_norm(released: str, ours: str, instance_norm: bool = False) -> Iterator[tuple[str, str]]:
    yield f'{released}.conv.weight', f'{ours}.conv.weight'
    if instance_norm:
        yield from _entries(f'{released}.bn', f'{ours}.in', AFFINE)
    else:
        yield from _entries(f'{released}.bn', f'{ours}.bn', BATCH_NORM)


def _block(arch: str, released: str, ours: str, norm: str | None, shortcut: bool) -> Iterator[tuple[str, str]]:
    yield from _conv_norm(f'{released}.conv1', f'{ours}.reduce')
    for stream in range(NUM_STREAMS):
        for depth in range(stream + 1):
            if arch == 'osnet_ain':
                lite = f'{released}.conv2.{stream}.layers.{depth}'
            else:
                # The first stream is one layer, without an index.
                lite = f'{released}.conv2{"abcd"[stream]}' + (f'.{depth}' if stream else '')
            yield from _entries(f'{lite}.conv1', f'{ours}.streams.{stream}.{depth}.pointwise', AFFINE[:1])
            yield from _entries(f'{lite}.conv2', f'{ours}.streams.{stream}.{depth}.depthwise.conv', AFFINE[:1])
            yield from _entries(f'{lite}.bn', f'{ours}.streams.{stream}.{depth}.depthwise.bn', BATCH_NORM)
    yield from _entries(f'{released}.gate.fc1', f'{ours}.gate.squeeze', AFFINE)
    yield from _entries(f'{released}.gate.fc2', f'{ours}.gate.excite', AFFINE)
    if norm == 'branch':
        yield from _entries(f'{released}.conv3.conv', f'{ours}.expand.conv', AFFINE[:1])
    else:
        yield from _conv_norm(f'{released}.conv3', f'{ours}.expand')
    if shortcut:
        yield from _conv_norm(f'{released}.downsample', f'{ours}.shortcut')
    if norm == 'branch':
        yield from _entries(f'{released}.IN', f'{ours}.expand.in', AFFINE)
    elif norm == 'sum':
        yield from _entries(f'{released}.IN', f'{ours}.sum_norm', AFFINE)


def _layout(arch: str) -> Iterator[tuple[str, str]]:
    settings = OSNet.arch_settings[arch]
    norms = settings.get('instance_norms', ((None, None),) * 3)
    yield from _conv_norm('conv1', 'backbone.stem.0', settings.get('stem_instance_norm', False))
    for stage, blocks in enumerate(norms):
        for block, norm in enumerate(blocks):
            yield from _block(
                arch, f'conv{stage + 2}.{block}', f'backbone.stages.{stage}.{block}', norm, shortcut=block == 0
            )
        if stage < len(norms) - 1:
            released = f'pool{stage + 2}.0' if arch == 'osnet_ain' else f'conv{stage + 2}.{len(blocks)}.0'
            yield from _conv_norm(released, f'backbone.transitions.{stage}')
    yield from _conv_norm('conv5', 'backbone.final_conv')
    yield from _entries('fc.0', 'neck.fc', AFFINE)
    yield from _entries('fc.1', 'neck.norm', BATCH_NORM)
    yield from _entries('classifier', 'head.classifier', AFFINE)


def released_layout(arch: str) -> OrderedDict[str, str]:
    """Return our entry names of a released model by released name, in the released order.

    Args:
        arch: ``'osnet'``, ``'osnet_ibn'`` or ``'osnet_ain'``.
    """
    return OrderedDict(_layout(arch))


def _width(channels: int, full: int) -> float:
    """Return the shortest decimal width that results in this number of channels."""
    for digits in range(1, 5):
        width = math.ceil(channels / full * 10**digits) / 10**digits
        if int(width * full) == channels:
            return width
    return channels / full


def describe_released(state_dict: Mapping[str, Tensor]) -> ReleasedModel:
    """Return the network of a released state dict, whose names have no ``module.`` prefixes.

    Raises:
        DataError: It is none of the three networks.
    """
    if AIN_KEY in state_dict:
        arch = 'osnet_ain'
    elif PLAIN_KEY in state_dict:
        arch = 'osnet_ibn' if IBN_KEY in state_dict else 'osnet'
    else:
        first = next(iter(state_dict), 'nothing')
        raise DataError(f'this is no released OSNet, OSNet-IBN or OSNet-AIN: it starts with {first!r}')
    if 'conv5.conv.weight' not in state_dict:
        raise DataError('conv5.conv.weight is missing: the file is incomplete')
    embedding, classifier = state_dict.get('fc.0.weight'), state_dict.get('classifier.weight')
    return ReleasedModel(
        arch=arch,
        widen_factor=_width(len(state_dict['conv5.conv.weight']), OSNet.arch_settings[arch]['channels'][-1]),
        embedding_size=None if embedding is None else len(embedding),
        num_classes=None if classifier is None else len(classifier),
    )


def _expected(model: ReleasedModel, renamed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of the whole model that the entries belong to, without allocating memory."""
    channels = [len(renamed['backbone.stem.0.conv.weight'])]
    channels += [len(renamed[f'backbone.stages.{stage}.0.expand.conv.weight']) for stage in range(3)]
    embedding, size = model.embedding_size, model.embedding_size or channels[-1]
    # Only for shapes: the meta device allocates nothing.
    with torch.device('meta'):
        parts = {'backbone': OSNet(arch=dict(OSNet.arch_settings[model.arch], channels=channels))}
        if embedding is not None:
            parts |= {'neck.fc': nn.Linear(channels[-1], embedding), 'neck.norm': nn.BatchNorm1d(embedding)}
        if model.num_classes is not None:
            parts['head.classifier'] = nn.Linear(size, model.num_classes)
    return {f'{part}.{name}': value for part, module in parts.items() for name, value in module.state_dict().items()}


def from_torchreid(
    state_dict: Mapping[str, Tensor], keep_classifier: bool = False
) -> tuple[OrderedDict[str, Tensor], ReleasedModel]:
    """Rename a released state dict to the keys of an mmosnet re-identification model.

    Args:
        state_dict: State dict as released, or a checkpoint in which :func:`~mmosnet.models.checkpoints.find_osnet`
            finds it.
        keep_classifier: Whether to keep the classifier, whose identities or categories are those of the released
            training.

    Returns:
        The same tensors under our names, and the network.

    Raises:
        DataError: An entry is unknown, missing or of the wrong shape; it is named.
    """
    network = find_osnet(state_dict)
    state_dict = network.state if network else state_dict
    model = describe_released(state_dict)
    layout = released_layout(model.arch)
    unknown = [key for key in state_dict if key not in layout]
    if unknown:
        raise DataError(f'{model}: {len(unknown)} unknown entries, the first {unknown[0]!r}')
    # The embedding layer and the classifier may be missing as a whole.
    needed = {
        key
        for key in layout
        if not (key.startswith('fc.') and model.embedding_size is None)
        and not (key.startswith('classifier.') and model.num_classes is None)
    }
    missing = [key for key in layout if key in needed and key not in state_dict]
    if missing:
        raise DataError(f'{model}: {len(missing)} entries are missing, the first {missing[0]!r}')
    renamed = OrderedDict((layout[key], state_dict[key]) for key in layout if key in state_dict)
    lines = misfits(_expected(model, renamed), renamed)
    if lines:
        raise DataError(f'{model}: {len(lines)} entries of the wrong shape, the first {lines[0]}')
    if not keep_classifier:
        renamed = OrderedDict((name, value) for name, value in renamed.items() if not name.startswith('head.'))
    return renamed, model


def to_torchreid(state_dict: Mapping[str, Tensor]) -> tuple[OrderedDict[str, Tensor], ReleasedModel]:
    """Rename a state dict to the released names; the exact inverse of :func:`from_torchreid`.

    Args:
        state_dict: Weights of a model with default stem, streams and fusion; embedding and classifier may be missing.

    Returns:
        The same tensors under their released names in the released order, and the network.

    Raises:
        DataError: The released networks have no such entry; it is named.
    """
    if 'head.bnneck.weight' in state_dict:
        raise DataError('the model has a BNNeck, which the released networks lack: its embeddings cannot be kept')
    arch = 'osnet'
    if 'backbone.stages.0.0.sum_norm.weight' in state_dict:
        arch = 'osnet_ibn'
    elif 'backbone.stages.0.0.expand.in.weight' in state_dict:
        arch = 'osnet_ain'
    layout = released_layout(arch)
    unknown = sorted(set(state_dict) - set(layout.values()))
    if unknown:
        raise DataError(f'{len(unknown)} entries have no place in a released {arch}, the first {unknown[0]!r}')
    released = OrderedDict((key, state_dict[name]) for key, name in layout.items() if name in state_dict)
    # Renaming back checks that no entry is missing.
    return released, from_torchreid(released)[1]


def cache_folder() -> Path:
    """Return the download folder, which is torchreid's own, so that both share the files."""
    home = os.environ.get('TORCH_HOME') or os.path.join(os.environ.get('XDG_CACHE_HOME', '~/.cache'), 'torch')
    return Path(home).expanduser() / 'checkpoints'


def weights_folders() -> list[Path]:
    """Return the folders to search in: that of the environment variable (or ``checkpoints/``), then the cache.

    Raises:
        FileNotFoundError: The environment variable names no folder.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if named and not Path(named).expanduser().is_dir():
        raise FileNotFoundError(f'{FOLDER_VARIABLE}={named} is no folder')
    return [Path(named or DEFAULT_FOLDER).expanduser(), cache_folder()]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _check_download(path: Path, size: int | None, sha256: str | None) -> None:
    """Compare a download with its stated size in bytes and SHA-256."""
    if path.stat().st_size != size:
        raise DataError(f'the download of {path.name} has {path.stat().st_size} bytes instead of {size}; try again')
    digest = _sha256(path)
    if digest != sha256:
        raise DataError(
            f'the download of {path.name} has SHA-256 {digest} instead of {sha256}: damaged on its way, or another '
            'file; it was deleted'
        )


def download_released(name: str, folder: Path, endpoint: str | None = None) -> Path:
    """Download a released file and check size and SHA-256 before it appears in its folder.

    Args:
        name: Key of :data:`RELEASED_FILES`.
        folder: Folder of the file.
        endpoint: Address of a mirror of the Hugging Face Hub; ``HF_ENDPOINT`` and then the Hub itself by default.

    Raises:
        FileNotFoundError: The extra ``weights`` is not installed, or the file cannot be reached.
        DataError: The file that arrived is not the released one.
    """
    filename = RELEASED_FILES[name]
    by_hand = (
        f'By hand: get it from {MODEL_ZOO} or https://huggingface.co/{REPOSITORY}, and save it as '
        f'{weights_folders()[0] / filename} (the environment variable {FOLDER_VARIABLE} names another folder). '
        'Training works without it too: configs/osnet_reid_market_scratch.py.'
    )
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as e:
        raise FileNotFoundError(
            f'{SCHEME}{name}: no file {filename} here. To download it: pip install huggingface_hub. {by_hand}'
        ) from e
    MMLogger.get_current_instance().info(f'Downloading {filename} to {folder}')
    try:
        # A folder of its own: processes of a distributed run may download at the same time.
        with draft_folder(folder / filename) as part:
            path = Path(hf_hub_download(REPOSITORY, filename, revision=REVISION, local_dir=part, endpoint=endpoint))
            address = hf_hub_url(REPOSITORY, filename, revision=REVISION, endpoint=endpoint)
            stated = get_hf_file_metadata(address, endpoint=endpoint)
            sha256 = KNOWN_SHA256.get(name, stated.etag)
            _check_download(path, stated.size, sha256)
            # In the format of sha256sum. Written before the weights, which are not compared without it.
            with whole_file(folder / (filename + DIGEST_SUFFIX)) as draft:
                draft.write_text(f'{sha256}  {filename}\n')
            os.replace(path, folder / filename)
    except DataError:
        raise
    # Bases of the client's own error: OSError, and that of whichever web library this version is built on.
    except (OSError, *HfHubHTTPError.__bases__) as e:
        reason = (str(e).strip() or type(e).__name__).splitlines()[0].rstrip('. ')
        raise FileNotFoundError(f'{SCHEME}{name}: cannot download {filename}: {reason}. {by_hand}') from e
    return folder / filename


def find_released(name: str) -> Path:
    """Return the file of a released model; download it if it is not found.

    Args:
        name: A path, key of :data:`RELEASED_FILES`, or name of a file in one of :func:`weights_folders`, with or
            without its suffix.

    Raises:
        FileNotFoundError: No such file, or it cannot be downloaded; explains how to get it by hand.
        DataError: The download is damaged.
    """
    if not name:
        raise FileNotFoundError(f'{SCHEME} needs a name, for example {SCHEME}osnet_x1_0_imagenet')
    path = Path(os.path.expanduser(name))
    if path.is_file():
        return path
    if path.name != name:
        raise FileNotFoundError(f'no file {name}')
    candidates = [RELEASED_FILES[name]] if name in RELEASED_FILES else []
    candidates += [name, *(name + suffix for suffix in SUFFIXES)]
    for folder in weights_folders():
        for candidate in candidates:
            if (folder / candidate).is_file():
                return folder / candidate
    if name in RELEASED_FILES:
        return download_released(name, cache_folder())
    close = get_close_matches(name, RELEASED_FILES, n=3)
    hint = f'did you mean {" or ".join(close)}?' if close else f'released are {", ".join(sorted(RELEASED_FILES))}'
    raise FileNotFoundError(
        f'{SCHEME}{name}: no file {name} here or in {" or ".join(map(str, weights_folders()))}, and no released file '
        f'of this name: {hint}'
    )


def _check_digest(name: str, path: Path) -> None:
    """Compare a released file with its known SHA-256, or with the one stored beside a download.

    Most released files have torch's legacy format, without checksums.

    Raises:
        DataError: They differ.
    """
    note = path.with_name(path.name + DIGEST_SUFFIX)
    expected = KNOWN_SHA256.get(name)
    if expected is None and note.is_file():
        expected = note.read_text(errors='replace').partition(' ')[0].strip()
    if expected is not None and _sha256(path) != expected:
        raise DataError(
            f'{path} is not the released {name}: its SHA-256 is {_sha256(path)} instead of {expected}. It is damaged, '
            f'or another file: delete it, and it is downloaded again; or load it by its path, {SCHEME}{path}'
        )


def _network_of(name: str) -> tuple[str, float] | None:
    """Return network and width of a short name."""
    if name not in RELEASED_FILES:
        return None
    match = re.match(r'(osnet_ibn|osnet_ain|osnet)_(?:x(\d)_(\d+)_)?', name)
    return match[1], float(f'{match[2]}.{match[3]}') if match[2] else 1.0


def _renamed(
    checkpoint: Any, source: str, keep_classifier: bool = False
) -> tuple[OrderedDict[str, Tensor], ReleasedModel]:
    """Return the released network in a checkpoint under our names; log the network and removed entries."""
    network = find_osnet(checkpoint)
    if network is None and not isinstance(checkpoint, Mapping):
        raise DataError(f'{source} holds no weights: it is a {type(checkpoint).__name__}, not a state dict')
    try:
        state_dict, model = from_torchreid(network.state if network else checkpoint, keep_classifier)
    except DataError as e:
        raise DataError(f'{source}: {e}') from e
    notes = network.notes
    if model.num_classes is not None and not keep_classifier:
        notes = [*notes, f'left out its classifier of {model.num_classes} classes']
    details = '; '.join([f'{len(state_dict)} entries', *notes])
    MMLogger.get_current_instance().info(f'{source}: {model} of the released code, {details}')
    return state_dict, model


def read_released(name: str, keep_classifier: bool = False) -> tuple[OrderedDict[str, Tensor], ReleasedModel]:
    """Read a released file (weights only) under our names.

    Args:
        name: Same as in :func:`find_released`.
        keep_classifier: Same as in :func:`from_torchreid`.

    Raises:
        DataError: The file is none of the released networks, incomplete, or another network than its name says; names
            file and entry.
    """
    path = find_released(name)
    if name in RELEASED_FILES:
        _check_digest(name, path)
    # Not by load_checkpoint, which renames released networks already.
    checkpoint = load_file(path, map_location='cpu')
    state_dict, model = _renamed(checkpoint, str(path), keep_classifier)
    expected = _network_of(name)
    if expected is not None and expected != (model.arch, model.widen_factor):
        raise DataError(f'{path} should be {name}, and holds {model}')
    return state_dict, model


@loads_scheme(SCHEME)
def load_from_torchreid(filename: str, map_location: str | torch.device | None = None) -> dict:
    """Load a released checkpoint under our names; the loader behind ``torchreid://NAME``.

    Args:
        filename: ``torchreid://`` and a name (see :func:`find_released`), for example
            ``torchreid://osnet_x1_0_imagenet``.
        map_location: Same as in :func:`torch.load`; a released file is small and always read to the CPU first.

    Returns:
        ``dict(state_dict=...)``, as mmengine's loaders return it, without the classifier.
    """
    return dict(state_dict=read_released(filename.removeprefix(SCHEME))[0])


@recognizes
def recognize(checkpoint: Any, source: str) -> object:
    """Convert a checkpoint with an OSNet to the form that mmengine loads; every loaded file passes here.

    Args:
        checkpoint: Content of a checkpoint file.
        source: Name of the file for errors and the log.

    Returns:
        The checkpoint itself, if it holds no OSNet or one that mmengine can load. For a released network, the result of
        :func:`load_from_torchreid`. For one of ours among other entries, the checkpoint with a ``state_dict``.

    Raises:
        DataError: A released network is incomplete; names file and entry.
    """
    network = find_osnet(checkpoint)
    if network is None or not (network.released or network.notes):
        return checkpoint
    if network.released:
        meta = checkpoint.get('meta')
        return dict(meta=meta if isinstance(meta, dict) else {}, state_dict=_renamed(checkpoint, source)[0])
    MMLogger.get_current_instance().info(f'{source}: OSNet; {"; ".join(network.notes)}')
    # Weights at the top are in the state dict now.
    whole = {name: value for name, value in checkpoint.items() if not isinstance(value, Tensor)}
    return dict(whole, state_dict=network.state)


def _contiguous(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Make weights contiguous: channels-last ones would slow down networks in another format."""
    return {name: tensor.contiguous() for name, tensor in state_dict.items()}


def _check_destination(path: str, force: bool) -> None:
    if Path(path).is_dir():
        raise FileExistsError(f'{path} is a folder; DST is the file to write')
    if Path(path).exists() and not force:
        raise FileExistsError(f'{path} exists; --force overwrites it')


def convert_from_torchreid(source: str, destination: str, keep_classifier: bool, force: bool) -> list[str]:
    """Write a released file as a checkpoint for ``mmosnet test``, ``load_from`` and ``Pretrained``.

    Args:
        source: Released file, or its short name (:func:`find_released`).
        destination: File to write.
        keep_classifier: Whether to keep the classifier.
        force: Whether to overwrite an existing file.

    Returns:
        A report, line by line.

    Raises:
        DataError: The source is none of the released networks, or incomplete.
        FileNotFoundError: No source.
        FileExistsError: The destination exists.
    """
    _check_destination(destination, force)
    source = source.removeprefix(SCHEME)
    state_dict, model = read_released(source, keep_classifier)
    path = find_released(source)
    meta = dict(
        mmosnet_version=__version__,
        source=path.name,
        arch=model.arch,
        widen_factor=model.widen_factor,
        num_classes=model.num_classes,
    )
    write_checkpoint(dict(meta=meta, state_dict=state_dict), destination)
    dtypes = sorted({str(t.dtype).removeprefix('torch.') for t in state_dict.values() if t.is_floating_point()})
    if model.num_classes is None:
        classifier = 'none in the file'
    else:
        classifier = f'{model.num_classes} classes, {"kept" if keep_classifier else "left out (--keep-classifier)"}'
    return [
        f"network     {model}: backbone=dict(type='OSNet', arch='{model.arch}', widen_factor={model.widen_factor})",
        f'used        {len(state_dict)} entries, {", ".join(dtypes)}',
        f'embedding   {model.embedding_size or "none"}',
        f'classifier  {classifier}',
        f'written     {destination}',
    ]


def convert_to_torchreid(source: str, destination: str, force: bool) -> list[str]:
    """Write an mmosnet re-identification checkpoint under the released names, for torchreid, boxmot and others.

    Raises:
        DataError: The released networks have no such entry.
        FileNotFoundError: No source.
        FileExistsError: The destination exists.
    """
    _check_destination(destination, force)
    released, model = to_torchreid(_contiguous(read_state_dict(source)))
    write_checkpoint(released, destination)
    name = f'{model.arch}_x{str(model.widen_factor).replace(".", "_")}'
    if name in TORCHREID_NETWORKS and model.embedding_size == 512:
        build = f"torchreid.models.build_model('{name}', num_classes={model.num_classes or 1})"
    else:
        build = 'torchreid has no ready-made network of this kind; its OSNet class takes the same channels'
    return [
        f'network     {model}: {build}',
        f'used        {len(released)} entries',
        f'written     {destination}',
    ]
