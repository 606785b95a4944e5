"""The closed set of messages: what a header frame may say. Do not subclass these.

Every message is one header frame, a msgpack map with the keys `kind`, `wire` and the fields below,
and the number of payload frames that `payload_count` tells. Unknown keys are ignored, so a minor
version may add optional fields.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from headrace.protocol.compression import Compression
from headrace.protocol.errors import RejectCode
from headrace.protocol.identity import (
    BatchCount,
    Count,
    Digest,
    Epoch,
    FleetCount,
    Name,
    PolicyVersion,
    Text,
)

WIRE_VERSION = 1
"""The major version of the wire; peers of another one are refused with `unsupported_version`."""

Purpose = Literal["train", "evaluate"]


class Totals(msgspec.Struct, frozen=True):
    """How the batches up to the acknowledged one ended; all add up to `acknowledged`.

    Attributes:
        stored: they are in the broker's journal, which answers for them from then on.
    """

    consumed: BatchCount = 0
    stale: BatchCount = 0
    rejected: BatchCount = 0
    dropped: BatchCount = 0
    stored: BatchCount = 0

    @property
    def ended(self) -> int:
        """All of them."""
        return self.consumed + self.stale + self.rejected + self.dropped + self.stored


class Ledger(msgspec.Struct, frozen=True):
    """Every batch of every actor: produced = consumed + stale + rejected + dropped + held."""

    produced: FleetCount = 0
    consumed: FleetCount = 0
    stale: FleetCount = 0
    rejected: FleetCount = 0
    dropped: FleetCount = 0
    held: FleetCount = 0


class Credit(msgspec.Struct, frozen=True):
    """Permission to begin batches.

    Attributes:
        up_to: the highest sequence number that may be begun.
        fragment_steps: close a batch at this many env steps,
        fragment_s: or after this many seconds, whichever comes first.
        min_version: begin only with weights at least this new; credit can overtake weights.
    """

    up_to: BatchCount
    fragment_steps: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    fragment_s: Annotated[float, msgspec.Meta(gt=0)]
    min_version: PolicyVersion


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """What a learner knows to have ended of one incarnation of an actor.

    Attributes:
        ended: every batch up to this one, as a lease told.
        confirmed: the batches above it that this learner was handed and confirmed.
    """

    actor: Name
    incarnation: Count
    ended: BatchCount
    confirmed: tuple[BatchCount, ...] = ()


class HeldBatch(msgspec.Struct, frozen=True, array_like=True):
    """A batch that a learner was leased and has not confirmed.

    Attributes:
        mark: the index of its incarnation in the hello's marks.
    """

    mark: Annotated[int, msgspec.Meta(ge=0, le=2**31)]
    seq: BatchCount


class EvaluationRequest(msgspec.Struct, frozen=True):
    """What a learner session wants evaluated: so many whole episodes, greedy.

    Attributes:
        task: a name that no other request has.
        min_version: the weights to act with, or newer ones.
    """

    task: Name
    episodes: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    min_version: PolicyVersion


class EvaluationTask(msgspec.Struct, frozen=True):
    """What an actor is to run for a request.

    Attributes:
        episodes: whole episodes for this task, in all; each is pushed as one batch.
    """

    task: Name
    episodes: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    min_version: PolicyVersion


OptionValue = bool | int | float | str | None
Options = dict[Name, OptionValue | list[OptionValue]]
"""What `reset(options=…)` of an environment takes, as far as every language has it."""


class Assignment(msgspec.Struct, frozen=True):
    """What the learner wants simulators to run in training, from their next episodes on.

    Attributes:
        number: a later assignment of the same learner run has a higher one; microseconds since 1970
            do. One that is not higher is ignored.
        task: what the batches of these episodes echo, such as a level of a curriculum.
        options: for every reset of the environment, in Gymnasium's sense.
        seed: for the first of these resets; unset for a random one.
    """

    number: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    task: Name
    options: Options = {}
    seed: Count | msgspec.UnsetType = msgspec.UNSET


class LearnerProgress(msgspec.Struct, frozen=True):
    """What a learner tells about its training, for `headrace status`."""

    env_steps: Count = 0
    iteration: Count = 0
    episode_return_mean: float | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Base of all messages."""

    payload_count: ClassVar[int] = 0

    wire: int = WIRE_VERSION


# ------------------------------------------------------------------ actor to broker (ingest)


class ActorMessage(Message, frozen=True):
    """Base of what actors push."""

    actor: Name
    incarnation: Count


class Presence(ActorMessage, frozen=True):
    """What an actor has; the broker sends again whatever is behind.

    Attributes:
        version: the weights it acts with, None before the first snapshot.
        policy_digest: the policy frame that it has.
        last_seq: the newest batch that it finished, sent or not.
        acknowledged, totals: its books, from which a new broker continues.
        env_steps: steps recorded so far.
        unrecorded_env_steps: steps that a simulator took without credit and did not record.
        evaluates: whether it runs evaluation episodes when it is told to.
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
    """Says once a second that an actor lives."""


class Goodbye(ActorMessage, frozen=True, tag="goodbye"):
    """Ends an incarnation on purpose."""

    last_seq: BatchCount = 0


class Trajectories(ActorMessage, frozen=True, tag="trajectories"):
    """One batch of trajectories; the payload is a `TrajectoryBatch`.

    Attributes:
        run: the run of the manifest that the batch was recorded under.
        version: the one policy version that acted.
        env_steps: env steps in the batch, as credit counts them.
        purpose: a batch to evaluate needs no credit, and is one whole episode of `task`.
        task: of the evaluation; in a batch to train on, of the assignment that its episodes began
            under, if there was one.
        sent_before: this is a retransmission, or goes to a broker that is new to the actor.
        compression: of the payload; unset for none. Only what the manifest offers.
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


