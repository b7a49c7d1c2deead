"""Python's garbage collector, kept from going through what imports leave behind."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause the garbage collector inside the ``with`` block.

    For imports: nearly all that they make stays, and the collector would go through it again and again, a
    quarter of the time that ``import mmosnet`` takes.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # To the oldest generation, unless someone keeps objects out: the next collection would go through all of it.
        if gc.get_freeze_count() == 0:
            gc.freeze()
            gc.unfreeze()
        if enabled:
            gc.enable()
