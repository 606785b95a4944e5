"""What an environment's step returns, and what is an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest

from headrace.actors.simulators.environments import (
    Environment,
    SingleEnvironment,
    make_environment,
)
from headrace.actors.simulators.restarting import EpisodesBroken, RestartingEnvironment
from headrace.protocol.errors import ConfigError

ACTION = np.array([1])


class Returning(gymnasium.Env[Any, Any]):
    """Its step returns what it was given; its reset too, if that was given."""

    observation_space = gymnasium.spaces.Box(-10.0, 10.0, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, result: Any = None, first: Any = None) -> None:
        self._result = result
        self._first = first

    def reset(self, **_: Any) -> Any:
        return (np.zeros(2, np.float32), {}) if self._first is None else self._first

    def step(self, action: Any) -> Any:
        return self._result


gymnasium.register(
    "Returning-v0", entry_point=lambda **given: Returning(**given), max_episode_steps=100
)


def sound(**changed: Any) -> tuple[Any, ...]:
    result = {
        "observation": np.ones(2, np.float32),
        "reward": 1.0,
        "terminated": False,
        "truncated": False,
        "info": {},
    }
    return tuple({**result, **changed}.values())


def make(result: Any, count: int) -> Environment:
    return make_environment("Returning-v0", count, {"result": result})


@pytest.mark.parametrize("count", [1, 2])
def test_scalars_in_any_dress_are_scalars(count: int) -> None:
    result = sound(reward=np.float32(2), terminated=np.array([False]), truncated=np.bool_(False))
    environment = make(result, count)
    environment.reset(0)
    step = environment.step(np.ones(count, np.int64))
    assert step.rewards.tolist() == [2.0] * count
    assert not step.terminated.any()
    assert not step.truncated.any()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"reward": None}, "the simulator's reward is None"),
        ({"reward": "1"}, "the simulator's reward is '1'"),
        ({"reward": np.ones(1)}, "the simulator's reward is float64 of shape (1,)"),
        ({"reward": np.ones(3)}, "the simulator's reward is float64 of shape (3,)"),
        ({"terminated": np.zeros(2, bool)}, "'terminated' is bool of shape (2,)"),
        ({"truncated": None}, "'truncated' is None"),
    ],
)
def test_what_is_no_scalar_is_named(changed: dict[str, Any], named: str, count: int) -> None:
    environment = RestartingEnvironment(lambda: make(sound(**changed), count), lambda _: False)
    environment.reset(0)
    with pytest.raises(ConfigError) as raised:
        environment.step(np.ones(count, np.int64))
    assert named in str(raised.value)


@pytest.mark.parametrize("is_registered", [True, False])
def test_the_four_values_of_old_gym_are_named(is_registered: bool) -> None:
    old: Any = (np.ones(2, np.float32), 1.0, False, {})
    environment = make(old, 1) if is_registered else SingleEnvironment(Returning(old))
    environment.reset(0)
    with pytest.raises(ConfigError, match=r"Returning returns 4 values; .*: divide the old done"):
        environment.step(ACTION)


@pytest.mark.parametrize(
    ("result", "named"), [((1, 2, 3), "3 values"), (None, "NoneType"), ((0,) * 6, "6 values")]
)
def test_another_number_of_values_is_named(result: Any, named: str) -> None:
    environment = SingleEnvironment(Returning(result))
    environment.reset(0)
    with pytest.raises(ConfigError, match=f"returns {named}; Gymnasium's returns"):
        environment.step(ACTION)


@pytest.mark.parametrize("first", [np.zeros(2, np.float32), (np.zeros(2),), [np.zeros(2), {}]])
def test_a_reset_without_an_info_dict_is_named(first: Any) -> None:
    environment = SingleEnvironment(Returning(sound(), first))
    with pytest.raises(ConfigError, match=r"return observation, \{\}"):
        environment.reset(0)


class Raising(Returning):
    """Its first `works` steps succeed, all later ones raise."""

    def __init__(self, works: int = 0) -> None:
        super().__init__(sound())
        self._works = works

    def step(self, action: Any) -> Any:
        self._works -= 1
        if self._works < 0:
            raise RuntimeError("the engine is not there")
        return super().step(action)


def waiting(pauses: list[float]) -> Callable[[float], bool]:
    def wait(pause_s: float) -> bool:
        pauses.append(pause_s)
        return False

    return wait


def fail(environment: RestartingEnvironment, times: int, step: Callable[[], Any]) -> None:
    environment.reset(0)
    for _ in range(times):
        with pytest.raises(EpisodesBroken):
            step()


def test_a_simulator_of_which_no_step_succeeds_ends_with_the_cause() -> None:
    pauses: list[float] = []
    environment = RestartingEnvironment(lambda: SingleEnvironment(Raising()), waiting(pauses))
    fail(environment, 4, lambda: environment.step(ACTION))
    with pytest.raises(ConfigError, match=r"failed 5 times.*the engine is not there"):
        environment.step(ACTION)
    assert pauses == [0.1, 0.2, 0.4], "the first one is recreated at once"


def test_a_simulator_that_stops_working_is_recreated_ever_more_slowly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    works = iter([1])
    pauses: list[float] = []
    environment = RestartingEnvironment(
        lambda: SingleEnvironment(Raising(next(works, 0))),
        waiting(pauses),
    )
    environment.reset(0)
    environment.step(ACTION)
    fail(environment, 20, lambda: environment.step(ACTION))
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(pauses) == 30.0
    assert len(caplog.records) == 5, "1, 2, 4, 8 and 16 failures"


def test_a_simulator_that_works_for_long_in_between_is_recreated_at_once() -> None:
    pauses: list[float] = []
    environment = RestartingEnvironment(lambda: SingleEnvironment(Raising(100)), waiting(pauses))
    environment.reset(0)
    for _ in range(5):
        for _ in range(100):
            environment.step(ACTION)
        with pytest.raises(EpisodesBroken):
            environment.step(ACTION)
    assert pauses == []
