"""Logs what takes long to find out, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable


class BackgroundWarning:
    """Logs one warning at a time."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._thread: threading.Thread | None = None

    def log(self, describe: Callable[[], str]) -> None:
        """Logs what `describe` returns, unless the last warning is in the making."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._thread = threading.Thread(
            target=lambda: self._logger.warning("%s", describe()),
            name="headrace-diagnosis",
            daemon=True,
        )
        self._thread.start()
