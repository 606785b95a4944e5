"""Section 6: the recording of episodes, for training and for evaluation."""

from __future__ import annotations

from headrace.deploy.conformance.behaviour import FIRST_VERSION
from headrace.deploy.conformance.harness import SOON_S, Harness
from headrace.deploy.conformance.violations import Section, fail
from headrace.protocol.messages import EvaluationTask

_BATCHES = 40
_EPISODES = 2


def episodes(harness: Harness) -> None:
    """Takes many short batches, so that episodes continue from one to the next.

    The observer checks in every case that they continue correctly.
    """
    harness.broker.change(fragment_steps=5)
    harness.open()
    harness.await_batch(_BATCHES, within_s=60.0)


def evaluation(harness: Harness) -> None:
    """Requests two evaluation episodes, if the client runs any."""
    harness.open()
    broker = harness.broker
    presence = broker.presence
    if presence is None or not presence.evaluates:
        return
    task = EvaluationTask("conformance-task", _EPISODES, FIRST_VERSION)
    broker.change(task=task)
    harness.expect(
        lambda: _evaluated(harness) >= _EPISODES,
        4 * SOON_S,
        Section.DELIVERY,
        f"reports that it evaluates, but does not run the {_EPISODES} episodes of its task",
    )
    harness.serve(2.0)
    if _evaluated(harness) > _EPISODES:
        fail(Section.DELIVERY, f"ran more episodes than the {_EPISODES} of its task")
    broker.change(task=None)
    harness.await_batch(broker.accepted + 2)


def _evaluated(harness: Harness) -> int:
    headers = {arrival.header.seq: arrival.header for arrival in harness.broker.arrivals}
    return sum(header.task == "conformance-task" for header in headers.values())
