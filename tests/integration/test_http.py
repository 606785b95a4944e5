from __future__ import annotations

import json
import platform
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import metadata

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.machine import scaled
from support.running import BrokerThread, Context, Learner, connect, first_policy, push, wait_until

from headrace.broker.config import BrokerConfig
from headrace.broker.monitoring.status_reader import StatusReader
from headrace.broker.monitoring.status_server import StatusServer
from headrace.broker.service import BrokerService
from headrace.deploy.status_view import BrokerUnreachableError, fetch_status
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import ConfigError


@pytest.fixture
def url(broker: BrokerThread) -> Iterator[str]:
    server = StatusServer("127.0.0.1:0", StatusReader(broker.service, time.monotonic))
    server.start()
    yield server.url
    server.close()


def get(url: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(url, timeout=scaled(5)) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_health_answers_while_the_loop_runs(url: str) -> None:
    assert get(f"{url}/health") == (200, {"status": "ok"})


def test_status_is_what_the_command_reads(url: str) -> None:
    assert fetch_status(url).actors == []


def test_a_long_list_of_actors_comes_in_pages(
    broker: BrokerThread, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.broker.monitoring.status_server.MOST_LISTED", 1)
    server = StatusServer("127.0.0.1:0", StatusReader(broker.service, time.monotonic))
    server.start()
    with connect(broker, context, "a"), connect(broker, context, "b"):
        wait_until(lambda: len(broker.status.actors) == 2)
        code, page = get(f"{server.url}/status")
        assert (code, page["more_after"]) == (200, "a")
        assert [actor.actor for actor in fetch_status(server.url).actors] == ["a", "b"]
    server.close()


@pytest.mark.parametrize("query", ["limit=-1", "limit=100000", "limit=x", "offset=3"])
def test_an_invalid_page_is_refused_with_the_valid_form(url: str, query: str) -> None:
    code, body = get(f"{url}/status?{query}")
    assert code == 400
    assert "after=ID" in str(body)


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_status_is_never_fetched_through_a_proxy(
    url: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert fetch_status(url).actors == []


@pytest.mark.parametrize("endpoint", ["ingest", "control", "weights", "learner"])
def test_each_of_the_zeromq_ports_is_told_from_the_status(
    broker: BrokerThread, endpoint: str
) -> None:
    port = getattr(broker.service.address, endpoint).rpartition(":")[2]
    with pytest.raises(BrokerUnreachableError, match=r"does not speak HTTP: .*ZeroMQ ports"):
        fetch_status(f"http://127.0.0.1:{port}")


def test_other_paths_list_the_valid_ones(url: str) -> None:
    code, body = get(f"{url}/nothing")
    assert code == 404
    assert "/status" in str(body)


def test_metrics_match_the_ledger(url: str, broker: BrokerThread, context: Context) -> None:
    with Learner(context, broker.address) as learner, connect(broker, context, "a") as client:
        learner.publish(1)
        update = first_policy(client)
        for _ in range(3):
            push(client, update)
        learner.take(10)
        learner.confirm()
        wait_until(lambda: broker.status.ledger.consumed == 2)
        wait_until(lambda: broker.status.traffic.fan_outs == 1)
        with urllib.request.urlopen(f"{url}/metrics", timeout=scaled(5)) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            text = answer.read().decode()
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["headrace_batches_produced_total",] == 3
    assert found["headrace_batches_ended_total", "consumed"] == 2
    assert found["headrace_batches_held",] == 1
    assert found["headrace_queue_env_steps",] == 5
    assert found["headrace_actors", "live"] == 1
    assert found["headrace_learner_sessions",] == 1
    assert found["headrace_policy_lag", "max"] == 0
    assert found["headrace_publish_seconds_count",] == 1
    assert found["headrace_fan_out_seconds_count",] == 1
    accepted = found["headrace_bytes_total", "accepted"]
    assert accepted == 3 / 2 * found["headrace_bytes_total", "leased"] > 0


def test_the_status_names_the_versions_of_an_actors_libraries(
    url: str, broker: BrokerThread, context: Context
) -> None:
    with connect(broker, context, "a"):
        wait_until(lambda: fetch_status(url).actors)
        [actor] = fetch_status(url).actors
    for name, version in {
        "headrace-python": metadata.version("headrace"),
        "Python": platform.python_version(),
        "onnxruntime": metadata.version("onnxruntime"),
        "pyzmq": metadata.version("pyzmq"),
    }.items():
        assert f"{name} {version}" in actor.client


def test_an_unresponsive_loop_is_unhealthy(context: Context) -> None:
    service = BrokerService(BrokerConfig(address="tcp://127.0.0.1:0"), context)
    server = StatusServer("127.0.0.1:0", StatusReader(service, time.monotonic))
    server.start()
    assert get(f"{server.url}/health")[0] == 503
    server.close()


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:99999", "127.0.0.1:x"])
def test_an_invalid_address_is_reported_with_a_correction(
    broker: BrokerThread, address: str
) -> None:
    with pytest.raises(ConfigError, match="--http"):
        StatusServer(address, StatusReader(broker.service, time.monotonic))


def test_an_address_in_use_is_reported(broker: BrokerThread) -> None:
    with pytest.raises(ConfigError, match="another broker"):
        BrokerThread(broker.address)


def test_an_unreachable_broker_is_reported_with_advice() -> None:
    with pytest.raises(BrokerUnreachableError, match="is it running"):
        fetch_status("http://127.0.0.1:1")


def test_an_address_that_does_not_speak_http_is_unreachable(broker: BrokerThread) -> None:
    endpoint = BrokerAddress.parse(broker.address).learner
    with pytest.raises(BrokerUnreachableError):
        fetch_status(endpoint.replace("tcp://", "http://"))
