"""What learners say, and what they are answered."""

from __future__ import annotations

import dataclasses
import sys
from typing import assert_never

import msgspec

from headrace.broker.routing.broker_state import BrokerBooks
from headrace.broker.routing.effects import KeepDeadLetter, SendToLearner
from headrace.broker.routing.handover import check_held, take_over
from headrace.broker.routing.ingest_handler import ActorDesk
from headrace.broker.state.batch import QueuedBatch
from headrace.broker.state.learner_sessions import LearnerSession
from headrace.broker.state.policy_versions import OfferVerdict
from headrace.protocol.delivery import Outcome
from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.messages import (
    FleetReport,
    FromLearner,
    LearnerGoodbye,
    LearnerHello,
    Mark,
    Offer,
    Publish,
    Pull,
    Refusal,
    ToLearner,
    Want,
)
from headrace.protocol.messages.headers import Frame


class LearnerDesk:
    """Handles the learner endpoint."""

    def __init__(self, books: BrokerBooks, actors: ActorDesk) -> None:
        self._books = books
        self._actors = actors
        self._publisher: int | None = None
        self._awaited_number = 0
        self._awaited_since_s = 0.0
        self._held_offers: dict[int, Offer] = {}

    def handle(
        self,
        routing_id: bytes,
        message: FromLearner,
        payloads: tuple[Frame, ...],
        now_s: float,
    ) -> None:
        """Handles one message.

        Raises:
            RemoteProtocolError: it is legal by itself but not from this learner now.
        """
        if isinstance(message, LearnerHello):
            self._open(routing_id, message, now_s)
            return
        session = self._books.sessions.get(message.session)
        if session is None:
            if not isinstance(message, LearnerGoodbye):
                self.refuse(
                    routing_id, message.session, RejectCode.UNKNOWN_SESSION, "say hello again"
                )
            return
        session.routing_id = routing_id
        session.last_heard_s = now_s
        match message:
            case Pull():
                self._take_pull(session, message, now_s)
            case Offer():
                self._take_offer(session, message, now_s)
            case Publish():
                self._take_publish(session, message, payloads, now_s)
            case LearnerGoodbye():
                self.end_session(session, "said goodbye", now_s)
            case _:
                assert_never(message)

    def end_overdue_sessions(self, now_s: float) -> None:
        """Ends the sessions that were silent for too long."""
        for session in self._books.sessions.overdue(now_s):
            self.end_session(session, "was silent for too long", now_s)

    def end_session(
        self, session: LearnerSession, why: str, now_s: float, *, may_have_trained: bool = True
    ) -> None:
        """Ends a session; what it did not confirm goes back to the queue.

        Args:
            may_have_trained: on what goes back, which raises its attempt.
        """
        books = self._books
        books.evaluations.request(session.hello.session, None)
        unconfirmed: list[QueuedBatch] = []
        for batch in books.sessions.end(session):
            if batch.header.purpose == "evaluate":
                books.finish(batch, Outcome.DROPPED)
            else:
                unconfirmed.append(batch)
        limit = books.config.max_attempts if may_have_trained else sys.maxsize
        poisonous = [batch for batch in unconfirmed if batch.attempt >= limit]
        books.queue.put_back(
            [
                dataclasses.replace(batch, attempt=batch.attempt + may_have_trained)
                for batch in unconfirmed
                if batch.attempt < limit
            ]
        )
        for batch in poisonous:
            self._give_up(batch)
        books.outbox.note(f"learner {session.hello.worker_index} {why}")
        self._held_offers.pop(session.hello.session, None)
        for origin in books.evaluators:
            books.outbox.tell(origin)
        if self._publisher == session.hello.session:
            self._answer_held_offers(now_s)

    def _give_up(self, batch: QueuedBatch) -> None:
        reason = f"{batch.attempt} learner sessions ended without confirming this batch"
        self._actors.reject(batch.origin, RejectCode.POISON, reason, batch.header.seq)
        self._books.outbox.add(KeepDeadLetter(batch.header, batch.payload, reason))
        self._books.finish(batch, Outcome.REJECTED)

    # ---------------------------------------------------------------- sessions

    def _open(self, routing_id: bytes, hello: LearnerHello, now_s: float) -> None:
        books = self._books
        known = books.sessions.get(hello.session)
        if known is not None:
            known.routing_id = routing_id  # its hello was repeated before the welcome arrived
            self._welcome(known)
            return
        replaced = books.sessions.replaced_by(hello)
        others = [s for s in replaced if s.hello.learner_run != hello.learner_run]
        if others and not hello.takeover:
            self.refuse(
                routing_id,
                hello.session,
                RejectCode.LEARNER_EXISTS,
                f"a learner from {others[0].hello.host or 'elsewhere'} trains run "
                f"{others[0].hello.run!r} on this broker; stop it, or say takeover",
            )
            return
        check_held(hello)
        books.policy.admit(hello)
        for mark in hello.marks:
            self._actors.remember_mark(mark)
        books.end_confirmed(hello.marks)
        session = LearnerSession(hello, routing_id, now_s)
        take_over(session, replaced, books.queue, books.fleet)
        for former in replaced:
            is_same_process = former.hello.session == hello.former
            self.end_session(former, "was replaced", now_s, may_have_trained=not is_same_process)
        books.sessions.open(session)
        books.outbox.note(f"learner {hello.worker_index} of run {hello.run} joined")
        self._welcome(session)
        for other in books.sessions:  # each must know how many there are when the broker restarts
            self._report_to(other, now_s)

    def _take_pull(self, session: LearnerSession, pull: Pull, now_s: float) -> None:
        books = self._books
        session.lease_up_to_steps = max(session.lease_up_to_steps, pull.lease_up_to_steps)
        session.progress = pull.progress or session.progress
        session.stopping = pull.stopping
        books.evaluations.request(pull.session, pull.evaluation)
        if books.assignments.take(session.hello.learner_run, pull.assignment):
            books.tell_fleet()
        confirmed, awaited = session.confirm(pull.confirmed)
        for batch in confirmed:
            books.finish(batch, Outcome.CONSUMED)
        for origin, seq in awaited:
            self._actors.remember_mark(Mark(*origin, 0, (seq,)))
        self._report_to(session, now_s)

    def _report_to(self, session: LearnerSession, now_s: float) -> None:
        books = self._books
        self._send(
            session.routing_id,
            FleetReport(
                session=session.hello.session,
                queue_env_steps=books.queue.env_steps,
                actors=sum(record.is_live for record in books.fleet),
                ledger=books.ledger(),
                evaluators=len(books.evaluators),
                last_lease=session.last_lease,
                stopping=any(other.stopping for other in books.sessions),
                sessions=books.count_sessions(now_s),
            ),
        )

    # ---------------------------------------------------------------- policy

    def _take_offer(self, session: LearnerSession, offer: Offer, now_s: float) -> None:
        policy = self._books.policy
        verdict = policy.judge(offer)
        if verdict is OfferVerdict.WENT_BACK:
            policy.begin_epoch()
            for other in self._books.sessions:
                self._welcome(other)
        is_wanted = verdict is not OfferVerdict.PASSED
        if is_wanted and self._awaits_another(session, offer):
            self._held_offers[offer.session] = offer
            return
        if is_wanted:
            self._publisher, self._awaited_number = offer.session, offer.number
            self._awaited_since_s = now_s
        self._send(
            session.routing_id,
            Want(
                session=offer.session,
                number=offer.number,
                weights=is_wanted,
                policy=is_wanted and policy.lacks_policy(self._digest_of(session, offer)),
            ),
        )

    def _digest_of(self, session: LearnerSession, message: Offer | Publish) -> str:
        """What training has published counts: an evaluation's config may say otherwise."""
        published = self._books.policy.published
        if session.hello.purpose == "evaluate" and published is not None:
            return published.digest
        return message.policy_digest

    def _awaits_another(self, session: LearnerSession, offer: Offer) -> bool:
        """Whether another runner was asked for these weights, or for newer ones."""
        is_other = self._publisher not in (None, session.hello.session)
        return is_other and offer.number <= self._awaited_number

    def _answer_held_offers(self, now_s: float) -> None:
        """Answers the runners that waited for another one's publish, which came or never will."""
        self._publisher = None
        held, self._held_offers = self._held_offers, {}
        for session_id, offer in held.items():
            session = self._books.sessions.get(session_id)
            if session is not None:
                self._take_offer(session, offer, now_s)

    def _take_publish(
        self,
        session: LearnerSession,
        message: Publish,
        payloads: tuple[Frame, ...],
        now_s: float,
    ) -> None:
        books = self._books
        if not books.policy.is_newer(message.number):
            return  # another runner of the same learner was faster
        digest = self._digest_of(session, message)
        message = msgspec.structs.replace(message, policy_digest=digest)
        is_new_policy = books.policy.lacks_policy(digest)
        try:
            published = books.policy.publish(message, payloads[0], payloads[1], now_s)
        except RemoteProtocolError as error:
            self.refuse(session.routing_id, message.session, error.code, error.reason)
            return
        books.announce(published, is_new_policy=is_new_policy, now_s=now_s)
        if self._publisher == message.session:
            books.traffic.publishes += 1
            books.traffic.publish_s += now_s - self._awaited_since_s
            self._answer_held_offers(now_s)

    def _welcome(self, session: LearnerSession) -> None:
        self._books.outbox.add(self._books.welcome(session))

    def refuse(self, routing_id: bytes, session: int, code: RejectCode, reason: str) -> None:
        """Counts a refusal, and tells the learner why."""
        self._actors.rejects[code] += 1
        self._send(routing_id, Refusal(session=session, code=code, reason=reason[:4000]))

    def _send(
        self, routing_id: bytes, message: ToLearner, payloads: tuple[Frame, ...] = ()
    ) -> None:
        self._books.outbox.add(SendToLearner(routing_id, message, payloads))
