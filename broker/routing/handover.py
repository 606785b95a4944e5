"""Handover: a learner's new session takes over the leases that its process already holds."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.broker.state.batch import BatchKey
from headrace.broker.state.fleet import Fleet
from headrace.broker.state.learner_sessions import SessionRecord
from headrace.broker.state.queue import TrajectoryQueue
from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.messages import LearnerHello


def check_held(hello: LearnerHello) -> None:
    """Raises a RemoteProtocolError if a held batch refers to a missing mark."""
    if any(held.mark >= len(hello.marks) for held in hello.held):
        raise RemoteProtocolError(RejectCode.MALFORMED, "a held batch refers to a missing mark")


def take_over(
    session: SessionRecord,
    replaced: Sequence[SessionRecord],
    queue: TrajectoryQueue,
    fleet: Fleet,
) -> None:
    """Gives the batches that a session's process holds its first leases, in the hello's order."""
    hello = session.hello
    if not hello.held:
        return
    queued = {batch.key: batch for batch in queue}
    leased = {
        batch.key: (former, number)
        for former in replaced
        for number, batch in former.leases.items()
    }
    for held in hello.held:
        mark = hello.marks[held.mark]
        key: BatchKey = ((mark.actor, mark.incarnation), held.seq)
        for former in replaced:
            former.awaited.pop(key, None)
        if key in queued:
            queue.remove(queued[key])
            session.resume(queued[key])
        elif key in leased:
            former, number = leased[key]
            session.resume(former.release(number))
        else:
            session.resume(key if _may_arrive(key, fleet) else None)


def _may_arrive(key: BatchKey, fleet: Fleet) -> bool:
    origin, seq = key
    record = fleet.find(origin)
    return record is None or seq > record.receiver.accepted
