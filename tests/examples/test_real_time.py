from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from support.policies import Exported, shared_export
from support.running import BrokerThread, Learner, in_thread, wait_until

from examples.real_time.lateness import Tick, read_ticks, summary, write_ticks
from examples.real_time.rig import ACTOR, Rig
from examples.real_time.ticker import Ticker
from headrace.actors import PolicyClient

pytestmark = pytest.mark.rllib


@contextmanager
def running(address: str) -> Generator[Rig]:
    """Runs a rig in a thread."""
    with PolicyClient(address, actor=ACTOR, without_credit="act", seed=1) as client:
        rig = Rig(client, plants=4)
        with in_thread(rig.run):
            yield rig


def ticks_of(rig: Rig) -> int:
    """Returns the number of ticks so far, including those skipped on a busy machine."""
    return len(rig.ticks) + rig.skipped


def cart_pole_policy() -> Exported:
    return shared_export(Box(-np.inf, np.inf, (4,)), Discrete(2))


def test_deadlines_stay_on_their_grid_and_overrun_ticks_are_counted() -> None:
    ticker = Ticker(0.02)
    ticker.wait()
    first_s = ticker.deadline_s
    threading.Event().wait(0.07)  # work that takes three and a half periods
    ticker.wait()
    periods = (ticker.deadline_s - first_s) / 0.02
    assert periods == pytest.approx(round(periods))
    assert round(periods) - 1 == ticker.skipped >= 2
    assert ticker.late_s >= 0


def test_lateness_is_summarised_in_percentiles() -> None:
    ticks = [Tick(due_s, late_s) for due_s, late_s in ((1.0, 0.001), (1.02, 0.001), (1.06, 0.02))]
    assert "3 ticks, late by 1.00 ms (median)" in summary(ticks)
    assert summary(ticks).endswith("1 missed, 1 skipped")


def test_ticks_are_read_as_they_were_written(tmp_path: Path) -> None:
    ticks = [Tick(1.02, 0.00123), Tick(1.04, 0.02)]
    write_ticks(tmp_path / "ticks", ticks)
    assert read_ticks(tmp_path / "ticks") == ticks


def test_the_rig_runs_without_a_policy(broker: BrokerThread) -> None:
    with running(broker.address) as rig:
        wait_until(lambda: len(rig.ticks) >= 20 and ticks_of(rig) >= 50)
    due_s = [tick.due_s for tick in rig.ticks]
    assert due_s == sorted(set(due_s))
    assert all(tick.late_s >= 0 for tick in rig.ticks)


def test_steps_without_credit_are_counted_as_unrecorded(
    broker: BrokerThread, start_learner: Callable[..., Learner]
) -> None:
    start_learner(cart_pole_policy(), wanted_env_steps=100)
    with running(broker.address):
        wait_until(lambda: [a for a in broker.status.actors if a.unrecorded_env_steps > 100])
        [actor] = broker.status.actors
        assert actor.env_steps >= 100


def test_the_rig_keeps_running_while_the_broker_is_down(
    start_broker: Callable[..., BrokerThread],
    broker: BrokerThread,
    start_learner: Callable[..., Learner],
) -> None:
    start_learner(cart_pole_policy(), wanted_env_steps=100)
    with running(broker.address) as rig:
        wait_until(lambda: [a for a in broker.status.actors if a.unrecorded_env_steps > 100])
        broker.stop()
        before = ticks_of(rig)
        wait_until(lambda: ticks_of(rig) >= before + 50)
        after = start_broker(broker.address)
        wait_until(lambda: [a for a in after.status.actors if a.unrecorded_env_steps > 300])
