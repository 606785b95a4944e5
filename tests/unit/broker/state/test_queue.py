from __future__ import annotations

import pytest

from headrace.broker.state.queue import TrajectoryQueue
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Trajectories


@pytest.fixture
def queue() -> TrajectoryQueue:
    queue = TrajectoryQueue(max_env_steps=100, max_held_bytes=50)
    for seq in (1, 2, 3):
        queue.append(queue.number(make_header(seq), bytes(10)))
    return queue


def make_header(seq: int) -> Trajectories:
    return Trajectories(
        actor="a",
        incarnation=1,
        seq=seq,
        run="r",
        version=PolicyVersion(1, 1),
        env_steps=20,
    )


def test_batches_leave_in_order_of_arrival(queue: TrajectoryQueue) -> None:
    assert [batch.header.seq for batch in queue] == [1, 2, 3]
    assert (len(queue), queue.env_steps, queue.bytes) == (3, 60, 30)


def test_room_is_bounded_in_steps_and_bytes(queue: TrajectoryQueue) -> None:
    assert queue.has_room_for(40, 20, 0)
    assert not queue.has_room_for(41, 1, 0)
    assert not queue.has_room_for(1, 21, 0)
    assert not queue.has_room_for(1, 1, 20)


def test_an_empty_queue_takes_a_batch_of_any_size() -> None:
    assert TrajectoryQueue(1, 1).has_room_for(10**6, 10**9, 10**9)


def test_a_returned_batch_takes_its_old_place(queue: TrajectoryQueue) -> None:
    first = next(iter(queue))
    queue.remove(first)
    queue.append(queue.number(make_header(4), b""))
    queue.put_back([first])
    assert [batch.header.seq for batch in queue] == [1, 2, 3, 4]


def test_remove_if_returns_the_removed_batches(queue: TrajectoryQueue) -> None:
    removed = queue.remove_if(lambda batch: batch.header.seq != 2)
    assert [batch.header.seq for batch in removed] == [1, 3]
    assert (queue.env_steps, queue.bytes) == (20, 10)
