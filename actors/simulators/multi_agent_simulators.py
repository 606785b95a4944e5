"""A common interface to multi-agent environments: PettingZoo's two kinds and RLlib's.

Neither PettingZoo nor Ray is imported: an environment is recognised by the names of its bases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from headrace.actors.recording.simulator_values import flag_of, reward_of, rewards_by_agent
from headrace.actors.recording.step_result import Ending
from headrace.actors.simulators.resets import ResetOptions, reset_arguments
from headrace.protocol.errors import ConfigError

AgentId = str
_ALL = "__all__"
"""RLlib's key for all agents."""
_RESULTS = 5

Value = TypeVar("Value")

_CUT_OFF = Ending(terminated=False, truncated=True)
"""Of an episode whose agents disappear without a flag."""


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


class _Ended:
    """The agents of an episode that have ended, for environments that keep naming them."""

    def __init__(self) -> None:
        self._seen: set[AgentId] = set()
        self._ended: set[AgentId] = set()

    def begin(self, observations: Mapping[AgentId, Any]) -> None:
        """Begins an episode with these agents."""
        self._seen, self._ended = set(observations), set()

    def add(self, observations: Mapping[AgentId, Any], endings: Mapping[AgentId, Ending]) -> None:
        """Adds the agents that leave with a step; one that is seen again has returned."""
        self._seen |= observations.keys()
        self._ended -= observations.keys()
        self._ended |= endings.keys()

    def includes(self, agents: Iterable[AgentId]) -> bool:
        """Returns whether all of these agents, and all that were seen, have ended."""
        return bool(self._ended) and self._ended >= self._seen.union(agents)


class _Names:
    """Texts in place of agent ids of other kinds, such as RLlib's integers."""

    def __init__(self) -> None:
        self._agents: dict[AgentId, Any] = {}

    def of(self, agent: Any) -> AgentId:
        """Returns an agent's name."""
        name = str(agent)
        self._agents[name] = agent
        return name

    def by_name(self, values: Mapping[Any, Value]) -> dict[AgentId, Value]:
        """Returns values by name instead of id."""
        return {self.of(agent): value for agent, value in values.items()}

    def by_agent(self, values: Mapping[AgentId, Value]) -> dict[Any, Value]:
        """Returns values by id instead of name."""
        return {self._agents.get(name, name): value for name, value in values.items()}


class ParallelSimulator:
    """PettingZoo's ParallelEnv: all agents act at once."""

    def __init__(self, env: Any) -> None:
        self._env = env
        self._ended = _Ended()
        self._names = _Names()

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> Mapping[AgentId, Any]:
        """Returns the first observations of all agents."""
        seen = _first_observations(self._env, seed, options)
        self._names = _Names()
        observations = self._names.by_name(seen)
        self._ended.begin(observations)
        return observations

    def step(self, actions: Mapping[AgentId, Any]) -> AgentsStep:
        """Steps with the actions of all agents."""
        observations, rewards, terminated, truncated, infos = (
            self._names.by_name(each) for each in _five(self._env, self._names.by_agent(actions))
        )
        endings = _endings(terminated, truncated)
        self._ended.add(observations, endings)
        agents = [self._names.of(agent) for agent in self._env.agents]
        ending = ending_of(terminated.get(_ALL, False), truncated.get(_ALL, False))
        if not agents or self._ended.includes(agents):
            ending = _ending_of_all(endings) if endings else ending or _CUT_OFF
        return AgentsStep(observations, rewards_by_agent(rewards), endings, ending, infos)

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()


