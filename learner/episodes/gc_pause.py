"""Pauses the garbage collector while many objects are made at once."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def paused_gc() -> Generator[None]:
    """Pauses Python's cyclic garbage collector while objects that stay alive are made.

    A learner's process holds a million objects, and a full collection visits them all. Full
    collections are triggered by objects that survive the small ones, as all of a batch's episodes
    do: collecting took three times as long as making them.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
