from __future__ import annotations

from headrace.protocol.topics import actor_of, delivery_topic, snapshot_topic, weights_topic


def test_no_topic_is_a_prefix_of_another() -> None:
    assert not delivery_topic("a10").startswith(delivery_topic("a1"))
    assert not weights_topic("run2").startswith(weights_topic("run"))


def test_a_topic_yields_its_actor() -> None:
    assert actor_of(snapshot_topic("a1"), snapshot_topic) == "a1"


def test_other_topics_name_no_actor() -> None:
    for topic in (b"", b"s", b"s\0", b"sa1", delivery_topic("a1"), b"s\xff\0"):
        assert actor_of(topic, snapshot_topic) is None
