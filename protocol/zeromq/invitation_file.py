"""Invitation files, each of which holds a secret key."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from headrace.protocol.errors import ConfigError
from headrace.protocol.invitation import Invitation, Role


def load_invitation(path: Path, role: Role) -> Invitation:
    """Returns the invitation in a file.

    Raises:
        ConfigError: the file cannot be read, other users can read it, or its role differs.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(f"cannot read the invitation {path}: it is not a file")
        line = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the invitation {path}: {error}") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path} holds a secret key, and others can read it: chmod 600 {path}")
    try:
        invitation = Invitation.parse(line)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    if invitation.role != role:
        raise ConfigError(
            f"{path} is an invitation for role {invitation.role}, not {role}: "
            f"`headrace invite {role} NAME` makes one for that role"
        )
    return invitation
