"""Errors for people: how the tools end at a mistake of the user's or a fault of the system's. Needs no torch."""

from __future__ import annotations

import difflib
import errno
import inspect
import io
import logging
import os
import re
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from mmosnet.errors import DataError, in_one_line
from mmosnet.interruption import Interruption, interruptible

#: Set to anything, this environment variable makes errors of one line show their traceback too.
TRACEBACK_VARIABLE = 'MMOSNET_TRACEBACK'

_NETWORK = 'is the network drive or the server there? Then try again'
_FULL = 'free space there, or name another folder'
_FILES = 'allow more, as ulimit -n 4096 does, or use fewer workers'
# What to do about faults of the system's, by error number.
_REMEDIES = {
    'ENOSPC': _FULL,
    'EDQUOT': 'your share of this disk is used up: delete something there, or name another folder',
    'EFBIG': 'the disk or a limit (ulimit -f) allows no file of this size: name another folder, or raise the limit',
    'EROFS': 'nothing can be written there: name another folder',
    'EIO': 'the disk reports a fault: is it still there? Try again, or use another disk',
    'EMFILE': _FILES,
    'ENFILE': _FILES,
    'ENAMETOOLONG': 'give a shorter one',
    'ELOOP': 'its symbolic links lead in a circle: mend them',
    'ENOTDIR': 'a part of this path is a file, not a folder: name another path',
    'EISDIR': 'name a file',
    'EEXIST': 'name another path',
    'ENOTEMPTY': 'name another folder',
    'ENOENT': 'check the path',
    'EACCES': 'change its permissions, or name another path',
    'EPERM': 'change its permissions, or name another path',
    'EXDEV': 'it cannot be moved to another disk: name another folder',
    'EBUSY': 'another program uses it: end that one, or name another path',
    'ETXTBSY': 'another program uses it: end that one, or name another path',
    'EINVAL': 'this disk does not allow it: name another path',
    'ENOTSUP': 'this disk does not allow it: name another path',
    'ENODEV': 'the device is not there: name another path',
    'ENXIO': 'the device is not there: name another path',
    'ENOMEM': 'the memory is full: use fewer workers or smaller batches',
    'EADDRINUSE': 'another program uses this port: name another one',
    'EADDRNOTAVAIL': 'this machine does not have this address: name another one',
    **dict.fromkeys(
        ('ESTALE', 'ETIMEDOUT', 'EHOSTDOWN', 'EHOSTUNREACH', 'ENETDOWN', 'ENETUNREACH', 'EREMOTEIO', 'ENOTCONN'),
        _NETWORK,
    ),
    **dict.fromkeys(('ENOLINK', 'ECOMM', 'ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE'), _NETWORK),
}
REMEDIES = {getattr(errno, name): remedy for name, remedy in _REMEDIES.items() if hasattr(errno, name)}
# How libraries word these faults in errors of their own, which have no number.
_PHRASES = {
    'database or disk is full': errno.ENOSPC,
    'attempt to write a readonly database': errno.EROFS,
    'disk I/O error': errno.EIO,
    # torch leaves out the system's reason, which is this one nearly always.
    'PytorchStreamWriter failed': errno.ENOSPC,
    'unexpected pos': errno.ENOSPC,
    'iostream error': errno.ENOSPC,
}
# What torch says where something of the machine runs out, and the remedy.
OUT_OF_MEMORY = (
    'memory is full: a smaller batch size (train_dataloader.batch_size, --batch-size), smaller images, or --amp on '
    'a GPU'
)
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
    (r'out of memory|DefaultCPUAllocator|Unable to allocate', OUT_OF_MEMORY),
)
# These alone are looked for in the text of other errors: words like "Invalid argument" may mean anything.
_TOLD = ('ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EIO', 'EMFILE', 'ENFILE', 'ENOMEM', 'ESTALE')
_FAULTS = {getattr(errno, name) for name in _TOLD if hasattr(errno, name)}
_PHRASES |= {os.strerror(number): number for number in _FAULTS}
# What Python's tempfile says.
_NO_TEMPORARY = 'No usable temporary directory'
# Where an error of these names no file, the file that was being written is meant.
_WRITING = {getattr(errno, name) for name in ('ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EIO') if hasattr(errno, name)}
# The error's own text in what a loader's worker sends: it follows the worker's traceback.
_WORKER = re.compile(r'^[\w.]*(?:Error|Exception|Exit|Interrupt): ', re.MULTILINE)


@contextmanager
def user_errors() -> Iterator[Interruption]:
    """End the program with one line for a user's mistake, a system error or an interruption.

    Other exceptions pass with their traceback.

    Codes are 1 for a mistake, 130 after Ctrl-C (SIGINT) and 143 after SIGTERM. What is said of an interruption besides
    is the ``advice`` of :class:`~mmosnet.interruption.Interruption`.
    """
    with interruptible() as interruption, _mistakes():
        yield interruption


@contextmanager
def _mistakes() -> Iterator[None]:
    """End the program with one line for a user's mistake or a system error, such as a full disk.

    Where the environment has :data:`TRACEBACK_VARIABLE`, the traceback is shown too. Other exceptions pass.
    """
    faults: list[BaseException] = []
    # A log that cannot be written, as to `head` when it has seen enough, would print a traceback for each line.
    raised, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        with _threads_heard(faults):
            yield
            # What is still to be printed fails here, not when Python ends.
            sys.stdout.flush()
        if faults:
            raise faults[0]
    except Exception as e:
        line = user_line(e)
        if line is None:
            raise
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exc()
        # Unbuffered, a line that failed is forgotten: whether another one fails tells.
        closed = _close_output('\n' if isinstance(e, BrokenPipeError) else '')
        if not isinstance(e, DataError):
            # What was left half made by the fault complains while Python ends.
            sys.unraisablehook = lambda unraisable: None
        # Who reads the output has seen enough, as `head` does.
        sys.exit(1 if closed and isinstance(e, BrokenPipeError) else f'error: {in_one_line(line)}')
    finally:
        logging.raiseExceptions = raised


