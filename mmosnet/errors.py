"""The error for mistakes of the user, how commands end, and packages that are optional. Needs no torch."""

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

    The message names the file or setting, its value and the remedy. Commands print it without a traceback.
    """


def in_one_line(text: str) -> str:
    """Return text without line breaks and without lone surrogates, which a terminal cannot print."""
    return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


SIGNALS = (signal.SIGINT, signal.SIGTERM)
# How long the main thread may stay in a call that does not return to Python, such as waiting for another process.
GRACE_SECONDS = 10
# Two signals closer than this are one: ``timeout`` sends its own to the program and to all of its group.
SAME_SECONDS = 0.3


class Interruption:
    """Handler of SIGINT (Ctrl-C) and SIGTERM.

    The first signal raises ``KeyboardInterrupt`` in the main thread, and the program cleans up and ends. A second
    signal with the same number ends it at once; so does the first one after :data:`GRACE_SECONDS` in which the main
    thread did not return to Python. A signal with the other number changes nothing: a parent process may forward a
    signal that this process has received already.

    Attributes:
        advice: Function that returns what was kept and how to continue; called when the program is interrupted. An
            empty text adds nothing.
        signal: Number of the signal that has interrupted the program; 0 before.
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
        # A shell lets its background jobs ignore Ctrl-C; they keep ignoring it.
        free = [s for s in SIGNALS if signal.getsignal(s) in (signal.SIG_DFL, signal.default_int_handler)]
        if not free:
            return
        self._previous = {number: signal.signal(number, self._handle) for number in free}
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._previous_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        _watching.add(self)
        threading.Thread(target=self._watch, name='signals', daemon=True).start()

    def stop(self) -> None:
        """Restore the previous signal handlers."""
        if self._previous:
            signal.set_wakeup_fd(self._previous_fd)
            for number, handler in self._previous.items():
                signal.signal(number, handler)
            _watching.discard(self)
            # Ends the thread, which closes the other end. The socket would stay open as long as this object otherwise.
            self._writer.close()

    def say(self) -> None:
        """Report once that the program was interrupted."""
        if not self._said:
            self._said = True
            # The terminal may be gone.
            with suppress(OSError):
                print(': '.join(filter(None, ('interrupted', self.advice()))), file=sys.stderr, flush=True)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:
            # In a forked process, such as a worker of a loader. Ctrl-C reaches it too; the main process ends it.
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
        received: dict[int, float] = {}
        # Python writes the number of each signal that has a handler to this socket.
        while byte := self._reader.recv(1):
            (number,) = byte
            if number in received:
                if time.monotonic() - received[number] > SAME_SECONDS:
                    self._end(number)
            elif number in self._previous:
                if not received:
                    timer = threading.Timer(GRACE_SECONDS, self._end_later, (number,))
                    timer.daemon = True
                    timer.start()
                received[number] = time.monotonic()
        self._reader.close()

    def _end(self, number: int) -> None:
        self.signal = self.signal or number
        self.say()
        for child in active_children():
            child.kill()
        os._exit(128 + self.signal)


# Interruptions whose signal handlers are installed: one, or none.
_watching: set[Interruption] = set()


def _leave() -> None:
    """Stop watching in a forked process: its signals must not reach the thread of the main process."""
    # A library may fork in another thread, where Python does not allow this call.
    with suppress(ValueError):
        if _watching:
            signal.set_wakeup_fd(-1)


# Once: Python keeps what is registered, and with it all that it refers to.
if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_leave)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """End an interrupted program with one line, and with code 130 after Ctrl-C or 143 after SIGTERM."""
    interruption = Interruption()
    interruption.start()
    try:
        yield interruption
    except BaseException as e:
        # A library may have turned the interruption into an error of its own.
        if not interruption.signal and not isinstance(e, KeyboardInterrupt):
            interruption.stop()
            raise
        # The signal handlers stay: more signals may come while Python ends.
        interruption.say()
        raise SystemExit(128 + (interruption.signal or signal.SIGINT)) from None
    interruption.stop()


#: If this environment variable has any value, errors of one line show their traceback too.
TRACEBACK_VARIABLE = 'MMOSNET_TRACEBACK'

_NETWORK = 'is the network drive or the server there? Then try again'
_FULL = 'free space there, or name another folder'
_FILES = 'allow more, as ulimit -n 4096 does, or use fewer workers'
# Remedies for errors of the system, by the name of the error number.
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
    # torch leaves out the system's reason, which is nearly always this one.
    'PytorchStreamWriter failed': errno.ENOSPC,
    'unexpected pos': errno.ENOSPC,
    'iostream error': errno.ENOSPC,
}
# How torch words that a resource of the machine is used up, and the remedies.
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
# Only these are searched for in the text of other errors: words like "Invalid argument" may mean anything.
_UNMISTAKABLE = ('ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EIO', 'EMFILE', 'ENFILE', 'ENOMEM', 'ESTALE')
_FAULTS = {getattr(errno, name) for name in _UNMISTAKABLE if hasattr(errno, name)}
_PHRASES |= {os.strerror(number): number for number in _FAULTS}
# How Python's tempfile words it.
_NO_TEMPORARY = 'No usable temporary directory'
# If an error with one of these numbers names no file, it is about the file that was being written.
_WRITING = {getattr(errno, name) for name in ('ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EIO') if hasattr(errno, name)}
# Start of the error's own text in the message of a loader's worker, where the worker's traceback stands before it.
_WORKER = re.compile(r'^[\w.]*(?:Error|Exception|Exit|Interrupt): ', re.MULTILINE)


