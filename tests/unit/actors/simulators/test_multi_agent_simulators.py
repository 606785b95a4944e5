"""PettingZoo's two kinds of environments as simulators."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from pettingzoo import AECEnv
from pettingzoo.utils.conversions import parallel_to_aec
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from support.survivors import Survivors

from headrace.actors.recording.step_result import Ending
from headrace.actors.simulators.multi_agent_simulators import (
    MultiAgentSimulator,
    ParallelSimulator,
    TurnSimulator,
    simulator_of,
)
from headrace.actors.simulators.restarting import RestartingSimulator
from headrace.protocol.errors import ConfigError

_AECEnv: Any = AECEnv

SEED = 11


@dataclass
class Played:
    """The totals of one episode's agents."""

    rewards: Counter[str] = field(default_factory=Counter)
    acted: Counter[str] = field(default_factory=Counter)
    endings: dict[str, Ending] = field(default_factory=dict)
    ending: Ending | None = None


def play(simulator: MultiAgentSimulator) -> Played:
    """Plays one episode; every remaining agent with an observation acts."""
    played = Played()
    seen = dict(simulator.reset(SEED))
    while played.ending is None:
        played.acted.update(seen.keys())
        step = simulator.step(dict.fromkeys(seen, 1))
        played.rewards.update(step.rewards)
        assert not played.endings.keys() & step.observations.keys(), "an agent that left observed"
        played.endings.update(step.endings)
        played.ending = step.ending
        seen = {a: o for a, o in step.observations.items() if a not in step.endings}
    simulator.close()
    return played


def test_agents_earn_the_same_whether_they_act_at_once_or_in_turn() -> None:
    at_once = play(simulator_of(Survivors()))
    in_turn = play(simulator_of(parallel_to_aec(Survivors())))
    assert at_once == in_turn
    assert at_once.acted == {"a": 6, "b": 3, "c": 6}
    assert at_once.rewards == {"a": 6 + 21, "b": 3 + 6, "c": 6 + 21}
    cut_short = Ending(terminated=False, truncated=True)
    died = Ending(terminated=True, truncated=False)
    assert at_once.endings == {"a": cut_short, "b": died, "c": cut_short}
    assert at_once.ending == cut_short


def test_the_kind_of_an_environment_is_detected() -> None:
    assert isinstance(simulator_of(Survivors()), ParallelSimulator)
    assert isinstance(simulator_of(parallel_to_aec(Survivors())), TurnSimulator)
    env: Any = gym.make("CartPole-v1")
    with pytest.raises(ConfigError, match="PolicyClient"):
        simulator_of(env)


class KeepsAgents(Survivors):
    """Keeps naming all agents after they have ended."""

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        first = super().reset(seed, options)
        self._living = self.agents
        return first

    def step(self, actions: dict[str, int]) -> Any:
        self.agents = self._living
        step = super().step(actions)
        self._living, self.agents = self.agents, list(self.possible_agents)
        return step


def test_the_end_is_inferred_where_an_environment_keeps_agents_that_have_ended() -> None:
    assert play(simulator_of(KeepsAgents())) == play(simulator_of(Survivors()))


class Turns(_AECEnv):  # type: ignore[misc] # PettingZoo's is not typed for mypy
    """Two agents in turn, for three steps each; both stay in `agents` at the end.

    With `is_stuck`, the one that ended first stays selected as well.
    """

    metadata: dict[str, Any] = {"name": "turns"}  # noqa: RUF012 - PettingZoo's
    possible_agents = ["a", "b"]  # noqa: RUF012 - PettingZoo's

    def __init__(self, *, is_stuck: bool = False) -> None:
        super().__init__()
        self._is_stuck = is_stuck

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        self.agents = list(self.possible_agents)
        self.t = dict.fromkeys(self.agents, 0)
        self.agent_selection = "a"

    def last(self, observe: bool = True) -> Any:
        t = self.t[self.agent_selection]
        return np.full(1, t, np.float32), 1.0, t == 3, False, {}

    def step(self, action: Any) -> None:
        if action is not None:
            self.t[self.agent_selection] += 1
        elif self._is_stuck:
            return
        self.agent_selection = "b" if self.agent_selection == "a" else "a"


def test_the_end_is_inferred_where_agents_in_turn_stay_after_they_have_ended() -> None:
    played = play(simulator_of(Turns()))
    assert played.acted == {"a": 3, "b": 3}
    assert played.ending == Ending(terminated=True, truncated=False)


