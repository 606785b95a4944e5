"""The folder with a broker's key pair and the public keys of invited peers.

`server.key` and `peers.json` are readable only by their owner. They are replaced atomically, and
changed under a lock, so a running broker can read them while other processes invite and revoke.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import zmq
from filelock import FileLock

from headrace.broker.access.peer_file import PeerFile
from headrace.broker.access.permissions import KeyPermissions, Peer
from headrace.protocol.errors import ConfigError
from headrace.protocol.identity import require_name
from headrace.protocol.invitation import Invitation, Role, may_speak_for

_Kind = TypeVar("_Kind")
_SERVER, _PEERS, _LOCK = "server.key", "peers.json", ".lock"


class ServerKey(msgspec.Struct, frozen=True):
    """The broker's key pair, in Z85."""

    public_key: str
    secret_key: str

    def __repr__(self) -> str:
        """Omits the secret key, since this may end up in a log."""
        return f"ServerKey({self.public_key})"


@dataclass(frozen=True)
class KeyFolder:
    """A folder made by `create`.

    All methods raise a ConfigError if it cannot be read or written.
    """

    path: Path

    def create(self) -> ServerKey:
        """Creates the folder with a new key pair.

        Raises:
            ConfigError: it already holds one.
        """
        with _reporting(self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            if (self.path / _SERVER).exists():
                raise ConfigError(
                    f"{self.path} already holds keys; replacing them would lock out every invited "
                    "peer, so choose another folder"
                )
            public, secret = zmq.curve_keypair()
            key = ServerKey(public.decode(), secret.decode())
            self._write(_SERVER, msgspec.json.encode(key))
            self._write(_PEERS, b"[]")
            return key

    def server_key(self) -> ServerKey:
        """Returns the broker's key pair."""
        return self._read(_SERVER, ServerKey)

    def peers(self) -> list[Peer]:
        """Returns the invited peers, without those that were revoked.

        Entries that are damaged are left out, and reported: they must not lock the folder.
        """
        return self._peer_file().peers

    def permissions(self) -> KeyPermissions:
        """Returns the permissions of the invited peers."""
        return KeyPermissions(self.peers())

    @property
    def changed_ns(self) -> int:
        """Time of the last invitation or revocation."""
        with _reporting(self.path):
            return (self.path / _PEERS).stat().st_mtime_ns

    def invite(self, role: Role, name: str, address: str) -> Invitation:
        """Invites a peer; only the returned invitation holds its new secret key.

        Raises:
            ConfigError: the name is malformed or taken, or its actor ids would overlap with
                another peer's.
        """
        require_name(name, "a peer's name")
        public, secret = zmq.curve_keypair()
        invitation = Invitation(address, role, name, self.server_key().public_key, secret.decode())

        def add(file: PeerFile) -> PeerFile:
            for peer in file.peers:
                if may_speak_for(peer.name, name) or may_speak_for(name, peer.name):
                    raise ConfigError(
                        f"{peer.name!r} is already invited, and {name!r} could use the same ids; "
                        f"choose another name, or `headrace revoke {peer.name}` first"
                    )
            return file.plus(Peer(public.decode(), role, name))

        self._change(add)
        return invitation

    def revoke(self, name: str) -> None:
        """Revokes an invitation; a running broker notices within a second.

        Raises:
            ConfigError: no invited peer has this name.
        """

        def remove(file: PeerFile) -> PeerFile:
            left = file.without(name)
            if left == file:
                names = ", ".join(sorted(peer.name for peer in file.peers)) or "none"
                raise ConfigError(f"no peer is invited as {name!r}; invited peers: {names}")
            return left

        self._change(remove)

    def _change(self, change: Callable[[PeerFile], PeerFile]) -> None:
        with self._locked():
            self._write(_PEERS, change(self._peer_file()).encoded())

    def _peer_file(self) -> PeerFile:
        return PeerFile.of(self._read(_PEERS, list[Any]), self.path / _PEERS)

    def _read(self, name: str, kind: type[_Kind]) -> _Kind:
        with _reporting(self.path):
            content = (self.path / name).read_bytes()
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.MsgspecError:
            # Without the cause, whose text might contain part of a secret.
            raise ConfigError(
                f"{self.path / name} is damaged: restore it from a backup, or make a new folder "
                "with `headrace keygen` and invite every peer again"
            ) from None

    def _write(self, name: str, content: bytes) -> None:
        temporary = self.path / f".{name}.part"
        with _reporting(self.path):
            temporary.unlink(missing_ok=True)
            file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "wb") as writer:
                writer.write(content)
                writer.flush()
                os.fsync(writer.fileno())
            os.replace(temporary, self.path / name)

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        lock = FileLock(self.path / _LOCK, mode=0o600)
        with _reporting(self.path):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


@contextlib.contextmanager
def _reporting(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be used as a key folder: {error}; `headrace keygen` makes one"
        ) from error
