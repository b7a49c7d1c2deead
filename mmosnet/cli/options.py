"""Options that several commands share. ``--help`` imports this module, which thus needs argparse alone."""

from __future__ import annotations

import argparse
import inspect
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.config import Config

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')


def add_command(commands: argparse._SubParsersAction, run: Callable, *examples: str) -> argparse.ArgumentParser:
    """Add a sub-command, and return its parser.

    Args:
        commands: Sub-commands of a parser.
        run: Function that runs the sub-command. It has the name of the sub-command, and its docstring is the text of
            ``--help``, of which the first line is also listed by the parser's own ``--help``.
        examples: Examples for ``--help``, without the command itself.
    """
    text = inspect.cleandoc(run.__doc__ or '')
    command = commands.add_parser(
        run.__name__,
        help=text.partition('\n')[0].rstrip('.'),
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.epilog = '\n'.join(['examples:', *(f'  {command.prog} {example}' for example in examples)])
    command.set_defaults(run=run)
    return command


def add_config(parser: argparse._ActionsContainer, nargs: str | None = None, **settings: Any) -> argparse.Action:
    """Add the positional argument ``config``.

    Args:
        parser: Parser of a command.
        nargs: Argument of ``add_argument``.
        settings: Further arguments of ``add_argument``, in place of the usual ones.
    """
    settings.setdefault('metavar', 'CONFIG')
    settings.setdefault('help', 'file of a config, or name of a config or model: "mmosnet configs" lists them')
    action = parser.add_argument('config', nargs=nargs, **settings)
    complete_by_configs(action)
    return action


def add_checkpoint(parser: argparse._ActionsContainer, nargs: str | None = None, **settings: Any) -> argparse.Action:
    """Add the positional argument ``checkpoint``; the arguments are those of :func:`add_config`."""
    settings.setdefault('metavar', 'CHECKPOINT')
    settings.setdefault('help', 'checkpoint file, torchreid://NAME, or "released": the weights that belong to CONFIG')
    return parser.add_argument('checkpoint', nargs=nargs, **settings)


def add_cfg_options(parser: argparse._ActionsContainer) -> argparse.Action:
    """Add ``--cfg-options KEY=VALUE ...``, which may be given several times; see :func:`parse_cfg_options`."""
    return parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        type=_key_value,
        metavar='KEY=VALUE',
        help='override settings of the config, nested keys with dots; quote lists: key="[a,b]"',
    )


def add_data_root(parser: argparse._ActionsContainer) -> argparse.Action:
    """Add ``--data-root``."""
    return parser.add_argument('--data-root', metavar='FOLDER', help='folder of the data set, for training and testing')


def add_work_dir(parser: argparse._ActionsContainer, help: str, **settings: Any) -> argparse.Action:
    """Add ``--work-dir``. ``help`` says what is written there, and the default."""
    settings.setdefault('metavar', 'FOLDER')
    return parser.add_argument('--work-dir', help=help, **settings)


def add_device(parser: argparse._ActionsContainer) -> argparse.Action:
    """Add ``--device``."""
    return parser.add_argument('--device', help='cpu, cuda, cuda:1 ... (a GPU if there is one)')


def add_amp(parser: argparse._ActionsContainer) -> argparse.Action:
    """Add ``--amp``."""
    return parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on a GPU, bfloat16 on a CPU with AVX-512 (often slower)',
    )


def add_launcher(parser: argparse._ActionsContainer) -> argparse.Action:
    """Add ``--launcher``, and the option that ``torch.distributed.launch`` passes; see :func:`load_run`."""
    action = parser.add_argument(
        '--launcher', choices=LAUNCHERS, default='none', help='how the processes of a distributed run were started'
    )
    # torch.distributed.launch passes it; torchrun sets the variable LOCAL_RANK instead.
    parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)
    return action


def add_run(parser: argparse._ActionsContainer) -> None:
    """Add the options of a run with mmengine's runner: ``--data-root``, ``--cfg-options`` and ``--launcher``."""
    add_data_root(parser)
    add_cfg_options(parser)
    add_launcher(parser)


def load_run(args: argparse.Namespace) -> Config:
    """Return the config of a run, with the overrides of the options that :func:`add_run` and others have added.

    The rank that ``torch.distributed.launch`` passes as an option goes into the variable that mmengine reads.
    """
    if args.local_rank is not None:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    from mmosnet.engine.launch import load_config

    overrides = parse_cfg_options(args.cfg_options)
    return load_config(args.config, overrides, args.work_dir, args.launcher, args.data_root)


def parse_cfg_options(pairs: Sequence[str] | None) -> dict[str, object]:
    """Return the overrides of ``--cfg-options`` by dotted keys, with values as mmengine's ``DictAction`` reads them.

    Args:
        pairs: Texts of the form ``KEY=VALUE``; None if the option was not given.

    Raises:
        DataError: Brackets of a value do not match.
    """
    if not pairs:
        return {}
    from mmengine.config import DictAction

    from mmosnet.errors import DataError

    parsed = argparse.Namespace(cfg_options=None)
    action = DictAction(['--cfg-options'], 'cfg_options')
    for pair in pairs:
        try:
            action(None, parsed, [pair])
        except AssertionError as e:
            raise DataError(f'--cfg-options {pair}: brackets do not match; quote lists: key="[a,b]"') from e
    return parsed.cfg_options


def add_per(parser: argparse._ActionsContainer, help: str) -> None:
    """Add ``--per`` and ``--pool``; ``help`` says what is done per image or per track."""
    parser.add_argument('--per', choices=('image', 'track'), default='image', help=help)
    parser.add_argument(
        '--pool',
        choices=('mean', 'max', 'quality'),
        default='mean',
        help='with --per track, how embeddings become one: mean, largest values, or mean weighted by quality (mean)',
    )


def add_frames(parser: argparse._ActionsContainer) -> None:
    """Add the options of videos and of the boxes in their frames."""
    parser.add_argument(
        '--first-frame',
        type=int,
        metavar='N',
        help='number of the first frame in files of boxes (0 if the first row names the columns, else 1)',
    )
    parser.add_argument('--min-score', type=float, metavar='S', help='only boxes with at least this score')
    parser.add_argument('--frame-step', type=positive, default=1, metavar='N', help='only frames 0, N, 2N ... (1)')
    parser.add_argument('--fps', type=float, help='frames per second (those of the video)')
    parser.add_argument(
        '--start-time',
        nargs='+',
        default=(),
        metavar='T',
        help='start of all videos, or one per video: seconds, or 2026-05-01T12:00:00+02:00 (0)',
    )


def positive(text: str) -> int:
    """Return a whole number of 1 or more, as the ``type`` of an argument."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{text} must be at least 1')
    return number


def complete_config(prefix: str, **_: object) -> list[str]:
    """Return the names of configs that begin with a prefix, for argcomplete."""
    from mmosnet.compatibility import config_names

    return [name for name in config_names() if name.startswith(prefix)]


def complete_by_configs(action: argparse.Action) -> None:
    """Let argcomplete offer names of configs for an argument; where none fits, the shell offers files."""
    # argcomplete reads this attribute.
    action.completer = complete_config  # type: ignore[attr-defined]


def _key_value(text: str) -> str:
    if '=' not in text.lstrip('='):
        raise argparse.ArgumentTypeError(f'{text!r} is not KEY=VALUE')
    return text