def test_an_agent_that_stays_selected_after_its_end_is_an_error() -> None:
    with pytest.raises(ConfigError, match="Turns selects agent 'a' again after it has ended"):
        play(simulator_of(Turns(is_stuck=True)))


class WithoutAll(MultiAgentEnv):  # type: ignore[misc]
    """Two agents that end after three and five steps; never reports `__all__`."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t = 0
        return {"a": np.zeros(1), "b": np.zeros(1)}, {}

    def step(self, action_dict: dict[Any, Any]) -> Any:
        self.t += 1
        seen = {agent: np.zeros(1) for agent in action_dict}
        ended = {agent: self.t == (3 if agent == "a" else 5) for agent in action_dict}
        return seen, dict.fromkeys(action_dict, 1), ended, dict.fromkeys(action_dict, False), {}


def test_the_end_is_inferred_where_all_is_never_reported() -> None:
    played = play(simulator_of(WithoutAll()))
    assert played.acted == {"a": 3, "b": 5}
    assert played.ending == Ending(terminated=True, truncated=False)


class Both(Survivors):
    """Its agents are both terminated and truncated at the end, with flags of NumPy."""

    def step(self, actions: dict[str, int]) -> Any:
        seen, rewards, _, truncated, infos = super().step(actions)
        ends = {agent: np.bool_(ended) for agent, ended in truncated.items()}
        return seen, rewards, ends, ends, infos


def test_terminated_wins_over_truncated() -> None:
    played = play(simulator_of(Both()))
    assert set(played.endings.values()) == {Ending(terminated=True, truncated=False)}
    assert played.ending == Ending(terminated=True, truncated=False)


class WrongReward(Survivors):
    """Rewards agent `b` with None."""

    def step(self, actions: dict[str, int]) -> Any:
        seen, rewards, *others = super().step(actions)
        return seen, {**rewards, "b": None}, *others


def test_a_reward_that_is_not_a_number_is_named_with_its_agent() -> None:
    simulator = RestartingSimulator(lambda: simulator_of(WrongReward()), lambda _: False)
    seen = simulator.reset(0)
    with pytest.raises(ConfigError, match="agent 'b': the simulator's reward is None"):
        simulator.step(dict.fromkeys(seen, 1))


class WrongReset(Survivors):
    """Resets to what it is given."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self._result = result

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed, options)
        return self._result


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"a": 1}, "does not return two maps by agent id: observations, infos"),
        (({}, {}, {}), "does not return two maps by agent id"),
        (({}, {}), "returns no observation: at least one agent has to act"),
    ],
)
def test_a_reset_without_observations_is_an_error(result: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"reset.. of WrongReset {reason}"):
        ParallelSimulator(WrongReset(result)).reset(SEED)


class OnlyAll(Survivors):
    """Ends all agents with one flag."""

    def step(self, actions: Any) -> Any:
        observations, rewards, *_, infos = super().step(actions)
        self.agents = []
        return observations, rewards, {"__all__": True}, {}, infos


def test_a_flag_for_all_agents_counts() -> None:
    simulator = ParallelSimulator(OnlyAll())
    simulator.reset(SEED)
    step = simulator.step(dict.fromkeys(simulator.reset(SEED), 1))
    assert step.ending == Ending(terminated=True, truncated=False)


class FourFromAll(Survivors):
    """Returns one `done` flag per agent, as PettingZoo did before its version 1.23."""

    def step(self, actions: Any) -> Any:
        observations, rewards, terminated, _, infos = super().step(actions)
        return observations, rewards, terminated, infos


class FourInTurn(Turns):
    """Its last() returns one `done` flag."""

    def last(self, observe: bool = True) -> Any:
        observation, reward, terminated, _, info = super().last(observe)
        return observation, reward, terminated, info


class FourOfRLlib(WithoutAll):
    """Returns one `done` flag per agent, as RLlib's did before Ray 2.3."""

    def step(self, action_dict: dict[Any, Any]) -> Any:
        observations, rewards, terminated, _, infos = super().step(action_dict)
        return observations, rewards, terminated, infos


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (FourFromAll, r"step\(\) of FourFromAll does not return five maps by agent id"),
        (FourInTurn, r"last\(\) of FourInTurn does not return five values"),
        (FourOfRLlib, r"step\(\) of FourOfRLlib does not return five maps by agent id"),
    ],
)
def test_the_four_values_of_former_releases_are_named(kind: type[Any], named: str) -> None:
    simulator = RestartingSimulator(lambda: simulator_of(kind()), lambda _: False)
    with pytest.raises(ConfigError, match=f"{named}.*, truncated, info"):
        simulator.step(dict.fromkeys(simulator.reset(SEED), 1))
