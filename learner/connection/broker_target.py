"""A broker that a learner connects to."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.invitation import Invitation
from headrace.protocol.zeromq.diagnosis import LEARNER, diagnose


@dataclass(frozen=True)
class BrokerTarget:
    """An address as the learner sees it, and the invitation if that broker has keys."""

    address: str
    invitation: Invitation | None = None

    @property
    def endpoint(self) -> str:
        """The endpoint for learners.

        Raises:
            ConfigError: the address is invalid.
        """
        return BrokerAddress.parse_remote(self.address).learner

    def describe_silence(self) -> str:
        """Returns why the broker may not answer; looks at this host, which takes a while."""
        cause = diagnose(self.endpoint, LEARNER, has_keys=self.invitation is not None)
        port = "" if self.address == self.endpoint else f" (port for learners: {self.endpoint})"
        return f"waiting for a broker at {self.address}{port}: {cause}"
