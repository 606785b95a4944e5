"""Which batch goes to which learner session, and which is too old."""

from __future__ import annotations

import dataclasses

from headrace.broker.routing.broker_state import BrokerBooks
from headrace.broker.routing.effects import SendToLearner
from headrace.broker.state.batch import QueuedBatch
from headrace.broker.state.learner_sessions import LearnerSession
from headrace.protocol.delivery import Outcome
from headrace.protocol.flow_control import Flow, OnPolicyFlow
from headrace.protocol.messages import Lease


class Leasing:
    """Leases batches to sessions; call `lease` after anything else has changed."""

    def __init__(self, books: BrokerBooks, started_at_s: float) -> None:
        self._books = books
        self._reclaim_until_s = started_at_s + books.config.reclaim_s
        self._all_are_back = False

    def lease(self, now_s: float) -> None:
        """Leases what waits to the sessions that take it, oldest first; drops what is stale.

        A session that has got enough is given too what would be stale when it comes again.
        """
        books = self._books
        self._lease_evaluated()
        if not any(session.takes_more for session in books.sessions):
            return
        held_back: set[tuple[str, int]] = set()
        self._all_are_back |= books.sessions.are_complete
        reclaims = now_s < self._reclaim_until_s and not self._all_are_back
        served: LearnerSession | None = None
        for batch in list(books.queue):
            if batch.origin in held_back:
                continue
            taker = books.sessions.taker_of(batch.origin)
            if taker is None and self._has_its_last_chance(batch):
                taker = served
            if taker is None:
                return
            if reclaims and (batch.header.sent_before or batch.is_recovered):
                held_back.add(batch.origin)  # some session may have taken it already
                continue  # and its later batches must not overtake it
            books.queue.remove(batch)
            if self._may_have_been_leased_elsewhere(batch):
                batch = dataclasses.replace(batch, attempt=2)
            if self._is_stale(batch):
                books.finish(batch, Outcome.STALE)
            else:
                self._lease_to(taker, batch)
                served = taker

    def _lease_evaluated(self) -> None:
        books = self._books
        evaluated, books.evaluated = books.evaluated, []
        for session_id, batch in evaluated:
            session = books.sessions.get(session_id)
            if session is None:
                books.finish(batch, Outcome.DROPPED)
            else:
                self._lease_to(session, batch)

    def _may_have_been_leased_elsewhere(self, batch: QueuedBatch) -> bool:
        """Whether an earlier broker may have leased it to a session that is not back."""
        if self._all_are_back or batch.attempt > 1:
            return False
        if batch.is_recovered:
            return True
        if not batch.header.sent_before:
            return False
        record = self._books.fleet.find(batch.origin)
        return record is not None and batch.header.seq <= record.met_at_seq

    def _policy_lag(self, batch: QueuedBatch) -> int | None:
        published = self._books.policy.published
        version = batch.header.version
        if published is None or version.epoch != published.version.epoch:
            return None
        return max(0, published.version.number - version.number)

    def _is_stale(self, batch: QueuedBatch) -> bool:
        limit = self._flow.max_policy_lag if self._flow is not None else None
        if limit is None:
            return False
        lag = self._policy_lag(batch)
        return lag is None or lag > limit

    def _has_its_last_chance(self, batch: QueuedBatch) -> bool:
        """Whether a batch is stale with the next version, which follows this collection."""
        flow, lag = self._flow, self._policy_lag(batch)
        return isinstance(flow, OnPolicyFlow) and lag is not None and lag == flow.max_policy_lag

    @property
    def _flow(self) -> Flow | None:
        published = self._books.policy.published
        return published.manifest.flow if published is not None else None

    def _lease_to(self, session: LearnerSession, batch: QueuedBatch) -> None:
        header = batch.header
        number = session.lease(batch)
        self._books.traffic.leased_bytes += len(batch.payload)
        if self._books.credit is not None and header.purpose == "train":
            self._books.credit.window.delivered(header.env_steps)
        lease = Lease(
            session=session.hello.session,
            number=number,
            actor=header.actor,
            incarnation=header.incarnation,
            seq=header.seq,
            version=header.version,
            env_steps=header.env_steps,
            ended=self._books.ended_up_to(batch.origin),
            attempt=batch.attempt,
            policy_lag=self._policy_lag(batch),
            purpose=header.purpose,
            task=header.task,
            compression=header.compression,
        )
        self._books.outbox.add(SendToLearner(session.routing_id, lease, (batch.payload,)))
