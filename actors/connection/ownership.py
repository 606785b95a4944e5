"""Who may use a client: one agent, in the process that made it."""

from __future__ import annotations

import os
import weakref

from headrace.protocol.errors import LocalProtocolError


class Ownership:
    """Belongs to the process that makes it."""

    def __init__(self) -> None:
        self._process_id = os.getpid()
        self._owner: weakref.ref[object] | None = None

    @property
    def is_own_process(self) -> bool:
        """Whether this process is not a child of that one."""
        return os.getpid() == self._process_id

    def require_own_process(self) -> None:
        """Raises LocalProtocolError in a child: the client's thread did not survive the fork."""
        if not self.is_own_process:
            raise LocalProtocolError(
                "this client belongs to the parent process: its thread did not survive the fork; "
                "make a Client in the child, or start children with the method 'spawn'"
            )

    def claim(self, owner: object) -> None:
        """Lets one agent use the client, for as long as the agent exists.

        Raises:
            LocalProtocolError: another one does.
        """
        former = self._owner() if self._owner is not None else None
        if former is not None and former is not owner:
            raise LocalProtocolError(
                "this client already serves another agent; make a Client for each agent"
            )
        self._owner = weakref.ref(owner)
