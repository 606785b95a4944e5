"""The invited peers as a file lists them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from headrace.broker.access.permissions import Peer

_LOG = logging.getLogger("headrace.broker")


@dataclass(frozen=True)
class PeerFile:
    """The entries of a file: peers, and others that are damaged.

    Damaged entries are kept as they are, since someone may want to mend them.
    """

    peers: list[Peer]
    damaged: list[Any]

    @classmethod
    def of(cls, entries: Sequence[Any], path: Path) -> PeerFile:
        """Returns decoded entries; logs which are damaged."""
        peers: list[Peer] = []
        damaged: list[Any] = []
        for number, entry in enumerate(entries, 1):
            try:
                peers.append(msgspec.convert(entry, Peer))
            except msgspec.ValidationError as error:
                _LOG.warning("%s: entry %d is damaged and admits nobody: %s", path, number, error)
                damaged.append(entry)
        return cls(peers, damaged)

    def plus(self, peer: Peer) -> PeerFile:
        """Returns the file with one more peer."""
        return replace(self, peers=[*self.peers, peer])

    def without(self, name: str) -> PeerFile:
        """Returns the file without the entries of this name, damaged ones too."""
        return PeerFile(
            [peer for peer in self.peers if peer.name != name],
            [entry for entry in self.damaged if _name_of(entry) != name],
        )

    def encoded(self) -> bytes:
        """Returns the file's content."""
        return msgspec.json.encode([*self.peers, *self.damaged])


def _name_of(entry: Any) -> Any:
    return entry.get("name") if isinstance(entry, dict) else None
