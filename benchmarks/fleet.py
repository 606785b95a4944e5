"""Policy lag, stale share, waiting and fairness, from 1 to 1,000 clients."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event

import zmq

from benchmarks.cartpole import RUN, ScriptedWeights, make_manifest
from benchmarks.freshness import ended, jain, mean_lag
from benchmarks.load import Payloads, run_load
from benchmarks.pairs import Row, alone
from benchmarks.processes import broker_process, pipe, running
from headrace.learner.connection.broker_target import BrokerTarget
from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.learner.connection.link import BrokerLink
from headrace.learner.connection.session import LearnerIdentity
from headrace.protocol.flow_control import AsynchronousFlow, Flow, OnPolicyFlow
from headrace.protocol.messages import Totals

_CLIENTS = (1, 16, 64, 256, 1000)
_TRAIN_BATCH = 4000
_TRAIN_S = 0.5
_WARM_UPDATES, _UPDATES = 4, 12
_CAPACITY = 1.5
"""The clients' capacity, relative to the demand of a learner that never waits."""
_SLOW_STEPS_PER_S = 20.0


@dataclass(frozen=True)
class Scenario:
    """A fleet and a learner that trains for `train_s` on `env_steps`, `updates` times."""

    name: str
    flow: Flow
    speeds: Sequence[float]
    env_steps: int
    train_s: float
    updates: int


def run() -> list[Row]:
    """Measures each scenario once, since the target is a bound, not a comparison."""
    rows: list[Row] = []
    demand = _TRAIN_BATCH / _TRAIN_S
    for clients in _CLIENTS:
        speeds = [_CAPACITY * demand / clients] * clients
        rows += _measure(_on_policy(f"on-policy, {clients} clients", speeds))
    speeds = [_CAPACITY * demand / 15] * 15 + [_SLOW_STEPS_PER_S]
    rows += _measure(_on_policy("on-policy, one of 16 slow", speeds), slow=len(speeds) - 1)
    for clients in _CLIENTS:
        speeds = [_CAPACITY * 5000 / clients] * clients
        flow = AsynchronousFlow(version_env_steps=500)
        rows += _measure(
            Scenario(f"asynchronous, {clients} clients", flow, speeds, 500, 0.1, 8 * _UPDATES)
        )
    return rows


def _on_policy(name: str, speeds: Sequence[float]) -> Scenario:
    flow = OnPolicyFlow(_TRAIN_BATCH)
    return Scenario(name, flow, speeds, _TRAIN_BATCH, _TRAIN_S, _UPDATES)


def _measure(scenario: Scenario, slow: int | None = None) -> list[Row]:
    stop, theirs = pipe()
    with (
        broker_process() as broker,
        running(run_load, broker.address, scenario.speeds, Payloads(), theirs),
    ):
        link = BrokerLink(
            [BrokerTarget(broker.address)],
            LearnerIdentity("benchmark", 0, RUN, "here"),
            zmq.Context.instance(),
        )
        try:
            rows = _train(scenario, link, slow)
            stop.send(None)
            totals: dict[str, Totals] = stop.recv()
        finally:
            link.close()
    if slow is not None:
        rows.append(_slow_row(scenario, totals[f"load.{slow}"]))
    return rows


def _slow_row(scenario: Scenario, totals: Totals) -> Row:
    share = totals.stale / max(1, totals.stale + totals.consumed)
    return alone(f"{scenario.name}: stale batches of the slow one", "share", share)


def _train(scenario: Scenario, link: BrokerLink, slow: int | None) -> list[Row]:
    weights = ScriptedWeights(make_manifest(scenario.flow, weights_bytes=20_000))
    pause = Event()
    taken: list[LeasedBatch] = []
    waited_s, begun_s, stale, finished = 0.0, 0.0, 0, 0
    for update in range(_WARM_UPDATES + scenario.updates):
        if update == _WARM_UPDATES:
            taken, waited_s, begun_s = [], 0.0, time.monotonic()
            stale, finished = ended(link)
        link.offer(weights.version(update + 1))
        started_s = time.monotonic()
        batches = link.take(scenario.env_steps, 60.0)
        waited_s += time.monotonic() - started_s
        taken += batches
        pause.wait(scenario.train_s)
        link.confirm(batches[-1])
    took_s = time.monotonic() - begun_s
    stale_after, finished_after = ended(link)
    return _rows(scenario, taken, waited_s / took_s, took_s) + _stale_rows(
        scenario, taken, stale_after - stale, finished_after - finished, slow
    )


def _rows(scenario: Scenario, taken: list[LeasedBatch], waiting: float, took_s: float) -> list[Row]:
    steps = sum(batch.lease.env_steps for batch in taken)
    name = scenario.name
    offered = sum(scenario.speeds)
    return [
        alone(f"{name}: mean policy lag", "versions", mean_lag(taken)),
        alone(f"{name}: waiting", "share of time", waiting),
        alone(f"{name}: offered load", "env steps/s", offered),
        alone(f"{name}: accepted load", "env steps/s", steps / took_s),
    ]


def _stale_rows(
    scenario: Scenario, taken: list[LeasedBatch], stale: int, finished: int, slow: int | None
) -> list[Row]:
    by_actor = Counter[str]()
    for batch in taken:
        by_actor[batch.lease.actor] += batch.lease.env_steps
    counts = [by_actor[f"load.{index}"] for index in range(len(scenario.speeds)) if index != slow]
    rows = [
        alone(f"{scenario.name}: stale batches", "share", stale / max(finished, 1)),
        alone(
            f"{scenario.name}: Jain index of delivered steps",
            "1 is equal",
            jain(counts, len(counts)),
        ),
    ]
    if slow is not None:
        rows.append(
            alone(f"{scenario.name}: its steps", "env steps/s of 20", by_actor[f"load.{slow}"])
        )
    return rows
