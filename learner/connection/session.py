"""A learner's side of the conversation with a broker, as a pure state machine.

Feed it what the DEALER socket receives, and send what `outgoing` returns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec import UNSET

from headrace.learner.connection.lease_tracker import Holdings
from headrace.protocol.errors import RefusedError, RejectCode
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.limits import DEFAULT_LIMITS, DecodeLimits
from headrace.protocol.messages import (
    Assignment,
    EvaluationRequest,
    FleetReport,
    LearnerGoodbye,
    LearnerHello,
    LearnerProgress,
    Lease,
    Message,
    Offer,
    Publish,
    Pull,
    Purpose,
    Refusal,
    ToLearner,
    Want,
    Welcome,
)
from headrace.protocol.messages.headers import Frame, encode_header, to_learner_decoder
from headrace.protocol.trajectory import TrajectoryBatch, unpack_batch

_PULL_EVERY_S = 1.0
_HELLO_EVERY_S = 1.0
_OFFER_EVERY_S = 5.0


@dataclass(frozen=True)
class LearnerIdentity:
    """Who a session belongs to."""

    learner_run: str
    worker_index: int
    run: str
    host: str
    takeover: bool = False
    newest_epoch: int = 0
    purpose: Purpose = "train"


@dataclass(frozen=True)
class LeasedBatch:
    """A batch that is this session's to train on."""

    lease: Lease
    payload: Frame

    def unpack(self) -> TrajectoryBatch:
        """Returns the trajectories.

        Raises:
            RemoteProtocolError: the payload is not a batch.
        """
        return unpack_batch(self.payload, compression=self.lease.compression)


@dataclass(frozen=True)
class OfferedWeights:
    """Weights that are ready to be published."""

    number: int
    weights_digest: str
    policy_digest: str
    policy_frame: bytes
    weights_frame: bytes


