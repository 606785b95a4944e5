"""A common interface to multi-agent environments: PettingZoo's two kinds and RLlib's.

Neither PettingZoo nor Ray is imported: an environment is recognised by the names of its bases.
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
    """The result of one step.

    Attributes:
        observations: those of the agents that act next, and the last ones of agents that leave.
        rewards: by agent, since its previous reward.
        endings: those of the agents that leave with this step.
        ending: that of the whole episode, for all remaining agents; None if it continues.
        infos: info dicts by agent.
    """

    observations: Mapping[AgentId, Any]
    rewards: Mapping[AgentId, float]
    endings: Mapping[AgentId, Ending]
    ending: Ending | None = None
    infos: Mapping[AgentId, Mapping[str, Any]] = field(default_factory=dict)


class MultiAgentSimulator(Protocol):
    """A simulator with several agents, as the collector steps it."""

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> Mapping[AgentId, Any]:
        """Returns the observations of the agents that act first.

        Args:
            options: for this reset alone.
        """
        ...

    def step(self, actions: Mapping[AgentId, Any]) -> AgentsStep:
        """Steps with the actions of these agents; if it ends the episode, reset next."""
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
        """Steps with the actions of all agents."""
        observations, rewards, terminated, truncated, infos = self._env.step(dict(actions))
        endings = _endings(terminated, truncated)
        ending = None if self._env.agents else _ending_of_all(endings)
        return AgentsStep(dict(observations), _numbers(rewards), endings, ending, infos)

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()


class TurnSimulator:
    """PettingZoo's AECEnv: agents act in turn."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> Mapping[AgentId, Any]:
        """Returns the observation of the first agent."""
        self._env.reset(**reset_arguments(seed, options))
        return {self._env.agent_selection: self._env.last()[0]}

    def step(self, actions: Mapping[AgentId, Any]) -> AgentsStep:
        """Steps the agent whose turn it is, and lets terminated and truncated agents leave."""
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
    """RLlib's MultiAgentEnv: the agents with an observation act."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> Mapping[AgentId, Any]:
        """Returns the observations of the agents that act first."""
        observations, _ = self._env.reset(**reset_arguments(seed, options))
        return dict(observations)

    def step(self, actions: Mapping[AgentId, Any]) -> AgentsStep:
        """Steps with the actions of these agents."""
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
    """Returns a multi-agent environment as a simulator.

    Raises:
        ConfigError: the environment is of an unknown kind.
    """
    bases = [base.__name__ for base in type(env).__mro__]
    for name, kind in _KINDS.items():
        if name in bases:
            return kind(env)
    raise ConfigError(
        f"{type(env).__name__} is neither PettingZoo's ParallelEnv or AECEnv nor RLlib's "
        "MultiAgentEnv; connect a simulator of another kind through PolicyClient"
    )


def _endings(terminated: Mapping[str, Any], truncated: Mapping[str, Any]) -> dict[AgentId, Ending]:
    agents = {**terminated, **truncated}.keys() - {_ALL}
    endings = {a: Ending(bool(terminated.get(a)), bool(truncated.get(a))) for a in sorted(agents)}
    return {agent: end for agent, end in endings.items() if end.terminated or end.truncated}


def _ending_of_all(endings: Mapping[AgentId, Ending]) -> Ending:
    """Returns truncated only if every agent is truncated, else terminated, as RLlib does."""
    is_truncated = all(end.truncated for end in endings.values())
    return Ending(terminated=not is_truncated, truncated=is_truncated)


def _numbers(rewards: Mapping[str, Any]) -> dict[AgentId, float]:
    return {agent: float(reward) for agent, reward in rewards.items()}
