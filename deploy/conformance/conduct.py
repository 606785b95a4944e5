"""What a played broker does."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import EvaluationTask

FIRST_VERSION = PolicyVersion(1, 1)


@dataclass(frozen=True)
class Conduct:
    """By default what an honest broker with an eager learner does.

    Attributes:
        answers: presence is answered with a delivery.
        publishes: whoever subscribes to its snapshot is sent one.
        announces: weights go out to subscribers when they are published.
        accepts: batches are accepted; else the broker says that it takes none.
        loses: batches whose first transmission never arrives.
        rejects: batches that are turned away.
        ends: accepted batches end at once, as consumed.
        window: batches that may be begun beyond the accepted ones; None: there is no credit.
        up_to: the last batch that may be begun, whatever the window says.
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
