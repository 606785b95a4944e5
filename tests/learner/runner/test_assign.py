"""A curriculum in RLlib: a callback assigns tasks, actors run them, results have their returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import support.levels  # noqa: F401 # pyright: ignore[reportUnusedImport] - registers Levels-v0
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.callbacks.callbacks import RLlibCallback
from support.algorithms import algorithm_of, collecting, make_config, returns_by_task
from support.running import BrokerThread, Context, wait_until

from headrace.learner import assign
from headrace.learner.runner.assign import make_assignment
from headrace.protocol.errors import ConfigError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]


class Curriculum(RLlibCallback):
    """Raises the level with every iteration."""

    def on_algorithm_init(self, *, algorithm: Algorithm, **_: Any) -> None:
        assign(algorithm, "level-1", options={"level": 1})

    def on_train_result(self, *, algorithm: Algorithm, result: dict[str, Any], **_: Any) -> None:
        level = result["training_iteration"] + 1
        assign(algorithm, f"level-{level}", options={"level": level})


def test_a_callback_raises_the_level_and_results_have_returns_by_task(
    broker: BrokerThread, context: Context
) -> None:
    config = make_config(broker, "Levels-v0").callbacks(Curriculum)
    with algorithm_of(config) as algorithm, collecting(broker, context, "Levels-v0"):
        returns: dict[str, float] = {}
        for _ in range(4):
            returns |= returns_by_task(algorithm.train())
        assert len(returns) >= 3
        assert "level-1" in returns
        for task, value in returns.items():
            assert value == 5 * int(task.removeprefix("level-"))


def test_remote_runners_assign_without_a_local_one(broker: BrokerThread) -> None:
    config = make_config(broker).env_runners(num_env_runners=1, create_local_env_runner=False)
    with algorithm_of(config) as algorithm:
        assign(algorithm, "level-2", options={"level": 2}, seed=0)
        wait_until(lambda: broker.status.task == "level-2", 60)


def test_numpy_numbers_are_converted() -> None:
    options = {"level": np.int64(3), "wind": np.linspace(0.0, 1.0, 3), "pair": (np.float32(0.5), 1)}
    assert make_assignment(1, "task", options, None).options == {
        "level": 3,
        "wind": [0.0, 0.5, 1.0],
        "pair": [0.5, 1],
    }


@pytest.mark.parametrize(
    ("task", "options", "seed", "why"),
    [
        ("two words", {}, None, "a task is 1 to 128 printable characters"),
        ("", {}, None, "a task is"),
        ("nested", {"map": {"x": 1}}, None, "lists of these"),
        ("negative", {}, -1, "a seed is not negative"),
        ("long", {"seed": 2**70}, None, "options are numbers"),
        ("surrogate", {"text": "\ud800"}, None, "options are numbers"),
        ("large", {"text": "x" * 20_000}, None, "the limit is 16384"),
    ],
)
def test_an_assignment_that_the_wire_cannot_carry_is_an_error(
    broker: BrokerThread, task: str, options: dict[str, Any], seed: int | None, why: str
) -> None:
    with algorithm_of(make_config(broker)) as algorithm, pytest.raises(ConfigError, match=why):
        assign(algorithm, task, options=options, seed=seed)
