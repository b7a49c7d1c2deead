"""How mmosnet fits into OpenMMLab: supported versions, names of its configs, registration of its models.

Needs neither torch nor OpenMMLab to be imported.
"""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmosnet.errors import DataError

PACKAGE = Path(__file__).resolve().parent
# Links to configs/, tools/ and model-index.yml of the repository, files in a wheel: mim looks here in every package.
INDEX_FOLDER = PACKAGE / '.mim'
# Stands before the name of a config of ours where mmengine reads a base: _base_ = 'mmosnet::osnet_reid_market.py'.
PREFIX = 'mmosnet::'
STACKS = (
    "pip install '.[lite]' in a clone of mmosnet, or 'mmosnet-VERSION-py3-none-any.whl[lite]', for OpenMMLab's last "
    "releases (mmengine, mmcv-lite, mmpretrain); '[onedl]' in place of '[lite]' for their maintained forks, in an "
    'environment without the others'
)
# Module: (first supported version, first unsupported version, what to install).
SUPPORTED_VERSIONS = {
    'torch': ('2.6.0', '3.0.0', "pip install 'torch>=2.6' torchvision"),
    'mmengine': ('0.10.7', '1.0.0', STACKS),
    'mmcv': ('2.0.0', '2.4.0', f'{STACKS}. Where other OpenMMLab toolboxes share the environment, the full mmcv'),
    'mmpretrain': ('1.2.0', '1.4.0', STACKS),
}
# Distributions that a module may come from: their version is read without importing the module.
DISTRIBUTIONS = {'mmcv': ('mmcv', 'mmcv-lite', 'onedl-mmcv'), 'mmpretrain': ('mmpretrain', 'onedl-mmpretrain')}


class StackError(ImportError, DataError):
    """A package that mmosnet needs is missing, or has a version that mmosnet does not support."""


def check_versions(*names: str) -> None:
    """Raise an error if a package is missing or outside of :data:`SUPPORTED_VERSIONS`.

    mmengine, mmcv and mmpretrain are no hard requirements of the distribution: OpenMMLab's packages and their forks
    install over the same folders, and so do ``mmcv`` and ``mmcv-lite``. Only the user can choose between them.

    Args:
        names: Packages to check; all by default.

    Raises:
        StackError: Names the package, its version, the supported versions and the command that installs one.
    """
    for name in names or SUPPORTED_VERSIONS:
        first, beyond, remedy = SUPPORTED_VERSIONS[name]
        if find_spec(name) is None:
            raise StackError(f'mmosnet needs {name}>={first},<{beyond}, and it is not installed: {remedy}')
        installed = _version_of(name)
        if not _release(first) <= _release(installed) < _release(beyond):
            raise StackError(f'mmosnet supports {name}>={first},<{beyond} and found {installed}: {remedy}')


def _version_of(name: str) -> str:
    """Return the version of a module, from its distribution where importing the module is slow or asserts versions."""
    # This import takes longer than all of ``import mmosnet``, which imports this module.
    from importlib import metadata

    for distribution in DISTRIBUTIONS.get(name, ()):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return import_module(name).__version__


def _release(version: str) -> tuple[int, ...]:
    """Return the numeric release of a version: ``'2.15.0+cu132'`` gives ``(2, 15, 0)``."""
    return tuple(int(number) for number in re.match(r'\d+(\.\d+){0,2}', version)[0].split('.'))


@contextmanager
def supported_stack(*names: str) -> Iterator[None]:
    """Check versions of the stack, then let the block import it without a warning of mmcv-lite.

    Args:
        names: Packages to check; all by default.

    Raises:
        StackError: See :func:`check_versions`.
    """
    check_versions(*names)
    with warnings.catch_warnings():
        # mmcv-lite warns that it has no compiled operators; none is used here.
        warnings.filterwarnings('ignore', message='Fail to import', category=UserWarning)
        yield


@dataclass(frozen=True)
class IndexedModel:
    """An entry of ``model-index.yml``.

    Attributes:
        name: Name of the model, for example ``osnet-x1.0_reid-market1501``.
        config: Config file.
        data: Data set; two if the model was trained on one and tested on another.
        parameters: Number of parameters of the network without its identity classifier.
        metrics: Published result by metric, in percent; empty if there is none.
        weights: Checkpoint that ``released`` stands for; None if nothing was released.
    """

    name: str
    config: Path
    data: str
    parameters: int
    metrics: dict[str, float]
    weights: str | None


def config_folder() -> Path:
    """Return the folder of configs: in the package, or in a clone whose links were lost, as on Windows."""
    folder = INDEX_FOLDER / 'configs'
    return folder if folder.is_dir() else PACKAGE.parent / 'configs'


@lru_cache
def config_files() -> dict[str, Path]:
    """Return the config files by name, such as ``osnet_reid_market``; bases have no name."""
    folder = config_folder()
    files = [*sorted(folder.glob('*.py')), *sorted(folder.glob('[!_]*/*.py'))]
    return {file.stem: file for file in files}


def config_names() -> list[str]:
    """Return all names of our configs: their own, then those of the models in ``model-index.yml``."""
    return [*config_files(), *indexed_models()]


