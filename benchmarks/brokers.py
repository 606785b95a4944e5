"""Several brokers under one learner: processor time, freshness and fairness; and 10,000 actors."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Event

import zmq

from benchmarks.cartpole import RUN, ScriptedWeights, make_manifest
from benchmarks.freshness import ended, jain, mean_lag
from benchmarks.load import Payloads, run_load
from benchmarks.pairs import Row, alone
from benchmarks.processes import RunningBroker, broker_process, pipe, processor_s, running
from headrace.learner.connection.broker_target import BrokerTarget
from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.learner.connection.link import BrokerLink
from headrace.learner.connection.session import LearnerIdentity
from headrace.protocol.flow_control import OnPolicyFlow

_WARM_UPDATES = 3
_CAPACITY = 1.5
"""The actors' capacity, relative to the demand of a learner that never waits."""


@dataclass(frozen=True)
class Case:
    """A learner that trains for `train_s` on `train_batch` env steps, `updates` times.

    Attributes:
        actors: at each broker.
    """

    name: str
    actors: Sequence[int]
    train_batch: int = 4000
    train_s: float = 0.5
    updates: int = 12

    @property
    def speed(self) -> float:
        """Env steps per second of one actor."""
        return _CAPACITY * self.train_batch / self.train_s / sum(self.actors)


CASES = (
    Case("1 broker, 64 actors", (64,)),
    Case("2 brokers, 64 actors", (32, 32)),
    Case("4 brokers, 64 actors", (16, 16, 16, 16)),
    Case("4 brokers, 64 actors, most at one", (58, 2, 2, 2)),
    Case("4 brokers, 64 actors, none at one", (21, 22, 21, 0)),
    Case("4 brokers, 10,000 actors in slow motion", (2500,) * 4, 40_000, 15.0, updates=6),
)


def run() -> list[Row]:
    """Measures each case once, since the target is a bound, not a comparison."""
    return [row for case in CASES for row in _measure(case)]


def _measure(case: Case) -> list[Row]:
    with _fleets(case) as brokers:
        link = BrokerLink(
            [BrokerTarget(broker.address) for broker in brokers],
            LearnerIdentity("benchmark", 0, RUN, "here"),
            zmq.Context.instance(),
        )
        try:
            return _train(case, link, brokers)
        finally:
            link.close()


@contextmanager
def _fleets(case: Case) -> Generator[list[RunningBroker]]:
    """Runs the brokers, each with its actors in a process of their own."""
    with ExitStack() as stack:
        brokers = [stack.enter_context(broker_process()) for _ in case.actors]
        for broker, actors in zip(brokers, case.actors, strict=True):
            stop, theirs = pipe()
            speeds = [case.speed] * actors
            if actors:
                stack.enter_context(running(run_load, broker.address, speeds, Payloads(), theirs))
                stack.callback(stop.close)
        yield brokers


def _train(case: Case, link: BrokerLink, brokers: Sequence[RunningBroker]) -> list[Row]:
    weights = ScriptedWeights(make_manifest(OnPolicyFlow(case.train_batch), weights_bytes=20_000))
    pause = Event()
    taken: list[LeasedBatch] = []
    queued: list[int] = []
    waited_s = begun_s = used_s = 0.0
    stale = finished = 0
    for update in range(_WARM_UPDATES + case.updates):
        if update == _WARM_UPDATES:
            taken, queued, waited_s, begun_s = [], [], 0.0, time.monotonic()
            stale, finished = ended(link)
            used_s = _used_s(brokers)
        link.offer(weights.version(update + 1))
        started_s = time.monotonic()
        batches = link.take(case.train_batch, 120.0)
        waited_s += time.monotonic() - started_s
        taken += batches
        pause.wait(case.train_s)
        report = link.fresh_report(5.0)
        queued.append(report.queue_env_steps if report is not None else 0)
        link.confirm(batches[-1])
    took_s = time.monotonic() - begun_s
    used_s = _used_s(brokers) - used_s
    stale_after, finished_after = ended(link)
    steps = sum(batch.lease.env_steps for batch in taken)
    stale_share = (stale_after - stale) / max(1, finished_after - finished)
    name = case.name
    return [
        alone(f"{name}: batches per processor second", "1/s", (finished_after - finished) / used_s),
        alone(f"{name}: brokers' processors", "cores", used_s / took_s),
        alone(f"{name}: env steps per batch", "env steps", steps / len(taken)),
        alone(
            f"{name}: ready for an update", "updates", sum(queued) / len(queued) / case.train_batch
        ),
        alone(f"{name}: mean policy lag", "versions", mean_lag(taken)),
        alone(f"{name}: stale batches", "share", stale_share),
        alone(f"{name}: waiting", "share of time", waited_s / took_s),
        alone(f"{name}: Jain index of delivered steps", "1 is equal", _jain(taken, case)),
    ]


def _jain(taken: Sequence[LeasedBatch], case: Case) -> float:
    """Returns Jain's index over all actors; those at different brokers may have the same name."""
    by_actor = Counter[tuple[str, int]]()
    for batch in taken:
        by_actor[batch.lease.actor, batch.lease.incarnation] += batch.lease.env_steps
    return jain(list(by_actor.values()), sum(case.actors))


def _used_s(brokers: Sequence[RunningBroker]) -> float:
    return sum(processor_s(broker.process) for broker in brokers)