# ------------------------------------------------------------------ broker to actor (control)


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
        assignment: what is in force now; unset if nothing is.
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
    """Tells all actors once a second which broker is there and which version is newest."""

    broker: Count
    wire_min: int = WIRE_VERSION
    wire_max: int = WIRE_VERSION
    run: Name | None = None
    version: PolicyVersion | None = None


# ------------------------------------------------------------------ broker to actor (weights)


class Weights(Message, frozen=True, tag="weights"):
    """New weights for the policy that `policy_digest` names: tensors by module and name."""

    payload_count: ClassVar[int] = 1

    run: Name
    version: PolicyVersion
    policy_digest: Digest


class Snapshot(Message, frozen=True, tag="snapshot"):
    """All that a late joiner needs: payloads are the policy frame and the weights frame."""

    payload_count: ClassVar[int] = 2

    run: Name
    version: PolicyVersion
    policy_digest: Digest


# ------------------------------------------------------------------ learner to broker


class LearnerMessage(Message, frozen=True):
    """Base of what learner sessions send; `session` is a random id, not a socket."""

    session: Count


class LearnerHello(LearnerMessage, frozen=True, tag="learner_hello"):
    """Opens a learner session.

    Attributes:
        learner_run: equal for all runners of one Algorithm and their restarts.
        worker_index: RLlib's; a new session of the same learner run, index and purpose ends the old
            one.
        run: the run's id, as in the manifest.
        takeover: end the sessions of another learner run instead of being refused.
        granted_epoch: the epoch that an earlier broker incarnation granted to this learner run, 0
            for none; it stays valid unless a newer one was heard of.
        newest_epoch: the newest epoch known from a checkpoint; the granted one is above it.
        former: this process's session before, if any; what it was leased and is neither in marks
            nor held was lost on its way.
        marks: what ended of each actor so far; none of it is leased again.
        held: what earlier sessions of this process were leased and have not confirmed; the new
            session holds it as its leases 1, 2, …, and its next lease has the number after them.
        sessions: of the learner, as the last report told; a broker that has started waits for as
            many before it leases what one of them may hold already.
        purpose: what it will be leased.
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


class Pull(LearnerMessage, frozen=True, tag="pull"):
    """Says how much the session takes, cumulatively, and that it lives; sent once a second.

    Attributes:
        lease_up_to_steps: lease batches while fewer env steps than this were leased in all.
        confirmed: leases up to this one were handed to training.
        stopping: the run is to end; every session of it is told with its next report.
        evaluation: what it wants evaluated, until it has that.
        assignment: the newest of this session; unset if it has assigned nothing.
    """

    lease_up_to_steps: Count
    confirmed: Count
    stopping: bool = False
    progress: LearnerProgress | None = None
    evaluation: EvaluationRequest | None = None
    assignment: Assignment | msgspec.UnsetType = msgspec.UNSET


class Offer(LearnerMessage, frozen=True, tag="offer"):
    """Tells that this session has weights of version `number` to publish.

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


# ------------------------------------------------------------------ broker to learner


class Welcome(Message, frozen=True, tag="welcome"):
    """Answers a learner's hello."""

    broker: Count
    session: Count
    epoch: Epoch


class Refusal(Message, frozen=True, tag="refusal"):
    """Turns a learner session or a publish away."""

    session: Count
    code: RejectCode
    reason: Text


class Want(Message, frozen=True, tag="want"):
    """Answers an offer: which frames the session is to publish; none once it is published.

    A session repeats its offer until nothing is wanted, and asks for leases only then, so that what
    it is leased is judged against the weights that it will train.
    """

    session: Count
    number: Count
    weights: bool
    policy: bool


class Lease(Message, frozen=True, tag="lease"):
    """One batch for a session, numbered from 1; the payload is the actor's, untouched.

    Attributes:
        ended: every batch of this incarnation up to this one has ended; for marks.
        attempt: 1, or more when an earlier session ended without confirming it.
        policy_lag: published versions since the batch's own, None across epochs.
        compression: the actor's.
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


class FleetReport(Message, frozen=True, tag="fleet_report"):
    """Answers each pull: how the fleet and the queue stand.

    Attributes:
        evaluators: actors among them that run evaluation episodes.
        last_lease: the newest lease that was sent before this message; a session that has not got
            it lost it with a connection, and begins anew.
        stopping: a session of this run said that the run is to end.
        sessions: of the learner; the only one may publish without being asked. Those that an
            earlier broker had and that are not back count for a while.
    """

    session: Count
    queue_env_steps: Count
    actors: Count
    ledger: Ledger
    evaluators: Count = 0
    last_lease: Count = 0
    stopping: bool = False
    sessions: Count = 0


IngestMessage = Hello | Alive | Goodbye | Trajectories
ControlMessage = Delivery | Reject | Beacon
WeightsMessage = Weights | Snapshot
FromLearner = LearnerHello | Pull | Offer | Publish | LearnerGoodbye
ToLearner = Welcome | Refusal | Want | Lease | FleetReport