@lru_cache
def indexed_models() -> dict[str, IndexedModel]:
    """Return the entries of ``model-index.yml`` by name of the model."""
    import yaml

    folder = config_folder()
    index = yaml.safe_load((folder.parent / 'model-index.yml').read_text(encoding='utf-8'))
    models = {}
    for metafile in index['Import']:
        for entry in yaml.safe_load((folder.parent / metafile).read_text(encoding='utf-8'))['Models']:
            result = entry.get('Results', [{}])[0]
            models[entry['Name']] = IndexedModel(
                name=entry['Name'],
                config=folder.parent / entry['Config'],
                data=result.get('Dataset') or entry['Metadata']['Training Data'],
                parameters=entry['Metadata']['Parameters'],
                metrics=result.get('Metrics', {}),
                weights=entry.get('Weights'),
            )
    return models


def find_config_file(name: str) -> Path | None:
    """Return the file of a config of ours; None if no config has this name.

    Args:
        name: Name of a config, with or without ``.py``, or of a model in ``model-index.yml``. It may begin with
            ``mmosnet::`` and with a folder: ``_base_/models/osnet_reid.py``.
    """
    name = name.removeprefix(PREFIX)
    file = config_files().get(name.removesuffix('.py'))
    if file is None and name.lower() in indexed_models():
        file = indexed_models()[name.lower()].config
    if file is None and '/' in name:
        path = config_folder() / f'{name.removesuffix(".py")}.py'
        file = path if path.is_file() and config_folder() in path.parents else None
    return file


def released_weights(file: Path) -> str | None:
    """Return the weights that ``model-index.yml`` names for a config file of ours; None if it names none."""
    return next((model.weights for model in indexed_models().values() if model.config == file), None)


def nearest_names(name: str, others: Iterable[str] = ()) -> str:
    """Return the names that are most similar to an unknown one, for an error message.

    Args:
        name: The unknown name.
        others: Known names besides :func:`config_names`.
    """
    name = name.removeprefix(PREFIX).rpartition('/')[2].removesuffix('.py').lower()
    similar = difflib.get_close_matches(name, {*config_names(), *others}, n=3, cutoff=0.5)
    return f'nearest: {", ".join(similar)}' if similar else '"mmosnet configs" lists them'


def docstring(file: Path) -> str:
    """Return the docstring of a config, without running the config; empty if it has none."""
    return ast.get_docstring(ast.parse(file.read_text(encoding='utf-8'))) or ''


def allow_package_bases() -> None:
    """Let mmengine find ``_base_ = 'mmosnet::osnet_reid_market.py'``, and other packages' without ``pkg_resources``.

    mmengine has a fixed list of packages for this, and finds them by ``pkg_resources``, which setuptools dropped in
    version 82. Bases that mmengine finds by itself are found as before.
    """
    # Not from mmengine.config, which may be in the middle of its import.
    from mmengine.config.config import Config

    mmengine_get_cfg_path = Config._get_cfg_path
    if mmengine_get_cfg_path.__module__ == __name__:
        return

    def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        """Return the path of a base and the scope of its types; None for the scope leaves the types as they are."""
        package, _, name = cfg_path.partition('::')
        if cfg_path.startswith(PREFIX):
            file = find_config_file(cfg_path)
            if file is None:
                raise FileNotFoundError(f'{filename}: no config {cfg_path}; {nearest_names(cfg_path)}')
            return str(file), None
        try:
            return mmengine_get_cfg_path(cfg_path, filename)
        except ModuleNotFoundError as e:
            if e.name != 'pkg_resources':
                raise
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise FileNotFoundError(f'{filename}: no config {cfg_path}: {package} is not installed')
        path = Path(spec.origin).parent / '.mim' / 'configs' / name
        if not path.is_file():
            raise FileNotFoundError(f'{filename}: no config {cfg_path}: {path} is not there')
        return str(path), package

    Config._get_cfg_path = staticmethod(get_cfg_path)


def register_models() -> None:
    """Register the models of ``model-index.yml`` for ``mmpretrain.get_model`` and ``list_models``, once.

    Does nothing in a clone whose links were lost, as on Windows: configs still work by their path.
    """
    from mmpretrain.apis.model import ModelHub

    # The hub refuses a name that it has already; a reload of the package is no error.
    if (INDEX_FOLDER / 'configs').is_dir() and not ModelHub.has('osnet-x1.0_reid-market1501'):
        ModelHub.register_model_index(INDEX_FOLDER / 'model-index.yml', config_prefix=INDEX_FOLDER)


def register_backbone() -> None:
    """Make plain ``type='OSNet'`` known to all toolboxes, in the registry of mmengine that is the parent of theirs.

    The registered function imports the backbone when it is called, and :mod:`mmosnet.models.osnet` then replaces it by
    the class. The class cannot be imported here: mmengine may be in the middle of its own import.
    """
    from mmengine.registry import MODELS

    # A reload of the package is no error; another toolbox's class of this name is one.
    registered = MODELS.module_dict.get('OSNet')
    if registered is None or not registered.__module__.startswith('mmosnet.'):
        MODELS.register_module(name='OSNet', module=_build_backbone)


def _build_backbone(*args: Any, **kwargs: Any) -> object:
    """Import :class:`~mmosnet.models.osnet.OSNet` and build one."""
    import mmosnet

    return mmosnet.OSNet(*args, **kwargs)