class LearnerSession:
    """Sessions with one broker after another; a new one begins whenever the old one is lost."""

    def __init__(
        self,
        identity: LearnerIdentity,
        new_session_id: Callable[[], int],
        limits: DecodeLimits = DEFAULT_LIMITS,
    ) -> None:
        self._identity = identity
        self._new_session_id = new_session_id
        self._decode = to_learner_decoder(limits).decode
        self._holdings = Holdings()
        self._offered: OfferedWeights | None = None
        self._offer_is_open = False
        self._settled: PolicyVersion | None = None
        self._previous: PolicyVersion | None = None
        self._wanted_steps = 0
        self._out: list[tuple[Message, tuple[Frame, ...]]] = []
        self._hello_due_s = float("-inf")
        self._pull_due_s = float("-inf")
        self._offer_due_s = float("inf")
        self._has_joined = False
        self._ever_joined = False
        self.ready: deque[LeasedBatch] = deque()
        self.ready_env_steps = 0
        self.epoch = 0
        self.duplicates = 0
        self.report: FleetReport | None = None
        self.report_count = 0
        self.progress: LearnerProgress | None = None
        self.stopping = False
        self.evaluation: EvaluationRequest | None = None
        self.assignment: Assignment | None = None
        self.evaluated: deque[LeasedBatch] = deque()
        self.refusal: RefusedError | None = None
        self._session = 0
        self._begin()

    @property
    def is_joined(self) -> bool:
        """Whether the broker welcomed the present session."""
        return self._has_joined

    def on_message(self, frames: Sequence[Frame], now_s: float) -> None:
        """Takes a message from the broker.

        Raises:
            RemoteProtocolError: it is not a legal message; drop it and go on.
        """
        message, payloads = self._decode(frames)
        if message.session == self._session:
            self._take(message, payloads, now_s)

    def request(self, env_steps: int) -> None:
        """Asks for leases until so many env steps are ready or on their way."""
        self._wanted_steps = env_steps
        self._pull_due_s = float("-inf")

    def take(self) -> LeasedBatch | None:
        """Returns the next ready batch; once training has all of it, `confirm` it."""
        if not self.ready:
            return None
        batch = self.ready.popleft()
        self.ready_env_steps -= batch.lease.env_steps
        self._wanted_steps = max(0, self._wanted_steps - batch.lease.env_steps)
        return batch

    def confirm(self, batch: LeasedBatch) -> None:
        """Confirms the batches that `take` returned, up to this one."""
        if self._holdings.confirm(batch.lease):
            self._pull_due_s = float("-inf")

    def evaluate(self, request: EvaluationRequest | None) -> None:
        """Asks for episodes, which come in `evaluated`; None for no more."""
        self.evaluation = request
        self._pull_due_s = float("-inf")

    def assign(self, assignment: Assignment) -> None:
        """Tells actors, through the broker, what their next episodes are to be."""
        self.assignment = assignment
        self._pull_due_s = float("-inf")

    def stop(self) -> None:
        """Tells all sessions of the run that it is to end."""
        self.stopping = True
        self._pull_due_s = float("-inf")

    @property
    def run_is_stopping(self) -> bool:
        """Whether this session or another one said that the run is to end."""
        return self.stopping or (self.report is not None and self.report.stopping)

    @property
    def settled(self) -> PolicyVersion | None:
        """The newest version of ours that is published, or that another one has passed."""
        return self._settled

    @property
    def offer_is_settled(self) -> bool:
        """Whether what was offered is published, or was passed."""
        return self._offered is not None and self._has_joined and not self._offer_is_open

    def offer(self, weights: OfferedWeights) -> None:
        """Offers weights; they are sent when the broker asks for them."""
        former = self._offered
        if former is not None and (former.number, former.weights_digest) == (
            weights.number,
            weights.weights_digest,
        ):
            return
        self._offered = weights
        self._previous = self._settled
        if former is not None and self._may_publish_unasked(former, weights):
            self._out.append(self._publication(weights, b""))
        self._offer_is_open = True
        self._offer_due_s = float("-inf")

    def outgoing(self, now_s: float) -> list[list[Frame]]:
        """Returns, once, the messages that are due."""
        if not self._has_joined and now_s >= self._hello_due_s and self.refusal is None:
            self._hello_due_s = now_s + _HELLO_EVERY_S
            self._out.append((self._hello(), ()))
        if self._has_joined and now_s >= self._pull_due_s:
            self._pull_due_s = now_s + _PULL_EVERY_S
            self._out.append((self._pull(), ()))
        if self._has_joined and self._offer_is_open and now_s >= self._offer_due_s:
            self._offer_due_s = now_s + _OFFER_EVERY_S
            self._send_offer()
        due, self._out = self._out, []
        return [[encode_header(message), *payloads] for message, payloads in due]

    def next_event_at_s(self) -> float:
        """When something becomes due by time alone."""
        if self.refusal is not None:
            return float("inf")
        if not self._has_joined:
            return self._hello_due_s
        return min(self._pull_due_s, self._offer_due_s if self._offer_is_open else float("inf"))

    def goodbye(self) -> list[Frame]:
        """Returns the message that ends the session."""
        return [encode_header(LearnerGoodbye(session=self._session))]

    # ---------------------------------------------------------------- inside

    def _begin(self) -> None:
        """Starts a new session, which goes on with what the process holds."""
        self._former = self._session
        self._session = self._new_session_id()
        self._has_joined = False
        self._hello_due_s = float("-inf")
        self._leased_steps = 0
        self._holdings.begin()

    def _take(self, message: ToLearner, payloads: Sequence[Frame], now_s: float) -> None:
        match message:
            case Welcome():
                self._join(message)
            case Lease():
                self._take_lease(message, payloads[0])
            case Want():
                self._publish(message)
            case FleetReport():
                self.report = message
                self.report_count += 1
                if message.last_lease > self._holdings.last_lease:
                    self._begin()  # leases were lost with a connection; the broker takes them back
            case Refusal(code=RejectCode.UNKNOWN_SESSION):
                self._begin()
            case Refusal():
                self.refusal = RefusedError(message.code, message.reason)

    def _join(self, welcome: Welcome) -> None:
        self.epoch = welcome.epoch
        if self._has_joined:
            return
        self._has_joined = self._ever_joined = True
        self._pull_due_s = float("-inf")
        self._offer_is_open = self._offered is not None
        self._offer_due_s = float("-inf")

    def _take_lease(self, lease: Lease, payload: Frame) -> None:
        if lease.number != self._holdings.last_lease + 1:
            self._begin()  # one was lost with its connection; the broker takes it back
            return
        is_new = self._holdings.add(lease)
        if lease.purpose == "evaluate":
            self.evaluated.append(LeasedBatch(lease, payload))
            return
        self._leased_steps += lease.env_steps
        if not is_new:
            self.duplicates += 1
            self._pull_due_s = float("-inf")
            return
        self.ready.append(LeasedBatch(lease, payload))
        self.ready_env_steps += lease.env_steps

    def _publish(self, want: Want) -> None:
        offered = self._offered
        if offered is None or offered.number != want.number:
            return
        if not want.weights:
            self._offer_is_open = False
            self._settled = PolicyVersion(self.epoch, offered.number)
            self._pull_due_s = float("-inf")
            return
        policy_frame = offered.policy_frame if want.policy else b""
        self._out.append(self._publication(offered, policy_frame))
        self._offer_due_s = float("-inf")  # its answer says whether the publish arrived

    def _may_publish_unasked(self, former: OfferedWeights, weights: OfferedWeights) -> bool:
        """Whether nobody else can have published these weights, for a policy that is known."""
        is_alone = self.report is not None and self.report.sessions == 1
        goes_on = (
            self._settled is not None
            and self._settled == PolicyVersion(self.epoch, former.number)
            and weights.number > former.number
            and weights.policy_digest == former.policy_digest
        )
        # An open offer may be one to a new broker, which does not know the policy yet.
        return self._has_joined and not self._offer_is_open and is_alone and goes_on

    def _publication(
        self, weights: OfferedWeights, policy_frame: bytes
    ) -> tuple[Publish, tuple[Frame, ...]]:
        message = Publish(
            session=self._session,
            number=weights.number,
            weights_digest=weights.weights_digest,
            policy_digest=weights.policy_digest,
        )
        return message, (policy_frame, weights.weights_frame)

    def _send_offer(self) -> None:
        if self._offered is None:
            return
        message = Offer(
            session=self._session,
            number=self._offered.number,
            weights_digest=self._offered.weights_digest,
            policy_digest=self._offered.policy_digest,
            previous=self._previous,
        )
        self._out.append((message, ()))

    def _hello(self) -> LearnerHello:
        identity = self._identity
        return LearnerHello(
            session=self._session,
            learner_run=identity.learner_run,
            worker_index=identity.worker_index,
            run=identity.run,
            # A learner that was taken over must not take its place back.
            takeover=identity.takeover and not self._ever_joined,
            granted_epoch=self.epoch,
            newest_epoch=identity.newest_epoch,
            purpose=identity.purpose,
            former=self._former,
            marks=self._holdings.marks,
            held=self._holdings.held,
            sessions=self.report.sessions if self.report is not None else 0,
            host=identity.host,
        )

    def _pull(self) -> Pull:
        # Leases wait for the answer to an open offer: what is leased is judged against the newest
        # published weights, and counts towards the update that they begin.
        wanted = 0 if self._offer_is_open else self._wanted_steps
        missing = max(0, wanted - self.ready_env_steps)
        return Pull(
            session=self._session,
            lease_up_to_steps=self._leased_steps + missing,
            confirmed=self._holdings.confirmed,
            stopping=self.stopping,
            evaluation=self.evaluation,
            assignment=self.assignment or UNSET,
            progress=self.progress,
        )
