"""Figures for Prometheus that say something about the fleet as it is now."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from support.statuses import make_actor, make_silent, make_status

from headrace.broker.monitoring.metrics import render_metrics
from headrace.broker.routing.status import BrokerStatus


def lags_of(status: BrokerStatus) -> dict[str, float]:
    return {
        sample.labels["over"]: sample.value
        for family in text_string_to_metric_families(render_metrics(status).decode())
        for sample in family.samples
        if sample.name == "headrace_policy_lag"
    }


def test_the_policy_lag_is_that_of_live_actors() -> None:
    live = [make_actor(0, policy_lag=0), make_actor(1, policy_lag=3)]
    dead = [make_silent(number, 60.0, policy_lag=86) for number in (2, 3)]
    assert lags_of(make_status(live + dead)) == {"mean": 1.5, "max": 3.0}


def test_there_is_no_policy_lag_where_all_actors_are_dead_or_without_a_policy() -> None:
    actors = [make_silent(0, 60.0, policy_lag=86), make_actor(1, policy_lag=None)]
    assert lags_of(make_status(actors)) == {"mean": 0.0, "max": 0.0}
