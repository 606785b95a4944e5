"""Simulators that are recreated when they fail."""

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
from headrace.protocol.errors import ConfigError, first_line
from headrace.protocol.nested_actions import Actions
from headrace.protocol.repeats import is_worth_a_line
from headrace.protocol.simulator_errors import FAULTS

_LOG = logging.getLogger("headrace.actor")
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 30.0
_CALM_STEPS = 100
"""Steps in a row after which earlier failures no longer count."""
_HOPELESS = 5
"""Failures of the first step after which a simulator counts as unusable."""

Pause = Callable[[float], bool]
"""Waits for the given seconds; returns True, at once, if the caller should stop."""
Options = Callable[[], ResetOptions | None]
"""Returns the options for a reset now."""


class _Fallible(Protocol):
    def reset(self, seed: int | None, options: ResetOptions | None) -> Any: ...

    def close(self) -> None: ...


Simulator = TypeVar("Simulator", bound=_Fallible)


class EpisodesBroken(Exception):
    """Raised by a step that lost the open episodes: the simulator was recreated.

    Attributes:
        observations: the first ones of the next episodes, as `reset` returns them; None if the
            actor is stopping.
    """

    def __init__(self, observations: Any) -> None:
        super().__init__()
        self.observations = observations


class _Restarts(Generic[Simulator]):
    """Holds a simulator, and recreates it when its step or reset raises.

    Errors of the first `make` or `reset` are the user's mistakes: they end in ConfigErrors, which
    propagate at any time, and so do those of a simulator of which no step has ever succeeded. One
    that fails again and again is recreated ever more slowly.
    """

    def __init__(self, make: Callable[[], Simulator], pause: Pause, options: Options) -> None:
        self._make = make
        self._pause = pause
        self._options = options
        self._has_begun = self._has_stepped = False
        self._failures = 0
        self._failures_in_a_row = 0
        self._steps_in_a_row = 0
        self.simulator = make()

    def reset(self, seed: int | None, options: ResetOptions | None) -> Any:
        """Resets the simulator; recreates it if that fails."""
        try:
            observations = self.simulator.reset(seed, options)
        except ConfigError:
            raise
        except FAULTS as error:
            if not self._has_begun:
                raise ConfigError(
                    f"the simulator's first reset failed: {first_line(error)}"
                ) from error
            _LOG.warning("the simulator cannot be reset; recreating it: %r", error)
            return self._recreate()
        self._has_begun = True
        return observations

    def attempt(self, step: Callable[[Any], Any], actions: Any) -> Any:
        """Returns the result of a step.

        Raises:
            ConfigError: the simulator cannot work; no step has ever succeeded.
            EpisodesBroken: the step failed, and the simulator was recreated.
        """
        try:
            result = step(actions)
        except ConfigError:
            raise
        except FAULTS as error:
            self._count_failure(error)
            raise EpisodesBroken(self._recreate(self._failures_in_a_row - 1)) from error
        self._has_stepped = True
        self._steps_in_a_row += 1
        if self._steps_in_a_row == _CALM_STEPS:
            self._failures_in_a_row = 0
        return result

    def close(self) -> None:
        """Closes the simulator; logs what it raises."""
        try:
            self.simulator.close()
        except FAULTS as error:  # it is no longer needed
            _LOG.warning("the simulator cannot be closed: %r", error)

    def _count_failure(self, error: BaseException) -> None:
        self._failures += 1
        self._failures_in_a_row += 1
        self._steps_in_a_row = 0
        if not self._has_stepped and self._failures == _HOPELESS:
            raise ConfigError(
                f"the simulator's first step has failed {_HOPELESS} times, and no step has "
                f"succeeded: {error!r}"
            ) from error
        if self._failures == 1:
            _LOG.warning("the simulator failed; recreating it: %r", error)
        elif is_worth_a_line(self._failures):
            _LOG.warning("the simulator has failed %d times; now: %r", self._failures, error)

    def _recreate(self, earlier_attempts: int = 0) -> Any:
        """Returns the first observations of a new simulator, None if the actor is stopping."""
        pause_s = min(_FIRST_PAUSE_S * 2.0 ** (earlier_attempts - 1), _LONGEST_PAUSE_S)
        if earlier_attempts and self._pause(pause_s):
            return None
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                self.simulator.close()
            except FAULTS as error:  # it is broken already
                _LOG.debug("the broken simulator cannot be closed: %r", error)
            try:
                self.simulator = self._make()
                return self.simulator.reset(None, self._options())
            except FAULTS as error:
                _LOG.warning("cannot recreate the simulator; retry in %.1f s: %r", pause_s, error)
                if self._pause(pause_s):
                    return None
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _no_options() -> ResetOptions | None:
    return None


class RestartingEnvironment:
    """Environments that step together; all are recreated when one fails."""

    def __init__(
        self, make: Callable[[], Environment], pause: Pause, options: Options = _no_options
    ) -> None:
        """Makes the first environments.

        Args:
            options: returns the options with which recreated environments are reset.
        """
        self._restarts = _Restarts(make, pause, options)
        self.count = self._restarts.simulator.count

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> dict[str, Array]:
        """Returns the first observations."""
        observations: dict[str, Array] = self._restarts.reset(seed, options)
        return observations

    def step(self, actions: Actions) -> StepResult:
        """Steps the environments.

        Raises:
            EpisodesBroken: one failed, and all were recreated.
        """
        result: StepResult = self._restarts.attempt(self._restarts.simulator.step, actions)
        return result

    def close(self) -> None:
        """Frees the environments; logs what they raise."""
        self._restarts.close()


class RestartingSimulator:
    """A simulator with several agents that is recreated when it fails."""

    def __init__(
        self, make: Callable[[], MultiAgentSimulator], pause: Pause, options: Options = _no_options
    ) -> None:
        """Makes the first simulator.

        Args:
            options: returns the options with which a recreated simulator is reset.
        """
        self._restarts = _Restarts(make, pause, options)

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> Mapping[AgentId, Any]:
        """Returns the observations of the agents that act first."""
        observations: Mapping[AgentId, Any] = self._restarts.reset(seed, options)
        return observations

    def step(self, actions: Mapping[AgentId, Any]) -> AgentsStep:
        """Steps with the actions of these agents.

        Raises:
            EpisodesBroken: the simulator failed, and was recreated.
        """
        step: AgentsStep = self._restarts.attempt(self._restarts.simulator.step, actions)
        return step

    def close(self) -> None:
        """Frees the simulator; logs what it raises."""
        self._restarts.close()
