"""Simulators that are made anew when they fail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from headrace.actors.recording.step_result import StepResult
from headrace.actors.simulators.environments import Environment
from headrace.actors.simulators.multi_agent_simulators import (
    AgentId,
    AgentsStep,
    MultiAgentSimulator,
)
from headrace.actors.simulators.resets import ResetOptions
from headrace.protocol.arrays import Array

_LOG = logging.getLogger("headrace.actor")
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 30.0

Pause = Callable[[float], bool]
"""Waits for so many seconds; returns True, at once, if there is no need to go on."""
Options = Callable[[], ResetOptions | None]
"""Returns what a simulator is to be reset with now."""


class _Fallible(Protocol):
    def reset(self, seed: int | None, options: ResetOptions | None) -> Any: ...

    def close(self) -> None: ...


Simulator = TypeVar("Simulator", bound=_Fallible)


class EpisodesBroken(Exception):
    """Raised by a step that no episode survived: the simulator was made anew.

    Attributes:
        observations: what the next episodes begin with, as `reset` returns it; None if there was no
            need to go on.
    """

    def __init__(self, observations: Any) -> None:
        super().__init__()
        self.observations = observations


class _Restarts(Generic[Simulator]):
    """Holds a simulator, and makes another one where it, or its reset, raises.

    What fails at the first `make` or `reset` is the user's mistake, and is raised.
    """

    def __init__(self, make: Callable[[], Simulator], pause: Pause, options: Options) -> None:
        self._make = make
        self._pause = pause
        self._options = options
        self._has_begun = False
        self.simulator = make()

    def reset(self, seed: int | None, options: ResetOptions | None) -> Any:
        """Resets the simulator, or another one if that fails."""
        try:
            observations = self.simulator.reset(seed, options)
        except Exception as error:
            if not self._has_begun:
                raise
            _LOG.warning("the simulator cannot be reset, and is made anew: %r", error)
            return self._begin_anew()
        self._has_begun = True
        return observations

    def attempt(self, step: Callable[[Any], Any], actions: Any) -> Any:
        """Returns what a step gives.

        Raises:
            EpisodesBroken: it failed, and there is another simulator.
        """
        try:
            return step(actions)
        except Exception as error:
            _LOG.warning("the simulator failed, and is made anew: %r", error)
            raise EpisodesBroken(self._begin_anew()) from error

    def _begin_anew(self) -> Any:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                self.simulator.close()
            except Exception as error:  # noqa: BLE001 - it is broken already
                _LOG.debug("the broken simulator cannot be closed: %r", error)
            try:
                self.simulator = self._make()
                return self.simulator.reset(None, self._options())
            except Exception as error:  # noqa: BLE001 - whatever a simulator raises
                _LOG.warning("cannot begin anew, tries again in %.1f s: %r", pause_s, error)
                if self._pause(pause_s):
                    return None
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _no_options() -> ResetOptions | None:
    return None


class RestartingEnvironment:
    """Environments that step together; all are made anew when one fails."""

    def __init__(
        self, make: Callable[[], Environment], pause: Pause, options: Options = _no_options
    ) -> None:
        """Makes the first ones.

        Args:
            options: what those that are made anew are reset with.
        """
        self._restarts = _Restarts(make, pause, options)
        self.count = self._restarts.simulator.count

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> dict[str, Array]:
        """Returns the first observations."""
        observations: dict[str, Array] = self._restarts.reset(seed, options)
        return observations

    def step(self, actions: Array) -> StepResult:
        """Steps the environments.

        Raises:
            EpisodesBroken: they failed, and were made anew.
        """
        result: StepResult = self._restarts.attempt(self._restarts.simulator.step, actions)
        return result

    def close(self) -> None:
        """Frees the environments."""
        self._restarts.simulator.close()


class RestartingSimulator:
    """A simulator with several agents, which is made anew when it fails."""

    def __init__(
        self, make: Callable[[], MultiAgentSimulator], pause: Pause, options: Options = _no_options
    ) -> None:
        """Makes the first one.

        Args:
            options: what one that is made anew is reset with.
        """
        self._restarts = _Restarts(make, pause, options)

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> Mapping[AgentId, Any]:
        """Returns what the agents see that act first."""
        observations: Mapping[AgentId, Any] = self._restarts.reset(seed, options)
        return observations

    def step(self, actions: Mapping[AgentId, Any]) -> AgentsStep:
        """Has these agents act.

        Raises:
            EpisodesBroken: the simulator failed, and was made anew.
        """
        step: AgentsStep = self._restarts.attempt(self._restarts.simulator.step, actions)
        return step

    def close(self) -> None:
        """Frees the simulator."""
        self._restarts.simulator.close()