@contextmanager
def user_errors() -> Iterator[Interruption]:
    """End the program with one line for a user's mistake, a system error or an interruption.

    Other exceptions pass with their traceback. Exit codes are 1 for a mistake or system error, 130 after Ctrl-C and 143
    after SIGTERM. The line about an interruption ends with the ``advice`` of the yielded :class:`Interruption`.
    """
    with interruptible() as interruption, _mistakes():
        yield interruption


@contextmanager
def _mistakes() -> Iterator[None]:
    """End the program with one line for a user's mistake or a system error, such as a full disk.

    If the environment has :data:`TRACEBACK_VARIABLE`, the traceback is shown too. Other exceptions pass.
    """
    faults: list[BaseException] = []
    # Otherwise logging prints a traceback per line that it cannot write, for example when `head` has closed the pipe.
    raised, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        with _collect_thread_faults(faults):
            yield
            # Buffered output fails here, not when Python ends.
            sys.stdout.flush()
        if faults:
            raise faults[0]
    except Exception as e:
        line = user_line(e)
        if line is None:
            raise
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exc()
        # Unbuffered output forgets a line that failed: write another one to see whether the pipe is closed.
        closed = _close_output('\n' if isinstance(e, BrokenPipeError) else '')
        if not isinstance(e, DataError):
            # Objects that the error left half made would print complaints while Python ends.
            sys.unraisablehook = lambda unraisable: None
        # The reader of the pipe, such as `head`, needs no more output: no message.
        sys.exit(1 if closed and isinstance(e, BrokenPipeError) else f'error: {in_one_line(line)}')
    finally:
        logging.raiseExceptions = raised


def user_line(error: BaseException) -> str | None:
    """Return the message for a user about an error, in one line; None for a fault in the code."""
    if isinstance(error, DataError):
        return _own_text(error)
    if isinstance(error, (TypeError, KeyError)):
        return _config_mistake(error) or _first_fault(error)
    if isinstance(error, (RuntimeError, MemoryError)) and (line := _exhausted(error)):
        return line
    return _system_fault(error) or _first_fault(error)


def _exhausted(error: RuntimeError | MemoryError) -> str | None:
    """Return the message for memory or another resource of torch or numpy that is used up; None for other errors."""
    text = str(error).strip()
    remedies = [remedy for pattern, remedy in RESOURCES if re.search(pattern, text)]
    if isinstance(error, MemoryError):
        remedies.append(OUT_OF_MEMORY)
    # Only the first sentence: the traceback of a loader's worker may follow.
    first = text.partition('\n')[0].partition('. ')[0].rstrip('.')
    return f'{remedies[0]} ({first or "MemoryError"})' if remedies else None


def _first_fault(error: BaseException) -> str | None:
    """Describe the system error that an error comes from, if handling that system error failed."""
    while error := error.__cause__ or error.__context__:
        number = getattr(error, 'errno', None)
        if isinstance(error, OSError) and (number in _FAULTS or _NO_TEMPORARY in str(error)):
            return _system_fault(error)
    return None


def _own_text(error: BaseException) -> str:
    """Return an error's text, without the traceback of a data loader's worker in front of it."""
    text = str(error).strip()
    ends = [match.end() for match in _WORKER.finditer(text)] if 'Original Traceback' in text else []
    return text[ends[-1] :].strip() if ends else text


def _system_fault(error: BaseException) -> str | None:
    """Return file, cause and remedy of a system error; None for other errors."""
    text = ' '.join(_own_text(error).split())
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, OSError) and number is not None and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        text, file = error.strerror, ' to '.join(names) or _written_file(error, number)
    else:
        # An error that was raised again with another text, or in a loader's worker.
        match = re.search(r"\[Errno (\d+)\] ([^:]+)(?:: ['\"]?([^'\"]+))?", text)
        if match:
            number, text, file = int(match[1]), match[2], match[3] or ''
        else:
            number = next((number for phrase, number in _PHRASES.items() if phrase in text), None)
            file = _written_file(error, number)
    if number is None:
        # Our own text, or that of a network library.
        return _own_text(error) or type(error).__name__ if isinstance(error, OSError) else None
    remedy = REMEDIES.get(number)
    unnamed = number in _WRITING and getattr(error, 'filename', None) is None
    if _NO_TEMPORARY in text or (unnamed and _is_temporary(file)):
        remedy = 'free space there, or name another folder for temporary files in the environment variable TMPDIR'
    return ': '.join(filter(None, (file, text, remedy)))


