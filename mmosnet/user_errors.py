"""Errors for people: how the tools end at a mistake of the user's. Needs no torch."""

from __future__ import annotations

import difflib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from mmosnet.errors import DataError
from mmosnet.interruption import Interruption, interruptible


@contextmanager
def user_errors() -> Iterator[Interruption]:
    """End the program with one line for a mistake of the user's and where it is interrupted; other exceptions pass with
    their traceback.

    Codes are 1 for a mistake, 130 after Ctrl-C (SIGINT) and 143 after SIGTERM. What is said of an interruption besides
    is the ``advice`` of :class:`~mmosnet.interruption.Interruption`.
    """
    with interruptible() as interruption, _mistakes(), _resources():
        yield interruption


@contextmanager
def _mistakes() -> Iterator[None]:
    """End the program with one line for a mistake of the user's."""
    try:
        yield
        # What is still to be printed fails here, not when Python ends.
        sys.stdout.flush()
    except (DataError, FileNotFoundError, FileExistsError) as e:
        # From a loader's worker the message comes with the worker's traceback in front.
        sys.exit(f'error: {str(e).rpartition("mmosnet.errors.DataError: ")[2].strip()}')
    except BrokenPipeError:
        # The reader has seen enough, as `head` does. Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (IsADirectoryError, NotADirectoryError, PermissionError) as e:
        sys.exit(f'error: {e.filename}: {e.strerror}')
    except (TypeError, KeyError) as e:
        mistake = _config_mistake(e)
        if mistake is None:
            raise
        sys.exit(f'error: {mistake}')


# What torch says where something of the machine runs out, and the remedy.
RESOURCES = (
    (
        r'Too many open files|received \d+ items of ancdata',
        'more files are open than the system allows: ulimit -n 65536, or fewer train_dataloader.num_workers',
    ),
    (
        r'out of shared memory|shm_open|</torch_|killed by signal: Bus error',
        'the shared memory of the machine is full: fewer train_dataloader.num_workers, or more of it (docker run '
        '--shm-size=8g)',
    ),
    (
        r'DataLoader worker \(pid.*\) (is killed by signal: Killed|exited unexpectedly)',
        'a process that loads data was killed, as the system does where memory runs out: fewer '
        'train_dataloader.num_workers, a smaller train_dataloader.batch_size',
    ),
    (
        r'out of memory|DefaultCPUAllocator|Unable to allocate',
        'memory is full: a smaller batch size (train_dataloader.batch_size, --batch-size), smaller images, or '
        '--amp on a GPU',
    ),
)


@contextmanager
def _resources() -> Iterator[None]:
    """Turn what torch and numpy raise where memory runs out, or a loader's process was killed, into a line for people.

    Raises:
        DataError: Says what has run out, and the remedy.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as e:
        text = str(e)
        found = [remedy for pattern, remedy in RESOURCES if re.search(pattern, text)]
        if not found and not isinstance(e, MemoryError):
            raise
        # From a loader's worker the traceback comes along.
        first = text.strip().partition('\n')[0].partition('. ')[0].rstrip('.')
        raise DataError(f'{found[0] if found else RESOURCES[-1][1]} ({first or "MemoryError"})') from e


def _config_mistake(error: TypeError | KeyError) -> str | None:
    """What a config says wrong that made mmengine fail to build something; None for an error in the code.

    A wrong name of an argument fails where a class is called, or where this hands it on: to a parent, to a function.
    """
    calls = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    builders = [i for i, frame in enumerate(calls) if frame.f_code.co_name == 'build_from_cfg']
    inner = calls[builders[-1] + 1 :] if builders else []
    if isinstance(error, KeyError):
        text = str(error.args[0]).partition('. ')[0].splitlines()[0]
        return f'in the config: {text}' if builders and not inner else None
    found = re.search(r"([\w.]+)\(\) got an unexpected keyword argument '(\w+)'", str(error))
    # Not in a method that runs later.
    built = builders and {frame.f_code.co_name for frame in inner} <= {'__init__', '__call__', 'get_instance'}
    if built and not inner and str(error).endswith('takes no arguments'):
        return f'in the config: {error}'
    if not found or not (built or calls[-1].f_globals.get('__name__') == 'mmengine.runner.runner'):
        return None
    owner, _, method = found.group(1).partition('.')
    if method == '__init__' and builders:
        called = calls[builders[-1]].f_locals['obj_cls']
    else:
        called = calls[-1].f_globals.get(owner)
        called = called if method in ('', '__init__') else getattr(called, method, None)
    parts = [vars(kind).get('__init__') for kind in called.__mro__] if inspect.isclass(called) else [called]
    known = {name for part in filter(callable, parts) for name in inspect.signature(part).parameters}
    known -= {'self', 'args', 'kwargs'}
    similar = difflib.get_close_matches(found.group(2), known, n=1)
    hint = f'nearest: {similar[0]}' if similar else f'there are {", ".join(sorted(known))}'
    return f'in the config: {getattr(called, "__name__", found.group(1))} takes no {found.group(2)}; {hint}'
