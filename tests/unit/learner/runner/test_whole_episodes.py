"""Evaluation episodes that came in parts."""

from __future__ import annotations

from msgspec import UNSET

from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.learner.runner.evaluation import whole_episodes
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Lease


def leased(number: int, actor: str, *, more: bool = False) -> LeasedBatch:
    lease = Lease(
        session=1,
        number=number,
        actor=actor,
        incarnation=1,
        seq=number,
        version=PolicyVersion(1, 1),
        env_steps=10,
        purpose="evaluate",
        task="task",
        more=True if more else UNSET,
    )
    return LeasedBatch(lease, b"")


def test_parts_of_an_episode_whose_actor_has_gone_are_left_out() -> None:
    batches = [
        leased(1, "a", more=True),
        leased(2, "gone", more=True),
        leased(3, "a"),
        leased(4, "b"),
        leased(5, "gone", more=True),
    ]
    assert [batch.lease.number for batch in whole_episodes(batches)] == [1, 3, 4]