def user_line(error: BaseException) -> str | None:
    """Return what to tell the user about an error, in one line; None for a fault in the code."""
    if isinstance(error, DataError):
        return _own_text(error)
    if isinstance(error, (TypeError, KeyError)):
        return _config_mistake(error) or _first_fault(error)
    if isinstance(error, (RuntimeError, MemoryError)) and (line := _exhausted(error)):
        return line
    return _system_fault(error) or _first_fault(error)


def _exhausted(error: RuntimeError | MemoryError) -> str | None:
    """Say what has run out, and the remedy: memory of torch or numpy, or a data loader process was killed."""
    text = str(error).strip()
    remedies = [remedy for pattern, remedy in RESOURCES if re.search(pattern, text)]
    if isinstance(error, MemoryError):
        remedies.append(OUT_OF_MEMORY)
    # The first sentence: a traceback may follow where a loader's worker failed.
    first = text.partition('\n')[0].partition('. ')[0].rstrip('.')
    return f'{remedies[0]} ({first or "MemoryError"})' if remedies else None


def _first_fault(error: BaseException) -> str | None:
    """Describe the system error that an error comes from, if handling that one failed."""
    while error := error.__cause__ or error.__context__:
        number = getattr(error, 'errno', None)
        if isinstance(error, OSError) and (number in _FAULTS or _NO_TEMPORARY in str(error)):
            return _system_fault(error)
    return None


def _own_text(error: BaseException) -> str:
    """Return an error's text, without the traceback of a data loader's worker in front of it."""
    text = str(error).strip()
    ends = [found.end() for found in _WORKER.finditer(text)] if 'Original Traceback' in text else []
    return text[ends[-1] :].strip() if ends else text


def _system_fault(error: BaseException) -> str | None:
    """Return file, cause and remedy of a system error; None for other errors."""
    text = ' '.join(_own_text(error).split())
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, OSError) and number is not None and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        text, file = error.strerror, ' to '.join(names) or _written_file(error, number)
    else:
        # What was raised again with another text, or in a loader's worker.
        told = re.search(r"\[Errno (\d+)\] ([^:]+)(?:: ['\"]?([^'\"]+))?", text)
        if told:
            number, text, file = int(told[1]), told[2], told[3] or ''
        else:
            number = next((number for phrase, number in _PHRASES.items() if phrase in text), None)
            file = _written_file(error, number)
    if number is None:
        # A text of ours, or of a library of the network's.
        return _own_text(error) or type(error).__name__ if isinstance(error, OSError) else None
    remedy = REMEDIES.get(number)
    unnamed = number in _WRITING and getattr(error, 'filename', None) is None
    if _NO_TEMPORARY in text or (unnamed and _is_temporary(file)):
        remedy = 'free space there, or name another folder for temporary files in the environment variable TMPDIR'
    return ': '.join(filter(None, (file, text, remedy)))


def _written_file(error: BaseException, number: int | None) -> str:
    """Return the file that was being written when an error without a name was raised; empty if unknown."""
    if number not in _WRITING:
        return ''
    if not _takes(sys.stdout, ''):
        return 'standard output'
    # Python's own write() names no file, but the function that called it has the file in a variable.
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in reversed(frames):
        if names := list(filter(None, map(_file_name, frame.f_locals.values()))):
            return names[0]
    # A line that was too long to be kept is forgotten: whether another one fails tells.
    return '' if _takes(sys.stdout, '\n') else 'standard output'


def _file_name(value: object) -> str:
    """Return the file that an object writes; empty if it writes none."""
    if isinstance(value, logging.FileHandler):
        return value.baseFilename
    if isinstance(value, io.IOBase):
        name, mode = getattr(value, 'name', None), str(getattr(value, 'mode', ''))
        return name if isinstance(name, str) and set(mode) & set('wax+') else ''
    # TensorBoard's writer.
    name = getattr(value, '__dict__', {}).get('_file_name')
    return name if isinstance(name, str) else ''


def _takes(stream: io.TextIOBase | TextIO, text: str) -> bool:
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        return False
    return True


def _is_temporary(file: str) -> bool:
    try:
        return file.startswith(os.path.join(tempfile.gettempdir(), tempfile.gettempprefix()))
    except FileNotFoundError:
        # On a full or read-only disk there is no folder for temporary files.
        return False


@contextmanager
def _threads_heard(faults: list[BaseException]) -> Iterator[None]:
    """Collect system errors that end threads, such as TensorBoard's writer, instead of their tracebacks."""
    others = threading.excepthook

    def hear(args: threading.ExceptHookArgs) -> None:
        if isinstance(args.exc_value, OSError):
            faults.append(args.exc_value)
        else:
            others(args)

    threading.excepthook = hear
    try:
        yield
    finally:
        threading.excepthook = others


def _close_output(text: str) -> bool:
    """Write text to standard output; if that fails, redirect it to the null device and return True.

    Python flushes it once more at exit, which would fail again.
    """
    if _takes(sys.stdout, text):
        return False
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _config_mistake(error: TypeError | KeyError) -> str | None:
    """Return the mistake in a config that made mmengine fail to build something; None for an error in code.

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
