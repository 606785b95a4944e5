"""The interface of `Client` that agents and collectors use, and the permits that it grants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.limits import DEFAULT_LIMITS
from headrace.protocol.messages import Assignment, Credit, Purpose
from headrace.protocol.trajectory import TrajectoryBatch


@dataclass(frozen=True)
class BatchPermit:
    """Permission to begin a batch.

    Attributes:
        credit: how long the batch may be.
        max_payload_bytes: the largest payload that the broker takes.
    """

    update: PolicyUpdate
    credit: Credit
    max_payload_bytes: int = DEFAULT_LIMITS.max_payload_bytes


@dataclass(frozen=True)
class EvaluationPermit:
    """Permission to begin an evaluation: act greedily for one whole episode, then push it.

    Attributes:
        update: at least as new as the learner asks for.
        task: the evaluation that the episode belongs to.
        max_env_steps: the episode is truncated at this many; None for no limit.
        max_payload_bytes: the largest payload that the broker takes; larger episodes go in parts.
    """

    update: PolicyUpdate
    task: str
    max_env_steps: int | None = None
    max_payload_bytes: int = DEFAULT_LIMITS.max_payload_bytes


class BrokerClient(Protocol):
    """The part of `Client` that agents depend on, documented there; tests have one in memory."""

    @property
    def is_closed(self) -> bool: ...

    @property
    def newest_version(self) -> PolicyVersion | None: ...

    @property
    def assignment(self) -> Assignment | None: ...

    @property
    def evaluation_is_wanted(self) -> bool: ...

    def begin(
        self, timeout_s: float | None = None, *, until_evaluation: bool = False
    ) -> BatchPermit | None: ...

    def may_begin(self) -> bool: ...

    def policy_update(self, timeout_s: float | None = None) -> PolicyUpdate | None: ...

    def policy_update_after(
        self, version: PolicyVersion | None, timeout_s: float | None = None
    ) -> PolicyUpdate | None: ...

    def claim(self, owner: object) -> None: ...

    def offer_evaluation(self) -> None: ...

    def begin_evaluation(self) -> EvaluationPermit | None: ...

    def give_back_evaluation(self, task: str) -> None: ...

    def is_outdated(self, version: PolicyVersion) -> bool: ...

    def push(
        self,
        batch: TrajectoryBatch,
        update: PolicyUpdate,
        env_steps: int,
        *,
        task: str | None = None,
        purpose: Purpose = "train",
        more: bool = False,
    ) -> int: ...

    def count_unrecorded(self, env_steps: int) -> None: ...

    def count_broken(self, episodes: int, env_steps: int) -> None: ...
