"""Simulators that fail while they are recorded: which episodes are delivered and counted."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import pytest
from support.fragile import Fragile
from support.running import BrokerThread, Context, Learner, connect, in_thread, wait_until
from support.serving import one_module, publish

from headrace.actors.simulators.collector import Collector
from headrace.actors.simulators.environments import SingleEnvironment
from headrace.actors.simulators.restarting import RestartingEnvironment
from headrace.protocol.trajectory import unpack_batch

pytestmark = pytest.mark.rllib


@contextmanager
def collecting(broker: BrokerThread, context: Context, **fragile: int | str) -> Generator[None]:
    """An actor in a thread that steps a fragile simulator."""
    stop = threading.Event()
    with connect(broker, context, "fragile") as client:
        environment = RestartingEnvironment(
            lambda: SingleEnvironment(Fragile(**fragile)),  # type: ignore[arg-type]
            stop.wait,
        )
        with in_thread(Collector(client, environment, seed=1).run, stop):
            yield


def test_an_episode_whose_simulator_failed_is_dropped_and_counted(
    broker: BrokerThread, context: Context
) -> None:
    """The first simulator fails in its first episode; the others count to five."""
    Fragile.made = 0
    with Learner(context, broker.address) as learner:
        publish(learner, one_module())
        with collecting(broker, context, fails_at=3, fails_once=True):
            batches = learner.take(60)
            wait_until(lambda: broker.status.actors[0].broken_episodes == 1)
            [actor] = broker.status.actors
    assert actor.unrecorded_env_steps == 2
    assert actor.advice == "its simulator failed and 1 episode was dropped; see its log"
    chunks = [chunk for batch in batches for chunk in unpack_batch(batch.payload)]
    assert len({chunk.episode_id for chunk in chunks}) >= 10
    for chunk in chunks:
        steps = np.arange(chunk.t_started, chunk.t_started + chunk.length + 1)
        assert chunk.columns["obs"][chunk.lookback :, 0].tolist() == steps.tolist()
        assert chunk.is_done == (chunk.t_started + chunk.length == 5)
    assert {chunk.episode_return for chunk in chunks if chunk.is_done} == {5.0}
