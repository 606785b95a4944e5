"""A broker client in memory: a test grants credit, and sees what an agent pushes."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files

import msgspec
import numpy as np

from headrace.actors.connection.broker_client import BatchPermit, EvaluationPermit
from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.deploy.conformance.policy import GRAPH_FILE, make_policy
from headrace.protocol.flow_control import Flow
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.manifest import DEFAULT_MODULE, Policy
from headrace.protocol.messages import Assignment, Credit, Purpose
from headrace.protocol.trajectory import Chunk, TrajectoryBatch

OLDEST = PolicyVersion(0, 0)
WEIGHTS = np.array([[0.02, 0.0]] * 4, np.float32)
"""For observations of ones the greedy action is 0; when exploring, 1 is nearly as likely."""


@dataclass(frozen=True)
class Pushed:
    """A batch that an agent pushed."""

    batch: TrajectoryBatch
    version: PolicyVersion
    env_steps: int
    task: str | None
    purpose: Purpose
    more: bool = False

    @property
    def chunks(self) -> list[Chunk]:
        return list(self.batch)


@dataclass
class MemoryClient:
    """Records what agents report and push; calls that would have to wait return at once.

    Attributes:
        credits: how many batches may still be begun; evaluations need none, and use one.
        evaluations: how many episodes of task "evaluation" are wanted.
        unusable: versions whose weights are missing.
    """

    credits: int = 1000
    fragment_steps: int = 10
    fragment_s: float = 1000.0
    max_payload_bytes: int = 10**6
    evaluations: int = 0
    max_evaluation_steps: int | None = None
    outdated_below: PolicyVersion = OLDEST
    assignment: Assignment | None = None
    is_closed: bool = False
    offers_evaluation: bool = False
    unusable: set[PolicyVersion] = field(default_factory=set[PolicyVersion])
    pushed: list[Pushed] = field(default_factory=list[Pushed])
    unrecorded: int = 0
    broken: tuple[int, int] = (0, 0)
    waits: int = 0
    infos: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._policy = make_policy("run")
        self._graph = files("headrace.deploy.conformance").joinpath(GRAPH_FILE).read_bytes()
        self._manifest = msgspec.structs.replace(self._policy.manifest, infos=self.infos)
        self._version: PolicyVersion | None = PolicyVersion(1, 1)

    # ---------------------------------------------------------------- for the test

    def publish(self, number: int, flow: Flow | None = None) -> None:
        self._version = PolicyVersion(1, number)
        if flow is not None:
            self._manifest = msgspec.structs.replace(self._manifest, flow=flow)

    def lose_policy(self) -> None:
        self._version = None

    def of(self, purpose: Purpose) -> list[Pushed]:
        return [pushed for pushed in self.pushed if pushed.purpose == purpose]

    # ---------------------------------------------------------------- for the agent

    @property
    def newest_version(self) -> PolicyVersion | None:
        return self._version

    @property
    def evaluation_is_wanted(self) -> bool:
        return self.offers_evaluation and self.evaluations > 0 and self._version is not None

    def begin(
        self, timeout_s: float | None = None, *, until_evaluation: bool = False
    ) -> BatchPermit | None:
        update = self._update()
        if not self.may_begin() or update is None:
            self.waits += 1
            return None
        credit = Credit(10**6, self.fragment_steps, self.fragment_s, OLDEST)
        return BatchPermit(update, credit, self.max_payload_bytes)

    def may_begin(self) -> bool:
        return self.credits > 0 and self._version is not None

    def policy_update(self, timeout_s: float | None = None) -> PolicyUpdate | None:
        return self._update()

    def policy_update_after(
        self, version: PolicyVersion | None, timeout_s: float | None = None
    ) -> PolicyUpdate | None:
        return None if self._version == version else self._update()

    def claim(self, owner: object) -> None:
        """Allows several owners: they share what the test sees."""

    def offer_evaluation(self) -> None:
        self.offers_evaluation = True

    def begin_evaluation(self) -> EvaluationPermit | None:
        update = self._update()
        if not self.evaluation_is_wanted or update is None:
            return None
        self.evaluations -= 1
        return EvaluationPermit(
            update, "evaluation", self.max_evaluation_steps, self.max_payload_bytes
        )

    def give_back_evaluation(self, task: str) -> None:
        assert task == "evaluation"
        self.evaluations += 1

    def is_outdated(self, version: PolicyVersion) -> bool:
        return version < self.outdated_below

    def push(
        self,
        batch: TrajectoryBatch,
        update: PolicyUpdate,
        env_steps: int,
        *,
        task: str | None = None,
        purpose: Purpose = "train",
        more: bool = False,
    ) -> int:
        assert self.credits > 0 or purpose == "evaluate", "a batch was begun without credit"
        self.credits = max(0, self.credits - 1)
        self.pushed.append(Pushed(batch, update.version, env_steps, task, purpose, more))
        return len(self.pushed)

    def count_unrecorded(self, env_steps: int) -> None:
        self.unrecorded += env_steps

    def count_broken(self, episodes: int, env_steps: int) -> None:
        self.broken = (self.broken[0] + episodes, self.broken[1] + env_steps)

    def _update(self) -> PolicyUpdate | None:
        if self._version is None:
            return None
        weights = {} if self._version in self.unusable else {"w": WEIGHTS}
        policy = Policy(self._manifest, {DEFAULT_MODULE: self._graph})
        return PolicyUpdate(self._version, self._policy.digest, policy, {DEFAULT_MODULE: weights})
