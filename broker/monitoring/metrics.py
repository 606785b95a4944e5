"""A broker's status as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from headrace.broker.routing.status import BrokerStatus
from headrace.protocol.delivery import Outcome

_ENDS = tuple(outcome.value for outcome in Outcome if outcome is not Outcome.STORED)


def render_metrics(status: BrokerStatus) -> bytes:
    """Returns the text that Prometheus scrapes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_StatusCollector(status))
    return generate_latest(registry)


class _StatusCollector(Collector):
    """All metrics of one status; batch counts add up as in the ledger."""

    def __init__(self, status: BrokerStatus) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        yield from self._batches()
        yield from self._queue_and_credit()
        yield from self._peers()
        yield from self._policy()

    def _batches(self) -> Iterable[Metric]:
        status, ledger = self._status, self._status.ledger
        yield _counter(
            "headrace_batches_produced", "Batches that actors finished.", ledger.produced
        )
        ended = CounterMetricFamily(
            "headrace_batches_ended", "Batches by how they ended.", labels=["outcome"]
        )
        for outcome in _ENDS:
            ended.add_metric([outcome], getattr(ledger, outcome))
        yield ended
        yield _gauge("headrace_batches_held", "Batches that have not ended.", ledger.held)
        rejects = CounterMetricFamily(
            "headrace_rejects", "Rejected messages and batches, by code.", labels=["code"]
        )
        for code, count in status.rejects.items():
            rejects.add_metric([code], count)
        yield rejects
        yield _counter(
            "headrace_duplicates", "Duplicate batches, which were dropped.", status.duplicates
        )
        size = CounterMetricFamily(
            "headrace_bytes", "Payload bytes accepted, leased and published.", labels=["way"]
        )
        for way in ("accepted", "leased", "published"):
            size.add_metric([way], getattr(status.traffic, f"{way}_bytes"))
        yield size

    def _queue_and_credit(self) -> Iterable[Metric]:
        status = self._status
        yield _gauge("headrace_queue_batches", "Queued batches.", status.queue_batches)
        yield _gauge("headrace_queue_env_steps", "Queued env steps.", status.queue_env_steps)
        yield _gauge("headrace_queue_bytes", "Queued bytes.", status.queue_bytes)
        yield _gauge(
            "headrace_credit_env_steps",
            "Env steps granted and not yet arrived.",
            status.reserved_env_steps,
        )
        yield _gauge(
            "headrace_fragment_env_steps", "Env steps per batch.", status.fragment_steps or 0
        )

    def _peers(self) -> Iterable[Metric]:
        status = self._status
        actors = GaugeMetricFamily("headrace_actors", "Actors by state.", labels=["state"])
        actors.add_metric(["live"], status.live_actors)
        actors.add_metric(["silent"], status.silent_actors)
        yield actors
        yield _gauge(
            "headrace_env_steps_per_s",
            "Env steps that arrive per second.",
            status.env_steps_per_s,
        )
        yield _gauge("headrace_learner_sessions", "Learner sessions.", len(status.learners))
        yield _gauge(
            "headrace_unconfirmed_batches",
            "Batches leased and not yet confirmed.",
            sum(learner.unconfirmed for learner in status.learners),
        )
        yield _gauge("headrace_quarantined_peers", "Peers in quarantine.", len(status.quarantined))
        yield _gauge(
            "headrace_uptime_seconds", "Seconds since the broker started.", status.uptime_s
        )

    def _policy(self) -> Iterable[Metric]:
        traffic = self._status.traffic
        lag = GaugeMetricFamily(
            "headrace_policy_lag", "Policy versions that live actors are behind.", labels=["over"]
        )
        lag.add_metric(["mean"], self._status.policy_lag_mean)
        lag.add_metric(["max"], self._status.policy_lag_max)
        yield lag
        yield SummaryMetricFamily(
            "headrace_publish_seconds",
            "From asking a learner for new weights until they arrived.",
            count_value=traffic.publishes,
            sum_value=traffic.publish_s,
        )
        yield SummaryMetricFamily(
            "headrace_fan_out_seconds",
            "From publishing weights until an actor reported having them, which it does each "
            "second.",
            count_value=traffic.fan_outs,
            sum_value=traffic.fan_out_s,
        )
        yield _counter("headrace_snapshots", "Snapshots sent.", self._status.snapshots_sent)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
