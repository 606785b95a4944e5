"""Where the actions of a PolicyClient come from.

This process (local_inference.py), or a policy server (remote_inference.py), beside which neither
ONNX Runtime nor a broker is needed.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

from headrace.actors.connection.assignments import Reset
from headrace.actors.recording.step_result import Ending

Seen = Mapping[str, Any]
"""Observations by agent id."""


class Inference(abc.ABC):
    """Strategy of a PolicyClient. Episodes go by the names that the client gave them."""

    @abc.abstractmethod
    def is_multi_agent(self) -> bool:
        """Returns whether agents have names; waits for the learner.

        Raises:
            LocalProtocolError: the client was closed.
            RefusedError: nobody will serve it.
        """

    @abc.abstractmethod
    def wait(self, timeout_s: float) -> bool:
        """Returns whether there is a policy to act with, within so many seconds.

        Raises:
            LocalProtocolError: the client was closed.
            RefusedError: nobody will serve it.
        """

    @abc.abstractmethod
    def start(self, name: str, *, is_recorded: bool) -> None:
        """Begins an episode."""

    @abc.abstractmethod
    def assigned(self, name: str) -> Reset:
        """Returns what an episode began under; who asks says that its simulator is reset so."""

    @abc.abstractmethod
    def act(self, seen: Mapping[str, Seen]) -> dict[str, dict[str, Any]]:
        """Returns actions by episode and agent; raises as `is_multi_agent` does."""

    @abc.abstractmethod
    def note(self, name: str, seen: Seen, actions: Mapping[str, Any]) -> None:
        """Records what agents do upon what they see, without asking the policy.

        Raises:
            ConfigError: the learner cannot train on it.
            LocalProtocolError: the client was closed.
            RefusedError: nobody will serve it, or the learner cannot train on it.
        """

    @abc.abstractmethod
    def reward(self, name: str, rewards: Mapping[str, float]) -> None:
        """Adds to what the last actions have brought.

        Raises:
            LocalProtocolError: an agent has not acted.
        """

    @abc.abstractmethod
    def inform(self, name: str, infos: Mapping[str, Mapping[str, Any]]) -> None:
        """Notes what the simulator says of the last actions.

        Raises:
            ConfigError: what the learner asks for is no number.
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
        """Acts with the newest weights from now on."""

    @abc.abstractmethod
    def interrupt(self) -> None:
        """Ends whatever waits in another thread; only `close` may follow."""

    @abc.abstractmethod
    def close(self) -> None:
        """Delivers what there is, and disconnects."""
