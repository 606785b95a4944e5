"""Messages between actors and the broker."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from headrace.protocol.compression import Compression
from headrace.protocol.errors import RejectCode
from headrace.protocol.identity import (
    BatchCount,
    Count,
    Digest,
    Name,
    PolicyVersion,
    Text,
)
from headrace.protocol.messages.base import WIRE_VERSION, Message
from headrace.protocol.messages.parts import Assignment, Credit, EvaluationTask, Purpose, Totals


class ActorMessage(Message, frozen=True):
    """Base of the messages that actors push."""

    actor: Name
    incarnation: Count


class Presence(ActorMessage, frozen=True):
    """The state of an actor; the broker resends whatever is out of date.

    Attributes:
        version: the weights it acts with, None before the first snapshot.
        policy_digest: of the policy frame that it has.
        last_seq: the newest batch that it finished, sent or not.
        acknowledged, totals: its counts, from which a new broker continues.
        env_steps: steps recorded so far.
        unrecorded_env_steps: steps that a simulator took without credit and did not record.
        evaluates: whether it runs evaluation episodes on request.
        broken_episodes: episodes that were dropped because their simulator failed; unset means 0.
    """

    version: PolicyVersion | None = None
    policy_digest: Digest | None = None
    last_seq: BatchCount = 0
    acknowledged: BatchCount = 0
    totals: Totals = Totals()
    env_steps: Count = 0
    unrecorded_env_steps: Count = 0
    evaluates: bool = False
    broken_episodes: Count | msgspec.UnsetType = msgspec.UNSET


class Hello(Presence, frozen=True, tag="hello"):
    """Announces an incarnation of an actor; repeated until a delivery state answers it."""

    wire_min: int = WIRE_VERSION
    wire_max: int = WIRE_VERSION
    client: Text = ""
    host: Text = ""


class Alive(Presence, frozen=True, tag="alive"):
    """Reports that an actor is alive: each second, or as often as the beacon says."""


class Goodbye(ActorMessage, frozen=True, tag="goodbye"):
    """Ends an incarnation on purpose."""

    last_seq: BatchCount = 0


class Trajectories(ActorMessage, frozen=True, tag="trajectories"):
    """One batch of trajectories; the payload is a `TrajectoryBatch`.

    Attributes:
        run: the run of the manifest that the batch was recorded under.
        version: the one policy version that acted.
        env_steps: env steps in the batch, as credit counts them.
        purpose: an evaluation batch needs no credit, and is one whole episode of `task`, or a part
            of one.
        task: of the evaluation; in a training batch, of the assignment that its episodes began
            under, if there was one.
        sent_before: this is a retransmission, or goes to a broker that is new to the actor.
        compression: of the payload, as the manifest offers it; unset for none.
        more: of an evaluation: the episode continues in this actor's next evaluation batch.
    """

    payload_count: ClassVar[int] = 1

    seq: Annotated[int, msgspec.Meta(ge=1, le=2**40)]
    run: Name
    version: PolicyVersion
    env_steps: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    purpose: Purpose = "train"
    task: Name | None = None
    sent_before: bool = False
    compression: Compression | msgspec.UnsetType = msgspec.UNSET
    more: bool | msgspec.UnsetType = msgspec.UNSET


class Delivery(Message, frozen=True, tag="delivery"):
    """The delivery state of one incarnation: cumulative, so any copy may be lost or repeated.

    Attributes:
        broker: the incarnation of the broker; credit belongs to it.
        accepted: the broker holds, or has dealt with, every batch up to this one.
        acknowledged: every batch up to this one ended as `totals` says: free its memory.
        credit: None while the broker has nothing to grant.
        gap: a batch above `accepted + 1` came first; send again from there.
        accepts: whether the broker accepts batches now; keep them while it does not.
        task: evaluation episodes to run before anything else.
        assignment: the one in force; unset if none is.
    """

    broker: Count
    incarnation: Count
    accepted: BatchCount
    acknowledged: BatchCount
    totals: Totals
    credit: Credit | None = None
    gap: bool = False
    accepts: bool = True
    task: EvaluationTask | None = None
    assignment: Assignment | msgspec.UnsetType = msgspec.UNSET


class Reject(Message, frozen=True, tag="reject"):
    """Says why a batch (with `seq`) or an incarnation (without) was turned away."""

    incarnation: Count
    code: RejectCode
    reason: Text
    seq: BatchCount | None = None


class Beacon(Message, frozen=True, tag="beacon"):
    """Announces the running broker and the newest version to all actors once a second.

    Attributes:
        learner: whether a learner is connected; unset by brokers that do not say.
        max_payload_bytes: the largest payload that the broker takes; unset by brokers that do not
            say.
        presence_s: time from one `alive` of an actor to its next, at most 60 s; unset for 1 s.
    """

    broker: Count
    wire_min: int = WIRE_VERSION
    wire_max: int = WIRE_VERSION
    run: Name | None = None
    version: PolicyVersion | None = None
    learner: bool | msgspec.UnsetType = msgspec.UNSET
    max_payload_bytes: Count | msgspec.UnsetType = msgspec.UNSET
    presence_s: Annotated[float, msgspec.Meta(gt=0)] | msgspec.UnsetType = msgspec.UNSET


class Weights(Message, frozen=True, tag="weights"):
    """New weights for the policy that `policy_digest` names: tensors by module and name."""

    payload_count: ClassVar[int] = 1

    run: Name
    version: PolicyVersion
    policy_digest: Digest


class Snapshot(Message, frozen=True, tag="snapshot"):
    """Everything a late joiner needs: payloads are the policy frame and the weights frame."""

    payload_count: ClassVar[int] = 2

    run: Name
    version: PolicyVersion
    policy_digest: Digest


IngestMessage = Hello | Alive | Goodbye | Trajectories

ControlMessage = Delivery | Reject | Beacon

WeightsMessage = Weights | Snapshot
