"""Messages of learners on the learner endpoint."""

from __future__ import annotations

import sys
from typing import assert_never

import msgspec
from msgspec import UNSET

from headrace.broker.routing.broker_state import BrokerState
from headrace.broker.routing.effects import KeepDeadLetter, SendToLearner
from headrace.broker.routing.handover import check_held, take_over
from headrace.broker.routing.marks import Marks
from headrace.broker.routing.offers import Offers
from headrace.broker.routing.publishing import Publishing
from headrace.broker.routing.rejections import Rejections
from headrace.broker.routing.settlement import Settlement
from headrace.broker.state.batch import QueuedBatch
from headrace.broker.state.learner_sessions import SessionRecord
from headrace.protocol.delivery import Outcome
from headrace.protocol.errors import RejectCode
from headrace.protocol.messages import (
    FleetReport,
    FromLearner,
    LearnerGoodbye,
    LearnerHello,
    Mark,
    Offer,
    Publish,
    Pull,
)
from headrace.protocol.messages.headers import Frame


class LearnerHandler:
    """Handles learner sessions, from hello to goodbye."""

    def __init__(
        self,
        state: BrokerState,
        settlement: Settlement,
        publishing: Publishing,
        offers: Offers,
        marks: Marks,
        rejections: Rejections,
    ) -> None:
        self._state = state
        self._settlement = settlement
        self._publishing = publishing
        self._offers = offers
        self._marks = marks
        self._rejections = rejections

    def handle(
        self,
        routing_id: bytes,
        message: FromLearner,
        payloads: tuple[Frame, ...],
        now_s: float,
    ) -> None:
        """Handles one message.

        Raises:
            RemoteProtocolError: it is well-formed, but not valid from this learner now.
        """
        if isinstance(message, LearnerHello):
            self._open(routing_id, message, now_s)
            return
        session = self._state.sessions.get(message.session)
        if session is None:
            if not isinstance(message, LearnerGoodbye):
                self._rejections.refuse(
                    routing_id, message.session, RejectCode.UNKNOWN_SESSION, "say hello again"
                )
            return
        session.routing_id = routing_id
        session.last_heard_s = now_s
        match message:
            case Pull():
                self._take_pull(session, message, now_s)
            case Offer():
                self._offers.take_offer(session, message, now_s)
            case Publish():
                self._offers.take_publish(session, message, payloads, now_s)
            case LearnerGoodbye():
                self._end(session, "said goodbye", now_s)
            case _:
                assert_never(message)

    def end_overdue(self, now_s: float) -> None:
        """Ends the sessions that were silent for too long."""
        for session in self._state.sessions.overdue(now_s):
            self._end(session, "was silent for too long", now_s)

    def _open(self, routing_id: bytes, hello: LearnerHello, now_s: float) -> None:
        state = self._state
        known = state.sessions.get(hello.session)
        if known is not None:
            known.routing_id = routing_id  # its hello was repeated before the welcome arrived
            self._admit(hello)
            self._publishing.welcome(known)
            return
        replaced = state.sessions.replaced_by(hello)
        others = [s for s in replaced if s.hello.learner_run != hello.learner_run]
        if others and not hello.takeover:
            self._rejections.refuse(
                routing_id,
                hello.session,
                RejectCode.LEARNER_EXISTS,
                f"a learner on {others[0].hello.host or 'an unknown host'} already trains run "
                f"{others[0].hello.run!r} on this broker; stop it, or end it with takeover",
            )
            return
        if hello.probe is True:
            self._publishing.welcome(SessionRecord(hello, routing_id, now_s))
            return
        check_held(hello)
        self._admit(hello)
        for mark in hello.marks:
            self._marks.add(mark)
        self._settlement.finish_confirmed(hello.marks)
        session = SessionRecord(hello, routing_id, now_s)
        take_over(session, replaced, state.queue, state.fleet)
        for former in replaced:
            is_same_process = former.hello.session == hello.former
            self._end(former, "was replaced", now_s, may_have_trained=not is_same_process)
        state.sessions.open(session)
        state.outbox.note(f"learner {hello.worker_index} of run {hello.run} joined")
        self._publishing.welcome(session)
        for other in state.sessions:  # a restarted broker asks each how many there were
            self._report_to(other, now_s)

    def _admit(self, hello: LearnerHello) -> None:
        epoch = self._state.policy.epoch
        self._state.policy.admit(hello)
        if self._state.policy.epoch != epoch:
            self._publishing.welcome_all()

    def _take_pull(self, session: SessionRecord, pull: Pull, now_s: float) -> None:
        state = self._state
        share = None if pull.share is UNSET else pull.share
        state.sessions.ask(session, pull.lease_up_to_steps, share)
        session.progress = pull.progress or session.progress
        session.stopping = pull.stopping
        state.evaluations.request(pull.session, pull.evaluation)
        if state.assignments.take(session.hello.learner_run, pull.assignment):
            state.schedule_deliveries()
        confirmed, awaited = session.confirm(pull.confirmed)
        for batch in confirmed:
            self._settlement.finish(batch, Outcome.CONSUMED)
        for origin, seq in awaited:
            self._marks.add(Mark(*origin, 0, (seq,)))
        self._report_to(session, now_s)

    def _report_to(self, session: SessionRecord, now_s: float) -> None:
        state = self._state
        totals = state.fleet.totals
        report = FleetReport(
            session=session.hello.session,
            queue_env_steps=state.queue.env_steps,
            actors=totals.live,
            ledger=self._settlement.ledger(),
            evaluators=totals.evaluating,
            last_lease=session.last_lease,
            stopping=any(other.stopping for other in state.sessions),
            sessions=state.session_count(now_s),
        )
        state.outbox.add(SendToLearner(session.routing_id, report))

    def _end(
        self, session: SessionRecord, why: str, now_s: float, *, may_have_trained: bool = True
    ) -> None:
        """Ends a session; its unconfirmed batches go back to the queue.

        Args:
            may_have_trained: whether it may have trained on them; raises their attempt.
        """
        state = self._state
        state.evaluations.request(session.hello.session, None)
        unconfirmed: list[QueuedBatch] = []
        for batch in state.sessions.end(session):
            if batch.header.purpose == "evaluate":
                self._settlement.finish(batch, Outcome.DROPPED)
            else:
                unconfirmed.append(batch)
        limit = state.config.max_attempts if may_have_trained else sys.maxsize
        poisonous = [batch for batch in unconfirmed if batch.attempt >= limit]
        state.queue.put_back(
            [
                msgspec.structs.replace(batch, attempt=batch.attempt + may_have_trained)
                for batch in unconfirmed
                if batch.attempt < limit
            ]
        )
        for batch in poisonous:
            self._give_up(batch)
        state.outbox.note(f"learner {session.hello.worker_index} {why}")
        for origin in state.evaluators:
            state.outbox.schedule_delivery(origin)
        self._offers.end_session(session.hello.session, now_s)

    def _give_up(self, batch: QueuedBatch) -> None:
        reason = f"{batch.attempt} learner sessions ended without confirming this batch"
        self._rejections.reject(batch.origin, RejectCode.POISON, reason, batch.header.seq)
        self._state.outbox.add(KeepDeadLetter(batch.header, batch.payload, reason))
        self._settlement.finish(batch, Outcome.REJECTED)
