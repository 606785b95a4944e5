"""Dead letters: poison batches, kept for an operator to inspect."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from headrace.broker.journal.records import encode_record, read_records
from headrace.protocol.errors import ConfigError
from headrace.protocol.limits import MIB
from headrace.protocol.messages import Trajectories
from headrace.protocol.messages.headers import Frame

_LOG = logging.getLogger("headrace.broker")
_MAX_BYTES = 256 * MIB


class DeadLetter(msgspec.Struct, frozen=True):
    """A batch that was given up, with the reason."""

    batch: Trajectories
    reason: str
    at_unix_s: float


@dataclass(frozen=True)
class KeptLetter:
    """A dead letter as read back; the payload is exactly what the actor sent."""

    letter: DeadLetter
    payload: Frame


class DeadLetterFile:
    """Appends dead letters to a file, which the first one creates; never raises."""

    def __init__(self, path: Path, max_bytes: int = _MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self.lost = 0

    def add(self, letter: DeadLetter, payload: Frame) -> None:
        """Writes a letter; if that fails, counts it as lost and logs a warning."""
        pieces = encode_record(msgspec.msgpack.encode(letter), payload)
        try:
            self._append(pieces)
        except OSError as error:
            self.lost += 1
            _LOG.warning("cannot keep a dead letter in %s: %s", self._path, error)

    def _append(self, pieces: Sequence[Frame]) -> None:
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(file).st_size
            needed = sum(map(len, pieces))
            if size + needed > self._max_bytes:
                raise OSError(f"it has reached {self._max_bytes} bytes; inspect and remove it")
            if os.writev(file, pieces) != needed:
                os.truncate(file, size)
                raise OSError("not enough space")
        finally:
            os.close(file)


def read_dead_letters(path: Path) -> list[KeptLetter]:
    """Returns the letters in a file.

    Raises:
        ConfigError: there is no such file, or it does not begin with a dead letter.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    try:
        letters = [
            KeptLetter(msgspec.msgpack.decode(record.header, type=DeadLetter), record.payload)
            for record in read_records(data)
        ]
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path} is not a dead-letter file: {error}") from error
    if data and not letters:
        raise ConfigError(f"{path} is not a dead-letter file")
    return letters
