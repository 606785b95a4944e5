"""Infos that the learner asks for, from the simulator into RLlib's episodes."""

from __future__ import annotations

from typing import Any

import pytest
import support.telling  # noqa: F401 # pyright: ignore[reportUnusedImport] - registers Telling-v0
from support.algorithms import collecting, make_config
from support.running import BrokerThread, Context

from headrace.learner.env_runner import BrokerEnvRunner

pytestmark = [pytest.mark.rllib, pytest.mark.usefixtures("ray_session")]


def make_runner(broker: BrokerThread, *infos: str) -> BrokerEnvRunner:
    config = make_config(broker, "Telling-v0", infos=infos)
    runner = BrokerEnvRunner(config=config, worker_index=0)
    module: Any = runner.module
    runner.set_state({"rl_module": module.get_state(), "weights_seq_no": 1})
    return runner


@pytest.mark.parametrize("environments", [1, 2])
def test_an_episode_has_the_infos_that_were_asked_for(
    broker: BrokerThread, context: Context, environments: int
) -> None:
    runner = make_runner(broker, "tens", "even")
    try:
        with collecting(broker, context, "Telling-v0", environments):
            episodes = runner.sample()
    finally:
        runner.stop()
    assert any(episode.is_done for episode in episodes)
    for episode in episodes:
        seen = episode.get_observations()[1:, 0].astype(int).tolist()
        told = [{"tens": 10.0 * t, **({"even": 1.0} if t % 2 == 0 else {})} for t in seen]
        assert episode.get_infos()[1:] == told
        assert set(episode.extra_model_outputs) >= {"action_logp"}
        assert not [name for name in episode.extra_model_outputs if "infos" in name]
