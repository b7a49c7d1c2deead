"""Errors for people: how the tools end at a mistake of the user's. Needs no torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mmosnet.errors import DataError


@contextmanager
def user_errors() -> Iterator[None]:
    """End the program with one line for a mistake of the user's; other exceptions pass with their traceback."""
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
