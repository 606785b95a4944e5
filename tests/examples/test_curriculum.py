from __future__ import annotations

from typing import Any

import pytest
from support.algorithms import algorithm_of, collecting, make_config
from support.running import BrokerThread, Context, wait_until

from examples.curriculum.wider_starts import BOUNDS, MASTERED, WiderStarts

pytestmark = [pytest.mark.rllib, pytest.mark.slow, pytest.mark.usefixtures("ray_session")]


def result_of(level: int, returned: float) -> dict[str, Any]:
    tasks = {f"within-{BOUNDS[level]}": {"episode_return_mean": returned}}
    return {"env_runners": {"headrace": {"tasks": tasks}}}


def test_a_mastered_level_is_followed_by_a_harder_one(
    broker: BrokerThread, context: Context
) -> None:
    config = make_config(broker).callbacks(WiderStarts)
    with algorithm_of(config) as algorithm, collecting(broker, context):
        result = algorithm.train()
        tasks = result["env_runners"]["headrace"]["tasks"]
        assert tasks["within-0.05"]["num_episodes"] > 5
        curriculum = WiderStarts()
        for level in range(len(BOUNDS) - 1):
            curriculum.on_train_result(algorithm=algorithm, result=result_of(level, MASTERED - 1))
            assert curriculum.level == level
            curriculum.on_train_result(algorithm=algorithm, result=result_of(level, MASTERED + 1))
            harder = f"within-{BOUNDS[level + 1]}"
            wait_until(lambda expected=harder: broker.status.task == expected)  # type: ignore[misc]
        curriculum.on_train_result(algorithm=algorithm, result=result_of(len(BOUNDS) - 1, 500.0))
        assert curriculum.level == len(BOUNDS) - 1
