"""Invitations: one line of text with which an actor or a learner joins a broker with keys.

CURVE (RFC 26/CurveZMQ) authenticates both sides: the client knows the broker's public key, and the
broker knows the client's. The line holds the client's secret key, so it belongs in a file that only
its user can read, and nowhere else: not on a command line, which every process can see.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import re
import warnings
from typing import Any, Literal

import msgspec

from headrace.protocol.errors import ConfigError
from headrace.protocol.identity import Name

Role = Literal["actor", "learner"]

_PREFIX = "headrace-invitation-1:"
_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")


class Invitation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address, role and name to join with, and the keys, in ZeroMQ's Z85 encoding.

    Attributes:
        name: the actor id is this, or begins with this and a dot.
    """

    address: str
    role: Role
    name: Name
    server_key: str
    secret_key: str

    def __post_init__(self) -> None:
        if not (_KEY.fullmatch(self.server_key) and _KEY.fullmatch(self.secret_key)):
            raise ValueError("a key is not 40 characters of Z85")

    def __repr__(self) -> str:
        """Omits the secret, since a repr may end up in a log."""
        return f"Invitation({self.role} {self.name!r} at {self.address})"

    def to_line(self) -> str:
        """Returns the line that `parse` reads; it holds the secret key."""
        return _PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(self)).decode()

    @classmethod
    def parse(cls, line: str) -> Invitation:
        """Returns the invitation in a line.

        Raises:
            ConfigError: the line is not an invitation. The message does not repeat the line.
        """
        text = line.strip()
        if not text.startswith(_PREFIX):
            raise ConfigError(
                f"this is not an invitation: an invitation is a line that begins with {_PREFIX!r}, "
                "as `headrace invite` prints it"
            )
        try:
            decoded = base64.urlsafe_b64decode(text.removeprefix(_PREFIX).encode())
            return msgspec.json.decode(decoded, type=cls)
        except (binascii.Error, UnicodeEncodeError, msgspec.MsgspecError):
            # Without the cause, whose text might hold part of the secret.
            raise ConfigError("this invitation is damaged; ask for another one") from None


def may_speak_for(name: str, actor: str) -> bool:
    """Returns whether the peer invited as `name` may use an actor id.

    One invitation is enough for a fleet: `walker` covers the actors `walker.1`, `walker.2`, …
    """
    return actor == name or actor.startswith(f"{name}.")


def __getattr__(name: str) -> Any:
    if name != "load_invitation":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        "headrace.protocol.invitation.load_invitation has moved to headrace.actors.load_invitation",
        DeprecationWarning,
        stacklevel=2,
    )
    return importlib.import_module("headrace.protocol.zeromq.invitation_file").load_invitation