class TurnSimulator:
    """PettingZoo's AECEnv: agents act in turn."""

    def __init__(self, env: Any) -> None:
        self._env = env
        self._names = _Names()

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> Mapping[AgentId, Any]:
        """Returns the observation of the first agent."""
        self._env.reset(**reset_arguments(seed, options))
        self._names = _Names()
        return {self._names.of(self._env.agent_selection): self._env.last()[0]}

    def step(self, actions: Mapping[AgentId, Any]) -> AgentsStep:
        """Steps the agent whose turn it is, and lets terminated and truncated agents leave."""
        self._env.step(actions[self._names.of(self._env.agent_selection)])
        observations: dict[AgentId, Any] = {}
        rewards: dict[AgentId, float] = {}
        endings: dict[AgentId, Ending] = {}
        infos: dict[AgentId, Mapping[str, Any]] = {}
        is_over = not self._env.agents
        while self._env.agents:
            agent = self._names.of(self._env.agent_selection)
            last: Any = self._env.last()
            if not isinstance(last, tuple) or len(last) != _RESULTS:
                raise ConfigError(
                    f"last() of {type(self._env).__name__} does not return five values: "
                    "observation, reward, terminated, truncated, info"
                )
            observations[agent], reward, terminated, truncated, infos[agent] = last
            rewards[agent] = rewards.get(agent, 0.0) + reward_of(reward)
            own = ending_of(terminated, truncated)
            if own is None:
                break
            if agent in endings:
                raise ConfigError(
                    f"{type(self._env).__name__} selects agent {agent!r} again after it has ended; "
                    "remove it from `agents` in step(None), as PettingZoo's AECEnv does with "
                    "_was_dead_step"
                )
            endings[agent] = own
            self._env.step(None)
            is_over = endings.keys() >= set(map(str, self._env.agents))
            if is_over:
                break
        ending = _ending_of_all(endings) if is_over else None
        return AgentsStep(observations, rewards, endings, ending, infos)

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()


class RLlibSimulator:
    """RLlib's MultiAgentEnv: the agents with an observation act."""

    def __init__(self, env: Any) -> None:
        self._env = env
        self._ended = _Ended()
        self._names = _Names()

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> Mapping[AgentId, Any]:
        """Returns the observations of the agents that act first."""
        seen = _first_observations(self._env, seed, options)
        self._names = _Names()
        observations = self._names.by_name(seen)
        self._ended.begin(observations)
        return observations

    def step(self, actions: Mapping[AgentId, Any]) -> AgentsStep:
        """Steps with the actions of these agents."""
        observations, rewards, terminated, truncated, infos = (
            self._names.by_name(each) for each in _five(self._env, self._names.by_agent(actions))
        )
        endings = _endings(terminated, truncated)
        self._ended.add(observations, endings)
        ending = ending_of(terminated.get(_ALL, False), truncated.get(_ALL, False))
        if ending is None and self._ended.includes(()):
            ending = _ending_of_all(endings)
        return AgentsStep(observations, rewards_by_agent(rewards), endings, ending, infos)

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


def ending_of(terminated: Any, truncated: Any) -> Ending | None:
    """Returns how an agent's episode has ended, None if it has not; terminated wins.

    Raises:
        ConfigError: a flag is neither true nor false.
    """
    has_terminated = flag_of("terminated", terminated)
    if not has_terminated and not flag_of("truncated", truncated):
        return None
    return Ending(has_terminated, not has_terminated)


def _first_observations(
    env: Any, seed: int | None, options: ResetOptions | None
) -> Mapping[Any, Any]:
    """Returns the observations that a reset returns, by agent id.

    Raises:
        ConfigError: these are not observations and infos by agent id, or nobody acts.
    """
    result: Any = env.reset(**reset_arguments(seed, options))
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[0], Mapping):
        raise ConfigError(
            f"reset() of {type(env).__name__} does not return two maps by agent id: observations, "
            "infos"
        )
    if not result[0]:
        raise ConfigError(
            f"reset() of {type(env).__name__} returns no observation: at least one agent has to act"
        )
    return result[0]


def _five(env: Any, actions: Mapping[Any, Any]) -> tuple[Mapping[Any, Any], ...]:
    """Returns what a step returns, all by agent id.

    Raises:
        ConfigError: these are not five maps.
    """
    step: Any = env.step(actions)
    if (
        not isinstance(step, tuple)
        or len(step) != _RESULTS
        or not all(isinstance(each, Mapping) for each in step)
    ):
        raise ConfigError(
            f"step() of {type(env).__name__} does not return five maps by agent id: observations, "
            "rewards, terminated, truncated, infos"
        )
    return step


def _endings(terminated: Mapping[str, Any], truncated: Mapping[str, Any]) -> dict[AgentId, Ending]:
    agents = {**terminated, **truncated}.keys() - {_ALL}
    endings = {a: ending_of(terminated.get(a, False), truncated.get(a, False)) for a in agents}
    return {agent: end for agent, end in sorted(endings.items()) if end is not None}


def _ending_of_all(endings: Mapping[AgentId, Ending]) -> Ending:
    """Returns truncated only if every agent is truncated, else terminated, as RLlib does."""
    is_truncated = all(end.truncated for end in endings.values())
    return Ending(terminated=not is_truncated, truncated=is_truncated)
