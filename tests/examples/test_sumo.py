from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from support.policies import shared_export
from support.running import BrokerThread, Learner
from support.serving import chunks_of

from headrace.actors import PolicyClient

if os.environ.get("CI") != "true":
    pytest.importorskip("libsumo")
    pytest.importorskip("sumo")

from examples.sumo import compare, crossing, simulation
from examples.sumo.demand import write_demand

pytestmark = pytest.mark.rllib


@pytest.fixture(scope="module")
def road() -> Iterator[simulation.Crossing]:
    with simulation.Crossing(episode_s=300) as road:
        yield road


def test_demand_depends_on_the_seed_alone(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one", "same", "other")]
    counts = [write_demand(path, seed, 600) for path, seed in zip(paths, (1, 1, 2), strict=True)]
    texts = [path.read_text() for path in paths]
    assert texts[0] == texts[1] != texts[2]
    assert counts[0] == texts[0].count("<vehicle ")


def test_one_axis_is_busier_than_the_other(tmp_path: Path) -> None:
    write_demand(tmp_path / "demand", 3, 600)
    text = (tmp_path / "demand").read_text()
    by_axis = [
        sum(text.count(f'"{arm}_in') for arm in axis)
        for axis in (("north", "south"), ("east", "west"))
    ]
    assert max(by_axis) > 2 * min(by_axis)


def test_seed_and_decisions_determine_an_episode(road: simulation.Crossing) -> None:
    waited_s: list[float] = []
    for _ in range(2):
        road.begin(5)
        for _ in range(40):
            road.run(switch=road.green_s >= 17)
        waited_s.append(road.waited_s)
    assert waited_s[0] == waited_s[1] > 0


def test_green_lasts_its_minimum(road: simulation.Crossing) -> None:
    road.begin(5)
    road.run(switch=True)
    assert (road.green_s, road.observe()[-2]) == (5, 0.0)
    road.run(switch=False)
    road.run(switch=True)
    assert (road.green_s, road.observe()[-2]) == (2, 1.0)


def test_serving_both_axes_reduces_the_mean_waiting_time(
    road: simulation.Crossing,
) -> None:
    fair = compare.mean_waiting_s(road, compare.fixed_plan(17), 1)
    assert fair < compare.mean_waiting_s(road, lambda _: False, 1)


def test_an_episode_of_sumo_arrives_at_the_learner(
    road: simulation.Crossing,
    broker: BrokerThread,
    start_learner: Callable[..., Learner],
) -> None:
    learner = start_learner(shared_export(Box(-np.inf, np.inf, (18,)), Discrete(2)))
    with PolicyClient(broker.address, actor="crossing", seed=1) as client:
        road.begin(1)
        crossing.play(road, client)
    chunks = chunks_of(learner, 60)
    assert sum(chunk.length for chunk in chunks) == 60
    [last] = [chunk for chunk in chunks if chunk.is_done]
    assert last.truncated
    assert last.episode_return == pytest.approx(-road.waited_s / 100, rel=1e-3)
