"""Simulators with several agents, of PettingZoo's two kinds and RLlib's, as one thing to step.

Neither PettingZoo nor Ray is imported: the names of an environment's bases tell what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from headrace.actors.recording.step_result import Ending
from headrace.actors.simulators.resets import ResetOptions, reset_arguments
from headrace.protocol.errors import ConfigError

AgentId = str
_ALL = "__all__"
"""RLlib's key for all agents."""


@dataclass(frozen=True)
class AgentsStep:
    """What one step gave.

    Attributes:
        observations: of the agents that act next, and the last ones of those that leave.
        rewards: since each agent's last one.
        endings: of the agents that leave with this step.
        ending: of the whole episode, for all who are still there; None if it goes on.
        infos: dicts of what else is told, by agent.
    """

    observations: Mapping[AgentId, Any]
    rewards: Mapping[AgentId, float]
    endings: Mapping[AgentId, Ending]
    ending: Ending | None = None
    infos: Mapping[AgentId, Mapping[str, Any]] = field(default_factory=dict)


class MultiAgentSimulator(Protocol):
    """What the collector steps."""

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> Mapping[AgentId, Any]:
        """Returns what the agents see that act first.

        Args:
            options: for this reset alone.
        """
        ...

    def step(self, actions: Mapping[AgentId, Any]) -> AgentsStep:
        """Has these agents act; one that ends the episode is followed by a reset."""
        ...

    def close(self) -> None:
        """Frees the simulator."""
        ...


class ParallelSimulator:
    """PettingZoo's ParallelEnv: all agents act at once."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> Mapping[AgentId, Any]:
        """Returns the first observations of all agents."""
        observations, _ = self._env.reset(**reset_arguments(seed, options))
        return dict(observations)

    def step(self, actions: Mapping[AgentId, Any]) -> AgentsStep:
        """Has all agents act."""
        observations, rewards, terminated, truncated, infos = self._env.step(dict(actions))
        endings = _endings(terminated, truncated)
        ending = None if self._env.agents else _ending_of_all(endings)
        return AgentsStep(dict(observations), _numbers(rewards), endings, ending, infos)

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()


class TurnSimulator:
    """PettingZoo's AECEnv: one agent acts after another."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> Mapping[AgentId, Any]:
        """Returns what the first agent sees."""
        self._env.reset(**reset_arguments(seed, options))
        return {self._env.agent_selection: self._env.last()[0]}

    def step(self, actions: Mapping[AgentId, Any]) -> AgentsStep:
        """Has the agent act whose turn it is, and those leave that have ended."""
        self._env.step(actions[self._env.agent_selection])
        observations: dict[AgentId, Any] = {}
        rewards: dict[AgentId, float] = {}
        endings: dict[AgentId, Ending] = {}
        infos: dict[AgentId, Mapping[str, Any]] = {}
        while self._env.agents:
            agent = self._env.agent_selection
            observations[agent], reward, terminated, truncated, infos[agent] = self._env.last()
            rewards[agent] = rewards.get(agent, 0.0) + float(reward)
            if not (terminated or truncated):
                break
            endings[agent] = Ending(bool(terminated), bool(truncated))
            self._env.step(None)
        ending = None if self._env.agents else _ending_of_all(endings)
        return AgentsStep(observations, rewards, endings, ending, infos)

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()


class RLlibSimulator:
    """RLlib's MultiAgentEnv: those act that it showed something to."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> Mapping[AgentId, Any]:
        """Returns what the agents see that act first."""
        observations, _ = self._env.reset(**reset_arguments(seed, options))
        return dict(observations)

    def step(self, actions: Mapping[AgentId, Any]) -> AgentsStep:
        """Has those act."""
        observations, rewards, terminated, truncated, infos = self._env.step(dict(actions))
        ending = Ending(bool(terminated.get(_ALL)), bool(truncated.get(_ALL)))
        is_over = ending.terminated or ending.truncated
        return AgentsStep(
            dict(observations),
            _numbers(rewards),
            _endings(terminated, truncated),
            ending if is_over else None,
            infos,
        )

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()


_KINDS: Mapping[str, Callable[[Any], MultiAgentSimulator]] = {
    "MultiAgentEnv": RLlibSimulator,
    "AECEnv": TurnSimulator,
    "ParallelEnv": ParallelSimulator,
}


def simulator_of(env: Any) -> MultiAgentSimulator:
    """Returns an environment with several agents as a simulator.

    Raises:
        ConfigError: it is none that is known here.
    """
    bases = [base.__name__ for base in type(env).__mro__]
    for name, kind in _KINDS.items():
        if name in bases:
            return kind(env)
    raise ConfigError(
        f"{type(env).__name__} is neither PettingZoo's ParallelEnv or AECEnv nor RLlib's "
        "MultiAgentEnv; a simulator of another kind plugs in with PolicyClient"
    )


def _endings(terminated: Mapping[str, Any], truncated: Mapping[str, Any]) -> dict[AgentId, Ending]:
    agents = {**terminated, **truncated}.keys() - {_ALL}
    endings = {a: Ending(bool(terminated.get(a)), bool(truncated.get(a))) for a in sorted(agents)}
    return {agent: end for agent, end in endings.items() if end.terminated or end.truncated}


def _ending_of_all(endings: Mapping[AgentId, Ending]) -> Ending:
    """Where some are cut short and others not, the whole counts as terminated, as in RLlib."""
    is_truncated = all(end.truncated for end in endings.values())
    return Ending(terminated=not is_truncated, truncated=is_truncated)


def _numbers(rewards: Mapping[str, Any]) -> dict[AgentId, float]:
    return {agent: float(reward) for agent, reward in rewards.items()}
