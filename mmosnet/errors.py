"""Errors of users, how commands end, and optional packages.

The exception for mistakes in a user's data or settings.

How a program ends that is interrupted by Ctrl-C or asked to end by SIGTERM. Needs no torch.

Errors for people: how the tools end at a mistake of the user's or a fault of the system's. Needs no torch.

Packages of setup.cfg's extras, imported when something needs them.
"""

from __future__ import annotations

import difflib
import errno
import inspect
import io
import logging
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires
from multiprocessing import active_children
from types import FrameType, ModuleType
from typing import TextIO


class DataError(ValueError):
    """Something in the user's files or settings cannot be used.

    The message names the file or setting, the value found and the remedy. The tools print it without a
    traceback.
    """


def in_one_line(text: str) -> str:
    """Return text without line breaks and without lone surrogates, which a terminal cannot print."""
    return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


SIGNALS = (signal.SIGINT, signal.SIGTERM)
# How long the main thread may stay in a call that does not return to Python, as one that waits for another process.
GRACE_SECONDS = 10
# Two signals closer than this are one: ``timeout`` sends its own to the program and to all of its group.
SAME_SECONDS = 0.3


class Interruption:
    """What happens when a signal arrives.

    The first one raises ``KeyboardInterrupt`` in the main thread, and the program ends in its own way. A second one of
    its kind ends it at once; so does the first one after :data:`GRACE_SECONDS` in which the main thread did not return
    to Python. One of the other kind changes nothing: a parent forwards what its children have got already.

    Attributes:
        advice: Returns what is kept and how to go on; called when the program is interrupted. Empty to say nothing.
        signal: Signal that has interrupted the program; 0 before.
    """

    def __init__(self) -> None:
        self.advice: Callable[[], str] = str
        self.signal = 0
        self._said = False
        self._owner = os.getpid()
        self._previous: dict = {}

    def start(self) -> None:
        """Take over the signals that have no handler; in the main thread alone, as Python requires."""
        if threading.current_thread() is not threading.main_thread():
            return
        # A shell has its background jobs ignore Ctrl-C; that stays.
        free = [s for s in SIGNALS if signal.getsignal(s) in (signal.SIG_DFL, signal.default_int_handler)]
        if not free:
            return
        self._previous = {number: signal.signal(number, self._handle) for number in free}
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._previous_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        if hasattr(os, 'register_at_fork'):
            os.register_at_fork(after_in_child=self._leave)
        threading.Thread(target=self._watch, name='signals', daemon=True).start()

    def stop(self) -> None:
        """Restore the previous signal handlers."""
        if self._previous:
            signal.set_wakeup_fd(self._previous_fd)
            for number, handler in self._previous.items():
                signal.signal(number, handler)
            self._writer.shutdown(socket.SHUT_RDWR)

    def _leave(self) -> None:
        """Stop watching in a forked process: its signals are not for the main process's thread."""
        # A fork that is not the program's own has begun in another thread, where Python allows nothing of this.
        with suppress(ValueError):
            signal.set_wakeup_fd(-1)

    def say(self) -> None:
        """Report once that the program was interrupted."""
        if not self._said:
            self._said = True
            # The terminal may be gone.
            with suppress(OSError):
                print(': '.join(filter(None, ('interrupted', self.advice()))), file=sys.stderr, flush=True)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:
            # In a fork, as the workers of a loader are. Ctrl-C reaches them too; the main process ends them.
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
        elif not self.signal:
            self.signal = number
            raise KeyboardInterrupt

    def _end_later(self, number: int) -> None:
        if not self.signal:
            self._end(number)

    def _watch(self) -> None:
        """Watch for signals in a separate thread: the main thread may be outside of Python."""
        seen = {}
        # The numbers of all signals that have a handler in Python come here.
        while number := self._reader.recv(1):
            (number,) = number
            if number in seen:
                if time.monotonic() - seen[number] > SAME_SECONDS:
                    self._end(number)
            elif number in self._previous:
                if not seen:
                    timer = threading.Timer(GRACE_SECONDS, self._end_later, (number,))
                    timer.daemon = True
                    timer.start()
                seen[number] = time.monotonic()
        self._reader.close()

    def _end(self, number: int) -> None:
        self.signal = self.signal or number
        self.say()
        for child in active_children():
            child.kill()
        os._exit(128 + self.signal)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """End the program with one line where it is interrupted, with code 130 after Ctrl-C and 143 after SIGTERM."""
    interruption = Interruption()
    interruption.start()
    try:
        yield interruption
    except BaseException as e:
        # Whatever the interruption has become on its way up.
        if not interruption.signal and not isinstance(e, KeyboardInterrupt):
            interruption.stop()
            raise
        # Signals stay taken over: more may come while Python ends.
        interruption.say()
        raise SystemExit(128 + (interruption.signal or signal.SIGINT)) from None
    interruption.stop()


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
    is the ``advice`` of :class:`~mmosnet.errors.Interruption`.
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


def need(name: str, extra: str) -> ModuleType:
    """Import a package of one of setup.cfg's extras.

    Raises:
        DataError: It is not installed; says what to install.
        ImportError: It is, and the system cannot read it.
    """
    # With it OpenVINO reports each import to Google Analytics, NNCF each use: they do without it.
    sys.modules.setdefault('openvino_telemetry', None)
    try:
        return import_module(name)
    except ImportError as e:
        # It is there, and the system cannot read it, as with too many open files.
        if user_line(e):
            raise
        raise DataError(f'{name} cannot be imported ({e}): pip install {_packages(extra)}') from e


def _packages(extra: str) -> str:
    """Return the packages of an extra, as they are typed; its name where mmosnet is not installed, but a clone."""
    try:
        found = [line.split(';') for line in requires('mmosnet') or []]
    except PackageNotFoundError:
        found = []
    packages = [repr(line[0].strip()) for line in found if f"extra=='{extra}'" in _plain(line[-1])]
    return ' '.join(packages) or f"'.[{extra}]', in the clone of mmosnet"


def _plain(marker: str) -> str:
    return marker.replace(' ', '').replace('"', "'")
