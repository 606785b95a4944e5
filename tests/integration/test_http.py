from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.running import BrokerThread, Context, Learner, connect, first_policy, push, wait_until

from headrace.broker.config import BrokerConfig
from headrace.broker.monitoring.status_server import StatusServer
from headrace.broker.service import BrokerService
from headrace.deploy.status_view import BrokerUnreachableError, fetch_status
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import ConfigError


@pytest.fixture
def url(broker: BrokerThread) -> Iterator[str]:
    server = StatusServer("127.0.0.1:0", broker.service.status)
    server.start()
    yield server.url
    server.close()


def get(url: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_health_answers_while_the_loop_runs(url: str) -> None:
    assert get(f"{url}/health") == (200, {"status": "ok"})


def test_status_is_what_the_command_reads(url: str) -> None:
    assert fetch_status(url).actors == []


def test_other_paths_are_told_what_there_is(url: str) -> None:
    code, body = get(f"{url}/nothing")
    assert code == 404
    assert "/status" in str(body)


def test_metrics_add_up_as_the_ledger_does(
    url: str, broker: BrokerThread, context: Context
) -> None:
    with Learner(context, broker.address) as learner, connect(broker, context, "a") as client:
        learner.publish(1)
        update = first_policy(client)
        for _ in range(3):
            push(client, update)
        learner.take(10)
        learner.confirm()
        wait_until(lambda: broker.status.ledger.consumed == 2)
        wait_until(lambda: broker.status.traffic.fan_outs == 1)
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
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


def test_a_loop_that_does_not_answer_is_not_healthy(context: Context) -> None:
    service = BrokerService(BrokerConfig(address="tcp://127.0.0.1:0"), context)
    server = StatusServer("127.0.0.1:0", service.status)
    server.start()
    assert get(f"{server.url}/health")[0] == 503
    server.close()


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:99999", "127.0.0.1:x"])
def test_an_address_that_cannot_be_served_says_what_to_write(
    broker: BrokerThread, address: str
) -> None:
    with pytest.raises(ConfigError, match="--http"):
        StatusServer(address, broker.service.status)


def test_an_address_in_use_says_so(broker: BrokerThread) -> None:
    with pytest.raises(ConfigError, match="another broker"):
        BrokerThread(broker.address)


def test_where_no_broker_answers_the_command_says_what_to_check() -> None:
    with pytest.raises(BrokerUnreachableError, match="is it running"):
        fetch_status("http://127.0.0.1:1")


def test_an_address_that_speaks_no_http_is_as_good_as_none(broker: BrokerThread) -> None:
    endpoint = BrokerAddress.parse(broker.address).learner
    with pytest.raises(BrokerUnreachableError):
        fetch_status(endpoint.replace("tcp://", "http://"))
