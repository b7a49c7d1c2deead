"""The configs that come with the package: their names, files and entries in ``model-index.yml``. Needs no torch."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
# In front of the name of a config of ours, where mmengine reads a base: _base_ = 'mmosnet::osnet_reid_market.py'.
PREFIX = 'mmosnet::'


@dataclass(frozen=True)
class IndexedModel:
    """An entry of ``model-index.yml``.

    Attributes:
        name: ``osnet-x1.0_reid-market1501``.
        config: The config file.
        data: The data set; two where it was trained on one and tested on another.
        parameters: Weights of the network without its identity classifier.
        metrics: The published result by metric, in percent; empty if there is none.
        weights: What ``released`` stands for; None if nothing was released.
    """

    name: str
    config: Path
    data: str
    parameters: int
    metrics: dict[str, float]
    weights: str | None


def config_folder() -> Path:
    """Return the folder of configs: that of a wheel, or of the clone where its links were lost, as on Windows."""
    folder = PACKAGE / '.mim' / 'configs'
    return folder if folder.is_dir() else PACKAGE.parent / 'configs'


@lru_cache
def config_files() -> dict[str, Path]:
    """Return the config files by their names, ``osnet_reid_market``; bases have no name."""
    folder = config_folder()
    files = [*sorted(folder.glob('*.py')), *sorted(folder.glob('[!_]*/*.py'))]
    return {file.stem: file for file in files}


def config_names() -> list[str]:
    """Return all names that stand for a config of ours: of configs, then of models in ``model-index.yml``."""
    return [*config_files(), *indexed_models()]


@lru_cache
def indexed_models() -> dict[str, IndexedModel]:
    """Return the entries of ``model-index.yml`` by the names of the models."""
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
    """Return the file of a config of ours; None where no config has this name.

    Args:
        name: Of a config, with or without ``.py``, or of a model in ``model-index.yml``. ``mmosnet::`` may stand in
            front, and a folder: ``_base_/models/osnet_reid.py``.
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
    """Return the weights that ``model-index.yml`` names for a config file of ours, if it names any."""
    return next((model.weights for model in indexed_models().values() if model.config == file), None)


def nearest_names(name: str, others: Iterable[str] = ()) -> str:
    """Return the names that are most similar to one that is not there, for an error; ``others`` are known besides."""
    name = name.removeprefix(PREFIX).rpartition('/')[2].removesuffix('.py').lower()
    found = difflib.get_close_matches(name, [*config_names(), *others], n=3, cutoff=0.5)
    return f'nearest: {", ".join(found)}' if found else '"mmosnet configs" lists them'


def docstring(file: Path) -> str:
    """Return the text at the head of a config, without running it; empty if it has none."""
    return ast.get_docstring(ast.parse(file.read_text(encoding='utf-8'))) or ''


def allow_package_bases() -> None:
    """Let mmengine find ``_base_ = 'mmosnet::osnet_reid_market.py'``, and other packages' without ``pkg_resources``.

    mmengine has a fixed list of packages for this, and asks ``pkg_resources`` where they are, which setuptools dropped
    in version 82. What mmengine finds by itself it finds as before.
    """
    # Not from mmengine.config, which may be in the middle of its import.
    from mmengine.config.config import Config

    found_by_mmengine = Config._get_cfg_path
    if found_by_mmengine.__module__ == __name__:
        return

    def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        """Return the path of a base and the scope of its types; None leaves these as they are."""
        package, _, name = cfg_path.partition('::')
        if cfg_path.startswith(PREFIX):
            file = find_config_file(cfg_path)
            if file is None:
                raise FileNotFoundError(f'{filename}: no config {cfg_path}; {nearest_names(cfg_path)}')
            return str(file), None
        try:
            return found_by_mmengine(cfg_path, filename)
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
