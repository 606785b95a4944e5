from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import gymnasium
import pytest
from ray.rllib.connectors.env_to_module import MeanStdFilter
from support.policies import Exported
from support.running import BrokerThread, Learner, in_thread, wait_until
from support.serving import chunks_of

from headrace.actors import Client, Collector
from headrace.actors.simulators.environments import make_environment
from headrace.deploy.status_view import BrokerUnreachableError, fetch_status

if os.environ.get("CI") != "true":
    pytest.importorskip("mujoco")

from examples.half_cheetah import compare, train
from examples.half_cheetah.fleet import fleet

pytestmark = pytest.mark.rllib


def test_env_steps_arrive_at_the_learner(
    broker: BrokerThread, start_learner: Callable[..., Learner]
) -> None:
    simulator = gymnasium.make(train.ENV_ID)
    exported = Exported(
        simulator.observation_space,
        simulator.action_space,
        connector=lambda *_, **__: [MeanStdFilter()],
    )
    learner = start_learner(exported, wanted_env_steps=200)
    environment = make_environment(train.ENV_ID, 2, {})
    with Client(broker.address, actor="cheetah") as client:
        collector = Collector(client, environment, seed=1)
        with in_thread(collector.run):
            chunks = chunks_of(learner, 100)
    assert sum(chunk.length for chunk in chunks) >= 100
    assert {chunk.columns["obs"].shape[1:] for chunk in chunks} == {(17,)}
    assert {chunk.columns["actions"].shape[1:] for chunk in chunks} == {(6,)}


def test_a_fleet_runs_until_its_context_ends(tmp_path: Path) -> None:
    with fleet(tmp_path, seed=1) as broker:
        url = json.loads((tmp_path / "broker.json").read_text())["http"]
        wait_until(lambda: len(fetch_status(url).actors) == train.ACTORS)
        assert broker.startswith("ingest=tcp://127.0.0.1:")
    with pytest.raises(BrokerUnreachableError):
        fetch_status(url)


def test_curves_are_drawn_into_a_small_png(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(
        '{"env_steps": 4096, "wall_s": 2.0, "episode_return_mean": null}\n'
        '{"env_steps": 8192, "wall_s": 4.0, "episode_return_mean": -300.5}\n'
        '{"env_steps": 12288, "wall_s": 6.0, "episode_return_mean": -200.0}\n'
    )
    curve = compare.read_curve(metrics)
    assert curve == [(8192, 4.0, -300.5), (12288, 6.0, -200.0)]
    picture = tmp_path / "curves.png"
    compare.draw({compare.HEADRACE: [curve, curve], compare.NATIVE: [curve]}, picture)
    assert 1_000 < picture.stat().st_size < 100_000
