"""Errors for people: how the tools end at a mistake of the user's. Needs no torch."""

from __future__ import annotations

import difflib
import inspect
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import active_children
from types import FrameType

from mmosnet.errors import DataError


class Interruption:
    """What a program says when it is interrupted.

    Attributes:
        advice: Returns what is kept and how to go on, asked for when the program is interrupted; empty to say nothing.
    """

    def __init__(self) -> None:
        self.advice: Callable[[], str] = str


@contextmanager
def user_errors() -> Iterator[Interruption]:
    """End the program with one line for a mistake of the user's and where it is interrupted; other exceptions pass with
    their traceback.

    Codes are 1 for a mistake, 130 after Ctrl-C (SIGINT) and 143 after SIGTERM, as shells have them. The second signal
    of a kind ends the program at once.
    """
    with _interruptible() as interruption, _mistakes():
        yield interruption


@contextmanager
def _interruptible() -> Iterator[Interruption]:
    """Turn SIGINT and SIGTERM into an exception, and this into one line, whatever it has become on its way up."""
    interruption, received, owner = Interruption(), [], os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            # In a fork, as the workers of a loader are. Ctrl-C reaches them too; the main process ends them.
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        again = number in received
        received.append(number)
        if again:
            for child in active_children():
                child.kill()
            os._exit(128 + received[0])
        # The other kind after the first: sent by a process that forwards what it got, as torchrun does.
        if len(received) == 1:
            raise KeyboardInterrupt

    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            # A shell has its background jobs ignore Ctrl-C; that stays.
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                previous[number] = signal.signal(number, handle)
    try:
        yield interruption
    except BaseException as e:
        if not received and not isinstance(e, KeyboardInterrupt):
            _restore(previous)
            raise
        # The handler stays: a second signal may come while Python ends.
        with suppress(OSError):
            print(': '.join(filter(None, ('interrupted', interruption.advice()))), file=sys.stderr, flush=True)
        raise SystemExit(128 + received[0] if received else 130) from None
    _restore(previous)


def _restore(handlers: dict) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


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
