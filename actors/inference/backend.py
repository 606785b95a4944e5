"""The interface of a PolicyClient's sources of actions.

Actions come from this process (local_backend.py), or from a policy server (remote_backend.py); the
latter needs neither ONNX Runtime nor a broker here.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

from headrace.actors.connection.assignments import Reset
from headrace.actors.recording.step_result import Ending

Seen = Mapping[str, Any]
"""Observations by agent id."""


class InferenceBackend(abc.ABC):
    """Strategy of a PolicyClient. Episodes are identified by the client's names for them."""

    @abc.abstractmethod
    def is_multi_agent(self) -> bool:
        """Returns whether the run has several agents; waits for the learner.

        Raises:
            LocalProtocolError: the client was closed.
            RefusedError: the broker or the policy server will not serve this client.
        """

    @abc.abstractmethod
    def wait(self, timeout_s: float) -> bool:
        """Waits for a policy to act with; returns False on timeout.

        Raises:
            LocalProtocolError: the client was closed.
            RefusedError: the broker or the policy server will not serve this client.
        """

    @abc.abstractmethod
    def start(self, name: str, *, is_recorded: bool) -> None:
        """Begins an episode."""

    @abc.abstractmethod
    def assigned(self, name: str) -> Reset:
        """Returns an episode's assignment; the caller then resets the simulator with it."""

    @abc.abstractmethod
    def act(self, seen: Mapping[str, Seen]) -> dict[str, dict[str, Any]]:
        """Returns actions by episode and agent; raises as `is_multi_agent` does."""

    @abc.abstractmethod
    def note(self, name: str, seen: Seen, actions: Mapping[str, Any]) -> None:
        """Records observations, and actions that the policy did not choose.

        Raises:
            ConfigError: the learner cannot train on them.
            LocalProtocolError: the client was closed.
            RefusedError: the client will not be served, or the learner cannot train on them.
        """

    @abc.abstractmethod
    def reward(self, name: str, rewards: Mapping[str, float]) -> None:
        """Adds to the rewards of the last actions.

        Raises:
            LocalProtocolError: an agent has not acted.
        """

    @abc.abstractmethod
    def inform(self, name: str, infos: Mapping[str, Mapping[str, Any]]) -> None:
        """Records infos of the last actions.

        Raises:
            ConfigError: an info that the learner asks for is not a number.
            LocalProtocolError: an agent has not acted.
        """

    @abc.abstractmethod
    def leave(self, name: str, agent: str) -> None:
        """Lets a terminated agent leave."""

    @abc.abstractmethod
    def end(self, name: str, seen: Seen, ending: Ending) -> None:
        """Ends an episode; raises as `is_multi_agent` does."""

    @abc.abstractmethod
    def use_newest_weights(self) -> None:
        """Switches to the newest weights."""

    @abc.abstractmethod
    def interrupt(self) -> None:
        """Ends calls that wait in other threads; call nothing but `close` afterwards."""

    @abc.abstractmethod
    def close(self) -> None:
        """Delivers what was recorded, and disconnects."""
