"""Chooses and checks actor ids."""

from __future__ import annotations

import os
import re
import secrets
import socket

from headrace.protocol.errors import (
    ConfigError,
)
from headrace.protocol.identity import require_name
from headrace.protocol.invitation import Invitation, may_speak_for


def default_actor_id() -> str:
    """Returns an id that no other process has: host, process id and a random part."""
    host = re.sub("[^!-~]", "-", socket.gethostname())[:64]
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"


def actor_id_of(actor: str | None, invitation: Invitation | None = None) -> str:
    """Returns the given id, or one that no other process has.

    Raises:
        ConfigError: the id is malformed, or the invitation does not cover it.
    """
    if actor is None:
        name = default_actor_id()
        return name if invitation is None else f"{invitation.name}.{name}"[:128]
    require_name(actor, "an actor id")
    if invitation is not None and not may_speak_for(invitation.name, actor):
        raise ConfigError(
            f"the invitation is for {invitation.name!r}, not for the actor id {actor!r}; "
            f"use {invitation.name!r}, or an id that begins with '{invitation.name}.'"
        )
    return actor
