"""Permissions: the keys of invited peers, their roles, and the actor ids that they may use.

For each connection libzmq asks whether its key may use the endpoint (ZAP, see zap.py), and then
attaches the name from the reply to every message.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable

import msgspec

from headrace.protocol.identity import Name
from headrace.protocol.invitation import Role, may_speak_for
from headrace.protocol.topics import (
    BEACON,
    actor_of,
    delivery_topic,
    snapshot_topic,
    weights_topic,
)

_ROLE_OF = {
    "ingest": "actor",
    "control": "actor",
    "weights": "actor",
    "learner": "learner",
    "inference": "actor",  # of a policy server
}


class Peer(msgspec.Struct, frozen=True):
    """An invited peer.

    Attributes:
        key: the public key, in Z85.
    """

    key: str
    role: Role
    name: Name


class Permissions(abc.ABC):
    """Decides what a peer may do; `name` is what its connection was authenticated as."""

    @abc.abstractmethod
    def may_speak_for(self, name: str, actor: str) -> bool:
        """Returns whether the peer may send messages as an actor."""

    @abc.abstractmethod
    def may_learn(self, name: str) -> bool:
        """Returns whether the peer may send messages as a learner."""

    @abc.abstractmethod
    def may_subscribe(self, name: str, topic: bytes) -> bool:
        """Returns whether the peer may subscribe to a topic."""


class AllPermissions(Permissions):
    """Every peer may do everything: for addresses that only this machine can reach."""

    def may_speak_for(self, name: str, actor: str) -> bool:
        return True

    def may_learn(self, name: str) -> bool:
        return True

    def may_subscribe(self, name: str, topic: bytes) -> bool:
        return True


class KeyPermissions(Permissions):
    """Permissions of the peers that are invited and not revoked."""

    def __init__(self, peers: Iterable[Peer]) -> None:
        self._by_key = {peer.key: peer for peer in peers}
        self._by_name = {peer.name: peer for peer in self._by_key.values()}

    @property
    def peers(self) -> list[Peer]:
        """All invited peers."""
        return list(self._by_key.values())

    def find(self, key: str) -> Peer | None:
        """Returns the peer that a key belongs to, if it is invited."""
        return self._by_key.get(key)

    def peer_of(self, key: str, endpoint: str) -> Peer | None:
        """Returns the peer that a key belongs to; None if it may not use the endpoint."""
        peer = self._by_key.get(key)
        return peer if peer is not None and _ROLE_OF.get(endpoint) == peer.role else None

    def has_lost(self, former: KeyPermissions) -> bool:
        """Returns whether any peer of the former permissions has lost its access."""
        return any(self._by_key.get(key) != peer for key, peer in former._by_key.items())

    def may_speak_for(self, name: str, actor: str) -> bool:
        return self._is(name, "actor") and may_speak_for(name, actor)

    def may_learn(self, name: str) -> bool:
        return self._is(name, "learner")

    def may_subscribe(self, name: str, topic: bytes) -> bool:
        if not self._is(name, "actor"):
            return False
        if topic == BEACON or actor_of(topic, weights_topic) is not None:
            return True
        actor = actor_of(topic, delivery_topic) or actor_of(topic, snapshot_topic)
        return actor is not None and may_speak_for(name, actor)

    def _is(self, name: str, role: Role) -> bool:
        peer = self._by_name.get(name)
        return peer is not None and peer.role == role
