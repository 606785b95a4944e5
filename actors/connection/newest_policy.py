"""The newest policy that has arrived at an actor, decoded when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.protocol.arrays import Array
from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.limits import DecodeLimits
from headrace.protocol.manifest import Policy, decode_policy, policy_digest
from headrace.protocol.messages import Snapshot, Weights
from headrace.protocol.messages.headers import Frame
from headrace.protocol.payload import decode_payload

ModuleWeights = dict[str, dict[str, Array]]


@dataclass(frozen=True)
class PolicyUpdate:
    """The newest policy available to an actor.

    Attributes:
        digest: unchanged while only the weights change, so that graphs need not be reloaded.
        weights: tensors by module id and name.
    """

    version: PolicyVersion
    digest: str
    policy: Policy
    weights: ModuleWeights


@dataclass(frozen=True)
class _Received:
    version: PolicyVersion
    digest: str
    policy: Policy
    weights_frame: Frame


class NewestPolicy:
    """Takes snapshots and the weights that follow one; decodes weights in `update`."""

    def __init__(self) -> None:
        self._received: _Received | None = None
        self._update: PolicyUpdate | None = None

    @property
    def run(self) -> str | None:
        """Its run, None before the first snapshot."""
        return self._received.policy.manifest.run if self._received is not None else None

    @property
    def version(self) -> PolicyVersion | None:
        """Its version, None before the first snapshot."""
        return self._received.version if self._received is not None else None

    @property
    def digest(self) -> str | None:
        """The digest of its policy frame, None before the first snapshot."""
        return self._received.digest if self._received is not None else None

    def receive(self, message: Snapshot | Weights, payloads: Sequence[Frame]) -> None:
        """Takes a message of the weights endpoint, unless its run has sent a newer version.

        Raises:
            RemoteProtocolError: the message is invalid; drop it and continue.
        """
        if isinstance(message, Snapshot):
            policy_frame, weights_frame = payloads
            self._take(self._policy_of(message, policy_frame), message, weights_frame)
        elif self._received is not None and message.policy_digest == self._received.digest:
            self._take(self._received.policy, message, payloads[0])

    def update(self, limits: DecodeLimits) -> PolicyUpdate | None:
        """Returns the policy, decoded once, or None before the first snapshot.

        Raises:
            RemoteProtocolError: the weights cannot be decoded.
        """
        newest = self._received
        if self._update is None and newest is not None:
            weights: ModuleWeights = decode_payload(newest.weights_frame, limits)
            self._update = PolicyUpdate(newest.version, newest.digest, newest.policy, weights)
        return self._update

    def _policy_of(self, message: Snapshot, frame: Frame) -> Policy:
        if self._received is not None and message.policy_digest == self._received.digest:
            return self._received.policy
        if policy_digest(frame) != message.policy_digest:
            raise RemoteProtocolError(
                RejectCode.INVALID_POLICY, "a policy frame that differs from its digest"
            )
        return decode_policy(frame)

    def _take(self, policy: Policy, message: Snapshot | Weights, frame: Frame) -> None:
        old = self._received
        if old is not None and self.run == message.run and message.version <= old.version:
            return
        self._received = _Received(message.version, message.policy_digest, policy, frame)
        self._update = None
