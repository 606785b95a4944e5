"""Messages between learners and the broker."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from headrace.protocol.compression import Compression
from headrace.protocol.errors import RejectCode
from headrace.protocol.identity import (
    BatchCount,
    Count,
    Digest,
    Epoch,
    Name,
    PolicyVersion,
    Text,
)
from headrace.protocol.messages.base import WIRE_VERSION, Message
from headrace.protocol.messages.parts import (
    Assignment,
    EvaluationRequest,
    HeldBatch,
    LearnerProgress,
    Ledger,
    Mark,
    Purpose,
)

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class LearnerMessage(Message, frozen=True):
    """Base of the messages that learner sessions send; `session` is a random id, not a socket."""

    session: Count


class LearnerHello(LearnerMessage, frozen=True, tag="learner_hello"):
    """Opens a learner session.

    Attributes:
        learner_run: equal for all runners of one Algorithm and their restarts.
        worker_index: RLlib's; a new session of the same learner run, index and purpose ends the old
            one.
        run: the run's id, as in the manifest.
        takeover: end the sessions of another learner run instead of being refused.
        granted_epoch: the epoch that an earlier broker incarnation, or another broker, granted to
            this learner run, 0 for none; it stays valid unless the broker knows a newer one.
        newest_epoch: the newest epoch known from a checkpoint; the granted one is above it.
        former: this process's previous session, 0 for none; its leases that are neither in marks
            nor held were lost in transit.
        marks: the batches of each actor that have ended; none of them is leased again.
        held: batches that were leased to earlier sessions of this process and are not confirmed;
            they are leases 1, 2, … of the new session, whose next lease has the number after them.
        sessions: the learner's, as in the last report; a restarted broker waits for that many
            before it leases batches that one of them may hold already.
        purpose: of the batches that it will be leased.
        probe: only ask: the answer is a welcome or a refusal, and no session opens. A broker that
            does not know this key opens one.
    """

    learner_run: Name
    worker_index: Count
    run: Name
    takeover: bool = False
    granted_epoch: Epoch = 0
    newest_epoch: Epoch = 0
    former: Count = 0
    marks: tuple[Mark, ...] = ()
    held: tuple[HeldBatch, ...] = ()
    sessions: Count = 0
    purpose: Purpose = "train"
    wire_min: int = WIRE_VERSION
    wire_max: int = WIRE_VERSION
    host: Text = ""
    probe: bool | msgspec.UnsetType = msgspec.UNSET


class Pull(LearnerMessage, frozen=True, tag="pull"):
    """Requests leases up to a cumulative limit; sent once a second, as a heartbeat.

    Attributes:
        lease_up_to_steps: lease batches while fewer env steps than this were leased in all.
        confirmed: leases up to this one were handed to training.
        stopping: the run is ending; the next report to each of its sessions says so.
        evaluation: the request of this session, until it has the episodes.
        assignment: the newest of this session; unset if it has made none.
        share: the part of the learner's data that this broker's actors should make, of a learner
            with several brokers; `lease_up_to_steps` may then fall, and the credit window holds
            what the sessions ask for. Unset by a learner with one broker.
    """

    lease_up_to_steps: Count
    confirmed: Count
    stopping: bool = False
    progress: LearnerProgress | None = None
    evaluation: EvaluationRequest | None = None
    assignment: Assignment | msgspec.UnsetType = msgspec.UNSET
    share: Share | msgspec.UnsetType = msgspec.UNSET


class Offer(LearnerMessage, frozen=True, tag="offer"):
    """Offers weights of version `number` for publication.

    Attributes:
        previous: the version that this runner offered last, published by it or by another one. A
            number below it says that the learner was restored: a new epoch begins.
    """

    number: Count
    weights_digest: Digest
    policy_digest: Digest
    previous: PolicyVersion | None = None


class Publish(LearnerMessage, frozen=True, tag="publish"):
    """The offered weights: payloads are the policy frame (empty if unwanted) and the weights."""

    payload_count: ClassVar[int] = 2

    number: Count
    weights_digest: Digest
    policy_digest: Digest


class LearnerGoodbye(LearnerMessage, frozen=True, tag="learner_goodbye"):
    """Ends a session on purpose; its unconfirmed leases go back to the queue."""


class Welcome(Message, frozen=True, tag="welcome"):
    """Answers a learner's hello.

    Attributes:
        max_payload_bytes: the largest payload that the broker takes; unset by brokers that do not
            say.
    """

    broker: Count
    session: Count
    epoch: Epoch
    max_payload_bytes: Count | msgspec.UnsetType = msgspec.UNSET


class Refusal(Message, frozen=True, tag="refusal"):
    """Refuses a learner session or a publish."""

    session: Count
    code: RejectCode
    reason: Text


class Want(Message, frozen=True, tag="want"):
    """Answers an offer: which frames the session must publish; none once they are published.

    A session repeats its offer until nothing is wanted, and asks for leases only then, so that
    their staleness is judged against the weights that it will train.
    """

    session: Count
    number: Count
    weights: bool
    policy: bool


class Lease(Message, frozen=True, tag="lease"):
    """One batch for a session, numbered from 1; the payload is the actor's, unchanged.

    Attributes:
        ended: every batch of this incarnation up to this one has ended; for marks.
        attempt: 1, or more when an earlier session ended without confirming it.
        policy_lag: published versions since the batch's own, None across epochs.
        compression: of the payload, as the actor sent it.
        more: of an evaluation: the episode continues in the actor's next evaluation batch.
    """

    payload_count: ClassVar[int] = 1

    session: Count
    number: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    actor: Name
    incarnation: Count
    seq: Count
    version: PolicyVersion
    env_steps: Count
    ended: BatchCount = 0
    attempt: Count = 1
    policy_lag: Count | None = None
    purpose: Purpose = "train"
    task: Name | None = None
    compression: Compression | msgspec.UnsetType = msgspec.UNSET
    more: bool | msgspec.UnsetType = msgspec.UNSET


class FleetReport(Message, frozen=True, tag="fleet_report"):
    """Answers each pull with the state of the fleet and the queue.

    Attributes:
        evaluators: how many of the actors run evaluation episodes.
        last_lease: the newest lease that was sent before this message; a session without it lost
            it with a connection, and must open another session.
        stopping: a session of this run said that the run is ending.
        sessions: of the learner; the only one may publish without being asked. Those that an
            earlier broker had and that are not back are counted for a while.
    """

    session: Count
    queue_env_steps: Count
    actors: Count
    ledger: Ledger
    evaluators: Count = 0
    last_lease: Count = 0
    stopping: bool = False
    sessions: Count = 0


FromLearner = LearnerHello | Pull | Offer | Publish | LearnerGoodbye

ToLearner = Welcome | Refusal | Want | Lease | FleetReport
