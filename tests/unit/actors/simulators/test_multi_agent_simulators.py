"""PettingZoo's two kinds of environments as simulators."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import pytest
from pettingzoo.utils.conversions import parallel_to_aec
from support.survivors import Survivors

from headrace.actors.recording.step_result import Ending
from headrace.actors.simulators.multi_agent_simulators import (
    MultiAgentSimulator,
    ParallelSimulator,
    TurnSimulator,
    simulator_of,
)
from headrace.protocol.errors import ConfigError

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
