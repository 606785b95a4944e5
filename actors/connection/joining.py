"""How a client gets its invitation and its broker."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from headrace.protocol.broker_choice import choose_broker, split_addresses
from headrace.protocol.endpoints import DEFAULT_ADDRESS, BrokerAddress
from headrace.protocol.errors import ConfigError
from headrace.protocol.invitation import Invitation
from headrace.protocol.zeromq.invitation_file import load_invitation

_LOG = logging.getLogger("headrace.actor")


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


def broker_of(
    address: str | Sequence[str] | None, invitation: Invitation | None, actor: str
) -> BrokerAddress:
    """Returns the broker that an actor uses: of several, the one that its id chooses.

    Args:
        address: of one broker or several; None for the invitation's, or the default.

    Raises:
        ConfigError: an address is invalid, or given twice.
    """
    if address is None:
        address = invitation.address if invitation else DEFAULT_ADDRESS
    addresses = split_addresses(address)
    parsed = {text: BrokerAddress.parse_remote(text) for text in addresses}
    chosen = choose_broker(addresses, actor)
    if len(addresses) > 1:
        _LOG.info("actor %s uses the broker at %s, of %d", actor, chosen, len(addresses))
    return parsed[chosen]
