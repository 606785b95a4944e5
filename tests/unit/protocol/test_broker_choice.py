"""Which of several brokers an actor uses."""

from __future__ import annotations

from collections import Counter

import pytest

from headrace.protocol.broker_choice import choose_broker, split_addresses
from headrace.protocol.errors import ConfigError

BROKERS = tuple(f"tcp://10.0.0.{host}:5555" for host in (1, 2, 3))


def named(host: str) -> str:
    return ",".join(
        f"{name}=tcp://{host}:{port}"
        for port, name in enumerate(("ingest", "control", "weights", "learner"), start=1)
    )


def test_an_actor_chooses_the_broker_that_other_languages_choose() -> None:
    chosen = [choose_broker(BROKERS, f"walker-{actor}") for actor in range(6)]
    assert chosen == [BROKERS[at] for at in (0, 1, 0, 2, 1, 0)]


def test_the_order_of_the_brokers_does_not_matter() -> None:
    for actor in map(str, range(100)):
        assert choose_broker(BROKERS, actor) == choose_broker(BROKERS[::-1], actor)


def test_about_as_many_actors_choose_each_broker() -> None:
    counts = Counter(choose_broker(BROKERS, f"actor-{actor}") for actor in range(3000))
    assert all(900 < counts[broker] < 1100 for broker in BROKERS)


def test_only_the_actors_of_a_new_broker_move() -> None:
    added = "tcp://10.0.0.4:5555"
    for actor in map(str, range(300)):
        moved = choose_broker([*BROKERS, added], actor)
        assert moved in (added, choose_broker(BROKERS, actor))


@pytest.mark.parametrize(
    "given",
    [
        f"tcp://c:1,{named('a')},{named('b')}",
        f"tcp://c:1 , {named('a')} , {named('b')}",
        ["tcp://c:1", named("a"), named("b")],
        ["tcp://c:1", f"{named('a')},{named('b')}"],
    ],
)
def test_several_brokers_may_each_name_their_endpoints(given: str | list[str]) -> None:
    assert split_addresses(given) == ("tcp://c:1", named("a"), named("b"))


def test_an_incomplete_address_stays_one_so_that_its_error_names_it() -> None:
    assert split_addresses("ingest=tcp://a:1,control=tcp://a:2") == (
        "ingest=tcp://a:1,control=tcp://a:2",
    )
    assert split_addresses("") == ("",)


@pytest.mark.parametrize("given", ["tcp://a:1,tcp://a:1", ["tcp://a:1", "tcp://a:1"], []])
def test_no_broker_or_one_twice_is_an_error(given: str | list[str]) -> None:
    with pytest.raises(ConfigError, match=r"twice|no broker"):
        split_addresses(given)
