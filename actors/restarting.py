"""Simulators that are made anew when they fail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from headrace.actors.environments import Environment
from headrace.actors.multi_agent_simulators import AgentId, AgentsStep, MultiAgentSimulator
from headrace.actors.recorder import StepResult
from headrace.actors.resets import ResetOptions
from headrace.protocol.arrays import Array

_LOG = logging.getLogger("headrace.actor")
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 30.0

Pause = Callable[[float], object]
"""Waits for so many seconds, or until there is no need."""


class _Fallible(Protocol):
    def reset(self, seed: int | None, options: ResetOptions | None) -> Any: ...

    def close(self) -> None: ...


Simulator = TypeVar("Simulator", bound=_Fallible)


class EpisodesBroken(Exception):
    """Raised by a step that no episode survived: the simulator was made anew.

    Attributes:
        observations: what the next episodes begin with, as `reset` returns it.
    """

    def __init__(self, observations: Any) -> None:
        super().__init__()
        self.observations = observations


class _Restarts(Generic[Simulator]):
    """Holds a simulator, and makes another one where it, or its reset, raises.

    What fails at the first `make` is the user's mistake, and is raised.
    """

    def __init__(self, make: Callable[[], Simulator], pause: Pause) -> None:
        self._make = make
        self._pause = pause
        self._options: ResetOptions | None = None
        self.simulator = make()

    def reset(self, seed: int | None, options: ResetOptions | None) -> Any:
        """Resets the simulator; one that is made anew is reset with the same options."""
        self._options = self._options if options is None else options
        return self.simulator.reset(seed, options)

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
                return self.simulator.reset(None, self._options)
            except Exception as error:  # noqa: BLE001 - whatever a simulator raises
                _LOG.warning("cannot begin anew, tries again in %.1f s: %r", pause_s, error)
                self._pause(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


class RestartingEnvironment:
    """Environments that step together; all are made anew when one fails."""

    def __init__(self, make: Callable[[], Environment], pause: Pause) -> None:
        self._restarts = _Restarts(make, pause)
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

    def __init__(self, make: Callable[[], MultiAgentSimulator], pause: Pause) -> None:
        self._restarts = _Restarts(make, pause)

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
