"""List the configs that come with the package, or copy one to change.

Lists name, task, size (parameters without the classifier of identities), data set and published result of each, in
percent. "reported": by the paper or its released code; not run by us, for lack of the data. "ours": measured by us.
"weights": "released" stands for them in place of a checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path

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
  mmosnet configs market x0_25                       those that all of these words are in
  mmosnet configs osnet_reid_market                  all about one
  mmosnet configs osnet_reid_market --copy           write my_osnet_reid_market.py, which inherits from it
  mmosnet configs osnet_reid_folder --copy ours.py && mmosnet train ours.py --data-root FOLDER
"""
TASKS = dict(reid='re-identification', attr='attributes', cls='categories', multitask='all three')
# Settings that are changed most: a copy has them with the values of its original.
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
    words = parser.add_argument('words', nargs='*', metavar='WORD', help='only configs that all of these words are in')
    words.completer = options.complete_config
    parser.add_argument(
        '--copy',
        nargs='?',
        const='',
        metavar='FILE',
        help='write a config that inherits from the one named, to change it (my_NAME.py in this folder)',
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
    found = [file for file in config_files().values() if _has_words(file, args.words)]
    if not found:
        raise DataError(f'no config has {" and ".join(args.words)}; {nearest_names(args.words[0])}')
    print('\n'.join(listing(found)))


def listing(files: list[Path]) -> list[str]:
    """Return the lines of a table of configs."""
    rows = [('config', 'task', 'size', 'result, %', 'by', 'weights', 'data')]
    rows += [_row(file) for file in files]
    return [*table(rows), '', f'{len(files)} configs; "mmosnet configs NAME" tells all about one']


def description(file: Path) -> list[str]:
    """Return the lines that tell all about a config: a path of :func:`mmosnet.compatibility.config_files`."""
    model = _model(file)
    name, task, size, result, by, weights, data = _row(file)
    lines = [f'{name}: {data}', f'task     {task}', f'size     {size}']
    lines += [f'result   {result}, {by}'] if result else []
    lines += [f'model    {model.name}'] if model else []
    lines += [f'weights  {model.weights}'] if weights else []
    return [*lines, f'file     {file}', '', docstring(file)]


def copy_config(file: Path, destination: str) -> str:
    """Write a config that inherits from one of ours, and return what to do with it.

    Args:
        file: A path of :func:`mmosnet.compatibility.config_files`.
        destination: The file to write.

    Raises:
        DataError: It is there already, or is no ``.py``.
    """
    path = Path(destination)
    if path.suffix != '.py':
        raise DataError(f'--copy {destination}: the name of a config ends in .py')
    if path.exists():
        raise DataError(f'--copy {destination}: this file is there already; name another one')
    if file.parent.name == 'other_toolboxes':
        # For tools of other toolboxes, which do not know our names.
        text = file.read_text(encoding='utf-8')
        note = f'{path}: a copy of {file.stem}, to be run by its toolbox'
    else:
        text = inherited(file, path)
        note = f'{path}: inherits from {file.stem}. Change it, then: mmosnet train {path}'
    with whole_file(path) as draft:
        draft.write_text(text, encoding='utf-8')
    return note


def inherited(file: Path, path: Path) -> str:
    """Return the text of a config that inherits from one of ours, with what may be changed in comments."""
    from mmengine.config import Config

    cfg, changed = Config.fromfile(file), {}
    for key in CHANGED:
        *parts, last = key.split('.')
        value = _value(cfg, key)
        if value is not None:
            place = changed
            for part in parts:
                place = place.setdefault(part, {})
            place[last] = value
    return '\n'.join(
        [
            f'"""Inherits from {file.stem}: {docstring(file).partition(chr(10))[0]}',
            '',
            f'    mmosnet train {path}',
            '"""',
            '',
            f"_base_ = '{PREFIX}{file.name}'",
            '',
            '# Anything can be set here. What is changed most, with the values as they are:',
            *(f'# {key} = {_written(value)}' for key, value in changed.items()),
            '',
        ]
    )


def _written(value: object) -> str:
    """Return a value as configs have it: dict(a=1)."""
    if isinstance(value, dict):
        return f'dict({", ".join(f"{key}={_written(part)}" for key, part in value.items())})'
    return repr(value)


def _value(settings: dict, key: str) -> object:
    """Return the value of a dotted key; None where it is not there."""
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


def _row(file: Path) -> tuple[str, ...]:
    model = _model(file)
    if model is None:
        return (file.stem, 'another toolbox', '', '', '', '', docstring(file).partition('\n')[0])
    result = ', '.join(f'{name} {value}' for name, value in model.metrics.items())
    by = '' if not result else 'reported' if 'as reported' in ' '.join(docstring(file).split()) else 'ours'
    weights = '' if model.weights is None else 'embedded' if model.weights.startswith('mmosnet://') else 'released'
    return (file.stem, _task(file), f'{model.parameters / 1e6:.2f} M', result, by, weights, model.data)
