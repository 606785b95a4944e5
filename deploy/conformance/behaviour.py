"""The behaviour of the scripted broker."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import EvaluationTask

FIRST_VERSION = PolicyVersion(1, 1)


@dataclass(frozen=True)
class Behaviour:
    """By default that of a correct broker whose learner takes every batch.

    Attributes:
        answers: presence is answered with a delivery.
        publishes: an actor that subscribes to its snapshots is sent one.
        announces: weights are sent to subscribers when they are published.
        accepts: batches are accepted; if False, deliveries say `accepts: false`.
        loses: batches whose first transmission is lost.
        rejects: batches that are rejected.
        ends: accepted batches end at once, as consumed.
        window: batches that may be begun beyond the accepted ones; None grants no credit.
        up_to: the last batch that may be begun, whatever the window.
        task: an evaluation to run.
    """

    answers: bool = True
    publishes: bool = True
    announces: bool = True
    accepts: bool = True
    loses: frozenset[int] = frozenset()
    rejects: frozenset[int] = frozenset()
    ends: bool = True
    window: int | None = 2
    up_to: int = 2**40
    fragment_steps: int = 10
    fragment_s: float = 10.0
    min_version: PolicyVersion = FIRST_VERSION
    task: EvaluationTask | None = None
