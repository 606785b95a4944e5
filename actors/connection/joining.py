"""How a client gets its invitation."""

from __future__ import annotations

from pathlib import Path

from headrace.protocol.errors import ConfigError
from headrace.protocol.invitation import Invitation
from headrace.protocol.zeromq.invitation_file import load_invitation


def invitation_of(invitation: Invitation | None, join: str | Path | None) -> Invitation | None:
    """Returns the given invitation, or that in an actor's invitation file; None without either.

    Raises:
        ConfigError: both are given, or the file is not an actor's invitation.
    """
    if join is None:
        return invitation
    if invitation is not None:
        raise ConfigError("give either an invitation or join, the path of its file")
    return load_invitation(Path(join), "actor")
