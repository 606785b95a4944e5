from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import support.levels  # noqa: F401 # pyright: ignore[reportUnusedImport] - registers Levels-v0
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from headrace.actors.simulators.environments import (
    SingleEnvironment,
    VectorEnvironment,
    make_environment,
)
from headrace.protocol.errors import ConfigError


class Counter(gymnasium.Env[dict[str, Any], Any]):
    """Counts to three and ends; its observation is nested."""

    observation_space = gymnasium.spaces.Dict(
        {"t": gymnasium.spaces.Box(0, 9, (1,)), "flag": gymnasium.spaces.Discrete(2)}
    )
    action_space = gymnasium.spaces.Discrete(2)

    def _observe(self) -> dict[str, Any]:
        return {"t": np.array([self.t], np.float32), "flag": np.int64(self.t % 2)}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        assert isinstance(action, int | np.integer)
        self.t += 1
        return self._observe(), float(action), self.t == 3, False, {}


def make_vector(mode: AutoresetMode) -> VectorEnvironment:
    return VectorEnvironment(SyncVectorEnv([Counter, Counter], autoreset_mode=mode))


@pytest.mark.parametrize(("count", "timeout_s"), [(1, None), (2, None), (2, 20.0)])
def test_options_of_a_reset_hold_until_others_are_given(
    count: int, timeout_s: float | None
) -> None:
    env = make_environment("Levels-v0", count, {}, timeout_s=timeout_s)
    actions = np.zeros(count, np.int64)
    try:
        for options, level in (({"level": 4}, 4.0), (None, 4.0), ({}, 0.0)):
            observed = env.reset(1, options)["obs"]
            for _ in range(7):  # past the end of an episode, and its autoreset
                assert observed[:, 1].tolist() == [level] * count
                observed = env.step(actions).observations["obs"]
    finally:
        env.close()


def test_older_environments_are_reset_without_options() -> None:
    class Older(Counter):
        def reset(self, *, seed: int | None = None) -> Any:  # type: ignore[override] # as it was
            return super().reset(seed=seed)

    assert SingleEnvironment(Older()).reset(1, {})["obs/t"].tolist() == [[0.0]]


def test_a_single_environment_resets_in_the_step_that_ends_its_episode() -> None:
    env = SingleEnvironment(Counter())
    first = env.reset(seed=1)
    assert first["obs/t"].tolist() == [[0.0]]
    assert first["obs/flag"].tolist() == [0]
    for _ in range(2):
        result = env.step(np.array([1]))
        assert not result.final_observations
    result = env.step(np.array([1]))
    assert result.terminated.tolist() == [True]
    assert result.final_observations[0]["obs/t"].tolist() == [3.0]
    assert result.observations["obs/t"].tolist() == [[0.0]]
    env.close()


def test_same_step_autoreset_returns_final_observations() -> None:
    env = make_vector(AutoresetMode.SAME_STEP)
    env.reset(seed=None)
    for _ in range(2):
        env.step(np.array([0, 1]))
    result = env.step(np.array([0, 1]))
    assert result.is_reset_step is None
    assert result.rewards.tolist() == [0.0, 1.0]
    finals = [float(result.final_observations[index]["obs/t"][0]) for index in (0, 1)]
    assert finals == [3.0, 3.0]
    assert result.observations["obs/t"].ravel().tolist() == [0.0, 0.0]
    env.close()


def test_next_step_autoreset_marks_the_reset_step() -> None:
    env = make_vector(AutoresetMode.NEXT_STEP)
    env.reset(seed=None)
    results = [env.step(np.array([0, 0])) for _ in range(4)]
    assert results[2].terminated.all()
    assert not results[2].final_observations
    assert [bool(r.is_reset_step is not None and r.is_reset_step.all()) for r in results] == [
        False,
        False,
        False,
        True,
    ]
    env.close()


def test_a_vector_environment_without_autoreset_is_refused() -> None:
    with pytest.raises(ConfigError, match="SAME_STEP"):
        make_vector(AutoresetMode.DISABLED)


def test_observations_are_copied_from_buffers_that_a_vector_reuses() -> None:
    env = make_environment("CartPole-v1", 2, {})
    before = env.reset(seed=3)["obs"]
    copy = before.copy()
    env.step(np.array([0, 1]))
    np.testing.assert_array_equal(before, copy)
    env.close()


@pytest.mark.parametrize(
    ("env_id", "config"), [("NoSuch-v0", {}), ("CartPole-v1", {"lenght": 3}), ("a:b-v0", {})]
)
def test_an_environment_that_cannot_be_made_is_named(env_id: str, config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=env_id):
        make_environment(env_id, 1, config)
