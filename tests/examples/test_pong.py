from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
from ray.rllib.connectors.env_to_module.frame_stacking import FrameStackingEnvToModule
from support.policies import Exported
from support.running import BrokerThread, Context, Learner, connect, in_thread
from support.serving import chunks_of

from headrace.actors import Client, Collector
from headrace.actors.simulators.environments import make_environment
from headrace.learner import BrokerEnvRunner

if os.environ.get("CI") != "true":
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")

from examples.pong import environment, train
from examples.pong.pixel_module import PixelModule

pytestmark = [pytest.mark.rllib, pytest.mark.slow]


def test_pong_observations_are_small_grey_pictures_of_bytes() -> None:
    pong = environment.make_pong()
    observation, _ = pong.reset(seed=1)
    assert pong.observation_space == train.SCREEN
    assert pong.action_space == train.MOVES
    assert (observation.shape, observation.dtype) == ((84, 84, 1), np.uint8)


@pytest.mark.parametrize(
    ("compression", "least", "most"), [(None, 10, 1000), ("none", 7056, 30_000)]
)
def test_pictures_travel_compressed_unless_the_learner_turns_it_off(
    broker: BrokerThread, context: Context, compression: str | None, least: int, most: int
) -> None:
    config = train.make_config(broker.address, compression=compression)
    config.training(train_batch_size_per_learner=64, minibatch_size=32)
    runner = BrokerEnvRunner(config=config, worker_index=0)
    try:
        with connect(broker, context, "pong") as client:
            collector = Collector(client, make_environment(environment.ENV_ID, 1, {}), seed=1)
            with in_thread(collector.run):
                episodes = runner.sample()
        status = broker.status
    finally:
        runner.stop()
    [picture] = {episode.get_observations(0).shape for episode in episodes}
    assert picture == (84, 84, 1)
    bytes_per_step = status.traffic.leased_bytes / status.learners[0].leased_env_steps
    assert least < bytes_per_step < most, "short batches repeat context frames"


def test_pictures_travel_once_and_the_policy_stacks_them(
    broker: BrokerThread, start_learner: Callable[..., Learner]
) -> None:
    exported = Exported(
        train.SCREEN,
        train.MOVES,
        connector=lambda *_, **__: [FrameStackingEnvToModule(num_frames=4)],
        model={"conv_filters": [[4, 8, 4], [8, 4, 2]]},
        module_class=PixelModule,
    )
    assert exported.spaces.module_observation.shape == (84, 84, 4)
    learner = start_learner(exported, wanted_env_steps=64)
    with Client(broker.address, actor="pong") as client:
        collector = Collector(client, make_environment(environment.ENV_ID, 1, {}), seed=1)
        with in_thread(collector.run):
            chunks = chunks_of(learner, 32)
    observed = [chunk.columns["obs"] for chunk in chunks]
    assert {(rows.shape[1:], rows.dtype) for rows in observed} == {
        ((84, 84, 1), np.dtype(np.uint8))
    }
    assert all(chunk.lookback == min(3, chunk.t_started) for chunk in chunks)
