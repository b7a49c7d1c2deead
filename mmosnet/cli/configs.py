"""List the configs that come with the package, or copy one to change.

The list has name, task, size (parameters without the classifier of identities), result in per cent, weights and data
set of each config. "reported" results are those of the paper or its released code; we could not run them, for lack of
the data. "ours" were measured by us. For configs with weights, the word "released" can replace a checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mmosnet.cli import options
from mmosnet.cli.table import table
from mmosnet.compatibility import (
    PREFIX,
    IndexedModel,
    config_files,
    docstring,
    find_config_file,
    indexed_models,
    nearest_names,
)
from mmosnet.errors import DataError
from mmosnet.io.files import whole_file

PAGE = 'getting_started.md'
EXAMPLES = """
  mmosnet configs                                    all of them
  mmosnet configs market x0_25                       configs that all of these words match
  mmosnet configs osnet_reid_market                  details of one config
  mmosnet configs osnet_reid_market --copy           write my_osnet_reid_market.py, which inherits from it
  mmosnet configs osnet_reid_folder --copy ours.py && mmosnet train ours.py --data-root FOLDER
"""
TASKS = dict(reid='re-identification', attr='attributes', cls='categories', multitask='all three')
# Settings that are changed most often. A copy lists them with the values of its original.
CHANGED = (
    'model.head.num_classes',
    'train_dataloader.batch_size',
    'train_dataloader.dataset.data_root',
    'val_dataloader.dataset.data_root',
    'test_dataloader.dataset.data_root',
    'optim_wrapper.optimizer.lr',
    'train_cfg.max_epochs',
    'load_from',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    words = parser.add_argument('words', nargs='*', metavar='WORD', help='only configs that all of these words match')
    options.complete_by_configs(words)
    parser.add_argument(
        '--copy',
        nargs='?',
        const='',
        metavar='FILE',
        help='write a config to change, which inherits from the one named (my_NAME.py in this folder)',
    )


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    named = find_config_file(args.words[0]) if len(args.words) == 1 else None
    if args.copy is not None:
        if len(args.words) != 1:
            raise DataError('--copy needs the name of one config in front of it: mmosnet configs NAME --copy [FILE]')
        if named is None:
            raise DataError(f'no config {args.words[0]}; {nearest_names(args.words[0])}')
        print(copy_config(named, args.copy or f'my_{named.stem}.py'))
        return
    if named is not None:
        print('\n'.join(description(named)))
        return
    matching = [file for file in config_files().values() if _has_words(file, args.words)]
    if not matching:
        raise DataError(f'no config has {" and ".join(args.words)}; {nearest_names(args.words[0])}')
    print('\n'.join(listing(matching)))


def listing(files: list[Path]) -> list[str]:
    """Return the lines of a table of configs."""
    rows = [('config', 'task', 'size', 'result, %', 'by', 'weights', 'data')]
    rows += [_row(file) for file in files]
    return [*table(rows), '', f'{len(files)} configs; "mmosnet configs NAME" describes one']


def description(file: Path) -> list[str]:
    """Return the lines that describe a config, given a path of :func:`mmosnet.compatibility.config_files`."""
    model = _model(file)
    name, task, size, result, by, weights, data = _row(file)
    lines = [f'{name}: {data}', f'task     {task}', f'size     {size}']
    lines += [f'result   {result}, {by}'] if result else []
    lines += [f'model    {model.name}'] if model else []
    lines += [f'weights  {model.weights}'] if weights else []
    return [*lines, f'file     {file}', '', docstring(file)]


def copy_config(file: Path, destination: str) -> str:
    """Write a config that inherits from one of the package, and return a line on how to use it.

    Args:
        file: A path of :func:`mmosnet.compatibility.config_files`.
        destination: The file to write.

    Raises:
        DataError: The file exists already, or its name does not end in ``.py``.
    """
    path = Path(destination)
    if path.suffix != '.py':
        raise DataError(f'--copy {destination}: the name of a config ends in .py')
    if path.exists():
        raise DataError(f'--copy {destination}: this file exists already; name another one')
    if file.parent.name == 'other_toolboxes':
        # Tools of other toolboxes run these configs, and do not find configs of mmosnet by name.
        text = file.read_text(encoding='utf-8')
        note = f'{path}: a copy of {file.stem}, to be run by its toolbox'
    else:
        text = inherited(file, path)
        note = f'{path}: inherits from {file.stem}. Change it, then: mmosnet train {path}'
    with whole_file(path) as draft:
        draft.write_text(text, encoding='utf-8')
    return note


def inherited(file: Path, path: Path) -> str:
    """Return the text of a config that inherits from one of the package, with :data:`CHANGED` in comments."""
    from mmengine.config import Config

    cfg = Config.fromfile(file)
    changed: dict[str, Any] = {}
    for key in CHANGED:
        *parts, last = key.split('.')
        value = _value(cfg, key)
        if value is not None:
            settings = changed
            for part in parts:
                settings = settings.setdefault(part, {})
            settings[last] = value
    return '\n'.join(
        [
            f'"""Inherits from {file.stem}: {docstring(file).partition(chr(10))[0]}',
            '',
            f'    mmosnet train {path}',
            '"""',
            '',
            f"_base_ = '{PREFIX}{file.name}'",
            '',
            '# Anything can be set here. These settings are changed most often; the values are those of the original:',
            *(f'# {key} = {_written(value)}' for key, value in changed.items()),
            '',
        ]
    )


def _written(value: object) -> str:
    """Return a value as configs write it: dict(a=1)."""
    if isinstance(value, dict):
        return f'dict({", ".join(f"{key}={_written(part)}" for key, part in value.items())})'
    return repr(value)


def _value(settings: Any, key: str) -> object:
    """Return the value of a dotted key; None if there is none."""
    for part in key.split('.'):
        settings = settings.get(part) if hasattr(settings, 'get') else None
    return settings


def _model(file: Path) -> IndexedModel | None:
    return next((model for model in indexed_models().values() if model.config == file), None)


def _task(file: Path) -> str:
    return next((text for part, text in TASKS.items() if f'_{part}_' in file.name), '')


def _has_words(file: Path, words: list[str]) -> bool:
    model = _model(file)
    parts = [file.stem, _task(file), docstring(file).partition('\n')[0]]
    text = ' '.join([*parts, model.name, model.data] if model else parts)
    return all(word.lower() in text.lower() for word in words)


def _row(file: Path) -> tuple[str, str, str, str, str, str, str]:
    model = _model(file)
    if model is None:
        return (file.stem, 'another toolbox', '', '', '', '', docstring(file).partition('\n')[0])
    result = ', '.join(f'{name} {value}' for name, value in model.metrics.items())
    by = '' if not result else 'reported' if 'as reported' in ' '.join(docstring(file).split()) else 'ours'
    weights = '' if model.weights is None else 'embedded' if model.weights.startswith('mmosnet://') else 'released'
    return (file.stem, _task(file), f'{model.parameters / 1e6:.2f} M', result, by, weights, model.data)
