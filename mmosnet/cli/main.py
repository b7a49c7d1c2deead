# PYTHON_ARGCOMPLETE_OK
"""The program ``mmosnet``: find the command that is asked for, and run it.

A command is a module of this package. Its docstring is the text of ``--help``, and the first line is the summary that
``mmosnet --help`` lists. ``add_arguments(parser)`` adds its options, which ``--help`` prints before ``EXAMPLES`` and
``PAGE``. ``run(args)`` does the work and may return an exit code. It may set ``args.interruption.advice`` to a function
that says what an interrupted run has kept and how to continue (:class:`mmosnet.errors.Interruption`).

Nothing here imports torch, mmengine or numpy: a command imports what it needs when it runs.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from mmosnet.compatibility import SUPPORTED_VERSIONS, check_versions
from mmosnet.errors import user_errors
from mmosnet.version import __version__

#: Commands by group, in the order in which ``mmosnet --help`` lists them.
COMMANDS = {
    'Start': ('demo', 'configs', 'check-data', 'draw'),
    'Train and evaluate': ('train', 'test', 'train-splits', 'ablation'),
    'Use': ('infer', 'export', 'convert'),
    'Cameras and galleries': ('extract', 'gallery', 'search', 'calibrate', 'identify'),
    'Look inside': ('visualize', 'complexity'),
    'Maintain': ('doctor',),
}
NAMES = tuple(name for names in COMMANDS.values() for name in names)
USAGE = 'mmosnet COMMAND ...'
FIRST = """\
See it work, without data:
  mmosnet train osnet_reid_synthetic    draw people, train on them and report: some minutes on a CPU
  mmosnet demo                          search for people on a page in your browser"""
LAST = """\
mmosnet COMMAND --help explains a command and gives examples; mmosnet --version lists the installed versions.
Shell completion (bash, zsh): eval "$(register-python-argcomplete mmosnet)"; see docs/getting_started.md."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit code.

    Args:
        argv: The words after ``mmosnet``; by default those of this process.

    Returns:
        0 after success, 1 after a mistake of the user or a fault of the system, 2 if the arguments make no sense, 130
        after Ctrl-C, and 143 after SIGTERM.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if '_ARGCOMPLETE' in os.environ:
        complete()
    # A program that was started without a standard output or error, as `>&-` does, has None here.
    sys.stdout = sys.stdout or open(os.devnull, 'w')  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, 'w')  # noqa: SIM115
    if sys.stdout.errors == 'strict' and hasattr(sys.stdout, 'reconfigure'):
        # Escape file names that are not Unicode text: printing them would raise an error otherwise.
        sys.stdout.reconfigure(errors='backslashreplace')
    # mmcv-lite announces the compiled operators that it leaves out; no command uses one.
    warnings.filterwarnings('ignore', message='Fail to import', category=UserWarning)
    try:
        with user_errors() as interruption:
            if not argv or argv[0] in ('-h', '--help'):
                print(overview())
                return 0
            if argv[0] == '--version':
                from mmosnet.cli.doctor import version_lines

                print('\n'.join(version_lines()))
                return 0
            name, *rest = argv
            if name not in NAMES:
                _refuse(name)
            module = load(name)
            parser = build_parser(name, module)
            args = parse(parser, rest)
            args.interruption = interruption
            with _named_remedy():
                return module.run(args) or 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0


@contextmanager
def _named_remedy() -> Iterator[None]:
    """Name the command that installs a missing part of the stack, where a command has met only its absence."""
    try:
        yield
    except ModuleNotFoundError as e:
        if e.name is not None and e.name.partition('.')[0] in SUPPORTED_VERSIONS:
            check_versions()
        raise


def load(name: str) -> ModuleType:
    """Import the module of a command."""
    return import_module(f'mmosnet.cli.{name.replace("-", "_")}')


def build_parser(name: str, module: ModuleType) -> argparse.ArgumentParser:
    """Build the parser of a command."""
    parser = argparse.ArgumentParser(prog=f'mmosnet {name}')
    fill_parser(parser, module)
    return parser


def parse(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments of a command, whose positional arguments may stand before and after options.

    argparse allows this only for parsers without sub-commands; therefore the parser of a sub-command is called here.
    """
    if not parser._subparsers:
        return parser.parse_intermixed_args(argv)
    commands: Any = parser._subparsers._group_actions[0]
    if not argv or argv[0] not in commands.choices:
        return parser.parse_args(argv)
    args = commands.choices[argv[0]].parse_intermixed_args(argv[1:])
    setattr(args, commands.dest, argv[0])
    return args


def fill_parser(parser: argparse.ArgumentParser, module: ModuleType) -> None:
    """Give a parser the text and the arguments of a command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = module.__doc__.strip()
    parser.epilog = f'examples:\n{module.EXAMPLES.strip(chr(10))}\n\nmore: docs/{module.PAGE}'
    module.add_arguments(parser)


def summary(module: ModuleType) -> str:
    """Return the first line of a command's text."""
    return module.__doc__.strip().partition('\n')[0].rstrip('.')


def overview() -> str:
    """Return the text of ``mmosnet --help``: first steps without data, and every command with its summary."""
    lines = [f'mmosnet {__version__}: OSNet for person re-identification, attributes and categories', '', FIRST, '']
    lines += [f'usage: {USAGE}', '']
    width = max(map(len, NAMES))
    for group, names in COMMANDS.items():
        lines += [group, *(f'  {name:{width}}  {summary(load(name))}' for name in names), '']
    return '\n'.join([*lines, LAST])


def complete() -> None:
    """Answer a shell that asks for completions, and exit; do nothing if argcomplete is not installed."""
    try:
        import argcomplete
    except ModuleNotFoundError:
        return
    parser = argparse.ArgumentParser(prog='mmosnet')
    parser.add_argument('--version', action='store_true')
    commands = parser.add_subparsers()
    for name in NAMES:
        module = load(name)
        fill_parser(commands.add_parser(name, help=summary(module)), module)
    argcomplete.autocomplete(parser)


def _refuse(name: str) -> None:
    """Exit with an error for an unknown command."""
    parser = argparse.ArgumentParser(prog='mmosnet', usage=USAGE)
    if name.startswith('-'):
        parser.error(f'no option {name} before a command; mmosnet --help lists the commands')
    nearest = difflib.get_close_matches(name.lower().replace('_', '-'), NAMES, n=3)
    hint = f'did you mean {" or ".join(nearest)}?' if nearest else f'there are {", ".join(NAMES)}'
    parser.error(f'no command {name!r}: {hint}')


if __name__ == '__main__':
    sys.exit(main())
