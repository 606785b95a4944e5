"""A journal's file operations, kept apart so that a test can crash between any two of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from headrace.broker.journal.segments import SUFFIX
from headrace.protocol.messages.headers import Frame

_PIECES_PER_WRITE = 512  # below IOV_MAX


class JournalFiles:
    """A folder of append-only files. All methods raise OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._open: dict[str, int] = {}

    def names(self) -> list[str]:
        """Returns the names of all segments, oldest first."""
        return sorted(path.name for path in self._folder.glob(f"*{SUFFIX}"))

    def read(self, name: str) -> bytes:
        """Returns a file's content."""
        return (self._folder / name).read_bytes()

    def append(self, name: str, pieces: Sequence[Frame]) -> None:
        """Writes to the end of a file, creating it if necessary."""
        file = self._file(name)
        for start in range(0, len(pieces), _PIECES_PER_WRITE):
            part = pieces[start : start + _PIECES_PER_WRITE]
            if os.writev(file, part) != sum(map(len, part)):
                raise OSError("not enough space")

    def sync(self, name: str) -> None:
        """Returns once the file is on disk."""
        os.fdatasync(self._file(name))

    def truncate(self, name: str, size_bytes: int) -> None:
        """Cuts a file to a size."""
        os.ftruncate(self._file(name), size_bytes)

    def remove(self, name: str) -> None:
        """Deletes a file."""
        self._close(name)
        (self._folder / name).unlink()

    def set_aside(self, name: str) -> None:
        """Renames a damaged file, so that no broker reads it again and a person can inspect it."""
        self._close(name)
        os.replace(self._folder / name, self._folder / f"{name}.damaged")

    def close(self) -> None:
        """Closes all files."""
        for name in list(self._open):
            self._close(name)

    def _file(self, name: str) -> int:
        if name not in self._open:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
            is_new = not (self._folder / name).exists()
            self._open[name] = os.open(self._folder / name, flags, 0o600)
            if is_new:
                self._sync_folder()
        return self._open[name]

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _close(self, name: str) -> None:
        file = self._open.pop(name, None)
        if file is not None:
            os.close(file)