def _written_file(error: BaseException, number: int | None) -> str:
    """Return the file that was being written when an error that names no file was raised; empty if unknown."""
    if number not in _WRITING:
        return ''
    if not _can_write(sys.stdout, ''):
        return 'standard output'
    # Python's own write() names no file, but the function that called it has the file in a variable.
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in reversed(frames):
        if names := list(filter(None, map(_file_name, frame.f_locals.values()))):
            return names[0]
    # A line longer than the buffer is forgotten: write another one to see whether standard output fails.
    return '' if _can_write(sys.stdout, '\n') else 'standard output'


def _file_name(value: object) -> str:
    """Return the file to which an object writes; empty if it writes to none."""
    if isinstance(value, logging.FileHandler):
        return value.baseFilename
    if isinstance(value, io.IOBase):
        name, mode = getattr(value, 'name', None), str(getattr(value, 'mode', ''))
        return name if isinstance(name, str) and set(mode) & set('wax+') else ''
    # TensorBoard's writer.
    name = getattr(value, '__dict__', {}).get('_file_name')
    return name if isinstance(name, str) else ''


def _can_write(stream: io.TextIOBase | TextIO, text: str) -> bool:
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
def _collect_thread_faults(faults: list[BaseException]) -> Iterator[None]:
    """Collect system errors that end threads, such as TensorBoard's writer, instead of their tracebacks."""
    previous = threading.excepthook

    def collect(args: threading.ExceptHookArgs) -> None:
        if isinstance(args.exc_value, OSError):
            faults.append(args.exc_value)
        else:
            previous(args)

    threading.excepthook = collect
    try:
        yield
    finally:
        threading.excepthook = previous


def _close_output(text: str) -> bool:
    """Write text to standard output; if that fails, redirect it to the null device and return True.

    Python flushes it once more at exit, which would fail again.
    """
    if _can_write(sys.stdout, text):
        return False
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _config_mistake(error: TypeError | KeyError) -> str | None:
    """Return the mistake in a config that made mmengine fail to build something; None for an error in code.

    A wrong argument name fails where a class is called, or where the class passes it on to its parent or to a function.
    """
    calls = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    builders = [i for i, frame in enumerate(calls) if frame.f_code.co_name == 'build_from_cfg']
    inner = calls[builders[-1] + 1 :] if builders else []
    if isinstance(error, KeyError):
        text = str(error.args[0]).partition('. ')[0].splitlines()[0]
        return f'in the config: {text}' if builders and not inner else None
    match = re.search(r"([\w.]+)\(\) got an unexpected keyword argument '(\w+)'", str(error))
    # An error in a method that runs later is a fault in the code.
    built = builders and {frame.f_code.co_name for frame in inner} <= {'__init__', '__call__', 'get_instance'}
    if built and not inner and str(error).endswith('takes no arguments'):
        return f'in the config: {error}'
    if not match or not (built or calls[-1].f_globals.get('__name__') == 'mmengine.runner.runner'):
        return None
    owner, _, method = match[1].partition('.')
    if method == '__init__' and builders:
        called = calls[builders[-1]].f_locals['obj_cls']
    else:
        called = calls[-1].f_globals.get(owner)
        called = called if method in ('', '__init__') else getattr(called, method, None)
    parts = [vars(kind).get('__init__') for kind in called.__mro__] if inspect.isclass(called) else [called]
    known = {name for part in filter(callable, parts) for name in inspect.signature(part).parameters}
    known -= {'self', 'args', 'kwargs'}
    similar = difflib.get_close_matches(match[2], known, n=1)
    hint = f'nearest: {similar[0]}' if similar else f'there are {", ".join(sorted(known))}'
    return f'in the config: {getattr(called, "__name__", match[1])} takes no {match[2]}; {hint}'


def need(name: str, extra: str) -> ModuleType:
    """Import an optional package.

    Args:
        name: Module to import.
        extra: The extra of setup.cfg that its package belongs to.

    Raises:
        DataError: It is not installed; the message has the command that installs it.
        ImportError: It is installed, and the system cannot read it.
    """
    # With this module OpenVINO reports each import to Google Analytics, and NNCF each use. Both work without it.
    sys.modules.setdefault('openvino_telemetry', None)
    # ONNX Runtime 1.32 numbers the machine and reports to Microsoft, from a thread that starts with the import.
    os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')
    try:
        return import_module(name)
    except ImportError as e:
        # It is installed, and the system cannot read it, for example because too many files are open.
        if user_line(e):
            raise
        raise DataError(f'{name} cannot be imported ({e}): pip install {_packages(extra)}') from e


def _packages(extra: str) -> str:
    """Return the packages of an extra as arguments of pip; the extra of a clone if mmosnet is not installed.

    mmosnet is on no registry: ``pip install mmosnet[EXTRA]`` would fail.
    """
    try:
        requirements = [line.partition(';') for line in requires('mmosnet') or []]
    except PackageNotFoundError:
        requirements = []
    marker = re.compile(rf"""extra\s*==\s*['"]{re.escape(extra)}['"]""")
    packages = [repr(package.strip()) for package, _, condition in requirements if marker.search(condition)]
    return ' '.join(packages) or f"'.[{extra}]', in the clone of mmosnet"
