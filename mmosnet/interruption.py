"""How a program ends that is interrupted by Ctrl-C or asked to end by SIGTERM. Needs no torch."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import active_children
from types import FrameType

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
