"""The learner's side of a session with a broker, as a pure state machine.

Feed it what the DEALER socket receives, and send what `outgoing` returns.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec import UNSET

from headrace.learner.connection.lease_tracker import LeaseTracker
from headrace.learner.connection.leased_batches import LeasedBatch, LeasedBatches
from headrace.learner.connection.weights_offer import OfferedWeights, WeightsOffer
from headrace.protocol.errors import RefusedError, RejectCode, RemoteProtocolError
from headrace.protocol.foreign_versions import ForeignVersions
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
    Pull,
    Purpose,
    Refusal,
    ToLearner,
    Want,
    Welcome,
)
from headrace.protocol.messages.headers import Frame, encode_header, to_learner_decoder

_PULL_EVERY_S = 1.0
_HELLO_EVERY_S = 1.0


@dataclass(frozen=True)
class LearnerIdentity:
    """The owner of a session."""

    learner_run: str
    worker_index: int
    run: str
    host: str
    takeover: bool = False
    newest_epoch: int = 0
    purpose: Purpose = "train"


class LearnerSession:
    """Successive sessions with brokers; a new one begins whenever the old one is lost.

    Attributes:
        is_joined: whether the broker has welcomed the current session.
    """

    def __init__(
        self,
        identity: LearnerIdentity,
        new_session_id: Callable[[], int],
        limits: DecodeLimits = DEFAULT_LIMITS,
    ) -> None:
        self._identity = identity
        self._new_session_id = new_session_id
        self._decode = to_learner_decoder(limits).decode
        self._leases = LeaseTracker()
        self._offer = WeightsOffer()
        self._least_epoch = 0
        self._out: list[tuple[Message, tuple[Frame, ...]]] = []
        self._hello_due_s = float("-inf")
        self._pull_due_s = float("-inf")
        self.is_joined = False
        self._ever_joined = False
        self.batches = LeasedBatches()
        self.epoch = 0
        self.duplicates = 0
        self.report: FleetReport | None = None
        self.report_count = 0
        self.progress: LearnerProgress | None = None
        self.stopping = False
        self.evaluation: EvaluationRequest | None = None
        self.assignment: Assignment | None = None
        self.evaluated: deque[LeasedBatch] = deque()
        self.share: float | None = None
        self.refusal: RefusedError | None = None
        self._limits = limits
        self._foreign_versions = ForeignVersions()
        self._session = 0
        self._begin()

    def on_message(self, frames: Sequence[Frame], now_s: float) -> None:
        """Handles a message from the broker.

        Raises:
            RemoteProtocolError: the message is invalid; drop it and continue.
        """
        try:
            message, payloads = self._decode(frames)
        except RemoteProtocolError as error:
            self.refusal = self._foreign_versions.refusal(error, now_s)
            return
        self._foreign_versions.note_understood(now_s)
        if message.session == self._session:
            self._take(message, payloads, now_s)

    def request(self, env_steps: int) -> None:
        """Asks for leases until this many env steps are ready or in flight."""
        self.batches.want(env_steps)
        self.hasten()

    def hasten(self) -> None:
        """Pulls at once; the broker answers with a report."""
        self._pull_due_s = float("-inf")

    def raise_epoch(self, epoch: int) -> None:
        """Asks for an epoch that another broker has granted, if it is above this broker's."""
        if epoch > self._least_epoch:
            self._least_epoch = epoch
            self._hello_due_s = float("-inf")

    def confirm(self, batch: LeasedBatch) -> None:
        """Confirms the batches that `batches.take` returned, up to this one."""
        if self._leases.confirm(batch.lease):
            self.hasten()

    def evaluate(self, request: EvaluationRequest | None) -> None:
        """Asks for episodes, which arrive in `evaluated`; None stops asking."""
        self.evaluation = request
        self.hasten()

    def assign(self, assignment: Assignment) -> None:
        """Sends actors an assignment for their next episodes, through the broker."""
        self.assignment = assignment
        self.hasten()

    def stop(self) -> None:
        """Announces to all sessions of the run that it is stopping."""
        self.stopping = True
        self.hasten()

    @property
    def run_is_stopping(self) -> bool:
        """Whether this session or another one announced that the run is stopping."""
        return self.stopping or (self.report is not None and self.report.stopping)

    @property
    def settled(self) -> PolicyVersion | None:
        """Our newest version that is published or superseded, None before the first."""
        return self._offer.settled

    @property
    def offer_is_settled(self) -> bool:
        """Whether the offered weights are published or superseded."""
        return self.is_joined and self._offer.is_settled

    def offer(self, weights: OfferedWeights) -> None:
        """Offers weights; they are sent when the broker asks for them."""
        is_alone = self.is_joined and self.report is not None and self.report.sessions == 1
        publishes = self._offer.offer(weights, self.epoch, is_alone=is_alone)
        self._check_size()
        if publishes and self.refusal is None:
            self._out += self._offer.publication(self._session, b"")

    def outgoing(self, now_s: float) -> list[list[Frame]]:
        """Returns, once, the messages that are due."""
        if self._needs_hello and now_s >= self._hello_due_s and self.refusal is None:
            self._hello_due_s = now_s + _HELLO_EVERY_S
            self._out.append((self._hello(), ()))
        if self.is_joined and now_s >= self._pull_due_s:
            self._pull_due_s = now_s + _PULL_EVERY_S
            self._out.append((self._pull(), ()))
        offer = self._offer.message(self._session, now_s) if self.is_joined else None
        if offer is not None:
            self._out.append((offer, ()))
        due, self._out = self._out, []
        return [[encode_header(message), *payloads] for message, payloads in due]

    def next_event_at_s(self) -> float:
        """Returns when something next becomes due by time alone."""
        if self.refusal is not None:
            return float("inf")
        if not self.is_joined:
            return self._hello_due_s
        hello_due_s = self._hello_due_s if self._needs_hello else float("inf")
        return min(hello_due_s, self._pull_due_s, self._offer.due_s)

    def goodbye(self) -> list[Frame]:
        """Returns the message that ends the session."""
        return [encode_header(LearnerGoodbye(session=self._session))]

    # ---------------------------------------------------------------- inside

    @property
    def _needs_hello(self) -> bool:
        return not self.is_joined or self.epoch < self._least_epoch

    def _begin(self) -> None:
        """Starts a new session, which keeps the leases that the process holds."""
        self._former = self._session
        self._session = self._new_session_id()
        self.is_joined = False
        self._hello_due_s = float("-inf")
        self.batches.begin_session()
        self._leases.begin()

    def _take(self, message: ToLearner, payloads: Sequence[Frame], now_s: float) -> None:
        match message:
            case Welcome():
                self._join(message)
            case Lease():
                self._take_lease(message, payloads[0])
            case Want():
                self._take_want(message)
            case FleetReport():
                self.report = message
                self.report_count += 1
                if message.last_lease > self._leases.last_lease:
                    self._begin()  # leases were lost with a connection; the broker takes them back
            case Refusal(code=RejectCode.UNKNOWN_SESSION):
                self._begin()
            case Refusal():
                self.refusal = RefusedError(message.code, message.reason)

    def _join(self, welcome: Welcome) -> None:
        is_raised = 0 < self.epoch < welcome.epoch <= self._least_epoch
        self.epoch = welcome.epoch
        if self.is_joined:
            if is_raised:
                self._offer.reopen()
            return
        self.is_joined = self._ever_joined = True
        if welcome.max_payload_bytes is not UNSET:
            self._limits = dataclasses.replace(
                self._limits, max_payload_bytes=welcome.max_payload_bytes
            )
        self._check_size()
        self.hasten()
        self._offer.reopen()

    def _check_size(self) -> None:
        """Refuses to publish weights that the broker, once it has joined, would reject."""
        size_bytes, limit = self._offer.largest_frame_bytes, self._limits.max_payload_bytes
        if self.is_joined and size_bytes > limit:
            self.refusal = _oversized(size_bytes, limit)

    def _take_lease(self, lease: Lease, payload: Frame) -> None:
        if lease.number != self._leases.last_lease + 1:
            self._begin()  # one was lost with its connection; the broker takes it back
            return
        is_new = self._leases.add(lease)
        leased = LeasedBatch(lease, payload, self._limits)
        if lease.purpose == "evaluate":
            self.evaluated.append(leased)
            return
        self.batches.add(leased, is_new=is_new)
        if not is_new:
            self.duplicates += 1
            self.hasten()

    def _take_want(self, want: Want) -> None:
        policy_frame = self._offer.take_want(want, self.epoch)
        if policy_frame is not None:
            self._out += self._offer.publication(self._session, policy_frame)
        elif not self._offer.is_open:
            self.hasten()

    def _hello(self) -> LearnerHello:
        identity = self._identity
        return LearnerHello(
            session=self._session,
            learner_run=identity.learner_run,
            worker_index=identity.worker_index,
            run=identity.run,
            # A learner that was taken over must not take its place back.
            takeover=identity.takeover and not self._ever_joined,
            granted_epoch=max(self.epoch, self._least_epoch),
            newest_epoch=identity.newest_epoch,
            purpose=identity.purpose,
            former=self._former,
            marks=self._leases.marks,
            held=self._leases.held,
            sessions=self.report.sessions if self.report is not None else 0,
            host=identity.host,
        )

    def _pull(self) -> Pull:
        # No leases while an offer is open: leased data is judged against the newest published
        # weights, and counts towards the update that they begin.
        missing = 0 if self._offer.is_open else self.batches.asked_steps
        return Pull(
            session=self._session,
            lease_up_to_steps=self.batches.lease_up_to_steps(missing),
            confirmed=self._leases.confirmed,
            stopping=self.stopping,
            evaluation=self.evaluation,
            assignment=self.assignment or UNSET,
            progress=self.progress,
            share=UNSET if self.share is None else self.share,
        )


def _oversized(size_bytes: int, limit_bytes: int) -> RefusedError:
    return RefusedError(
        RejectCode.OVERSIZED,
        f"the policy or its weights take {size_bytes:,} bytes, and this broker takes "
        f"{limit_bytes:,}; start it with --max-payload-bytes {size_bytes}",
    )
