"""Section 6, and what is recorded for an evaluation."""

from __future__ import annotations

from headrace.deploy.conformance.conduct import FIRST_VERSION
from headrace.deploy.conformance.faults import Section, fail
from headrace.deploy.conformance.stage import SOON_S, Stage
from headrace.protocol.messages import EvaluationTask

_BATCHES = 40
_EPISODES = 2


def episodes(stage: Stage) -> None:
    """Takes many short batches, so that episodes go on from one to the next.

    Whether they do so without a flaw is what the observer watches, always.
    """
    stage.broker.change(fragment_steps=5)
    stage.open()
    stage.await_batch(_BATCHES, within_s=60.0)


def evaluation(stage: Stage) -> None:
    """Asks for two episodes, if the client says that it runs any."""
    stage.open()
    broker = stage.broker
    presence = broker.presence
    if presence is None or not presence.evaluates:
        return
    task = EvaluationTask("conformance-task", _EPISODES, FIRST_VERSION)
    broker.change(task=task)
    stage.expect(
        lambda: _evaluated(stage) >= _EPISODES,
        4 * SOON_S,
        Section.DELIVERY,
        f"says that it evaluates and does not run the {_EPISODES} episodes of its task",
    )
    stage.serve(2.0)
    if _evaluated(stage) > _EPISODES:
        fail(Section.DELIVERY, f"ran more episodes than the {_EPISODES} of its task")
    broker.change(task=None)
    stage.await_batch(broker.accepted + 2)


def _evaluated(stage: Stage) -> int:
    headers = {arrival.header.seq: arrival.header for arrival in stage.broker.arrivals}
    return sum(header.task == "conformance-task" for header in headers.values())
