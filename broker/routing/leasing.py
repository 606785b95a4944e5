"""Leasing of batches to learner sessions, and dropping of stale ones."""

from __future__ import annotations

import msgspec

from headrace.broker.routing.broker_state import BrokerState
from headrace.broker.routing.effects import SendToLearner
from headrace.broker.routing.settlement import Settlement
from headrace.broker.state.batch import QueuedBatch
from headrace.broker.state.learner_sessions import SessionRecord
from headrace.protocol.delivery import Outcome
from headrace.protocol.flow_control import Flow, OnPolicyFlow
from headrace.protocol.messages import Lease


class Leasing:
    """Leases batches to sessions; call `lease` after any other change."""

    def __init__(self, state: BrokerState, settlement: Settlement, started_at_s: float) -> None:
        self._state = state
        self._settlement = settlement
        self._reclaim_until_s = started_at_s + state.config.reclaim_s
        self._all_are_back = False

    def lease(self, now_s: float) -> None:
        """Leases queued batches to the sessions that want more, oldest first; drops stale ones.

        A session that has enough also gets the batches that would be stale by its next pull. One of
        several brokers does not send these: the learner would begin its update without them, and
        they would be too old for the next one.
        """
        state = self._state
        self._lease_evaluated()
        if not any(session.takes_more for session in state.sessions):
            return
        held_back: set[tuple[str, int]] = set()
        self._all_are_back |= state.sessions.are_complete
        reclaims = now_s < self._reclaim_until_s and not self._all_are_back
        served: SessionRecord | None = None
        for batch in list(state.queue):
            if batch.origin in held_back:
                continue
            taker = state.sessions.taker_of(batch.origin)
            if taker is None and self._has_its_last_chance(batch):
                taker = served
            if taker is None:
                return
            if reclaims and (batch.header.sent_before or batch.is_recovered):
                held_back.add(batch.origin)  # some session may already have it
                continue  # and the actor's later batches must not overtake it
            state.queue.remove(batch)
            if self._may_have_been_leased_elsewhere(batch):
                batch = msgspec.structs.replace(batch, attempt=2)
            lag = self._policy_lag(batch)
            if self._is_stale(lag):
                self._settlement.finish(batch, Outcome.STALE)
            else:
                self._lease_to(taker, batch, lag)
                served = taker if taker.share is None else None

    def _lease_evaluated(self) -> None:
        state = self._state
        evaluated, state.evaluated = state.evaluated, []
        for session_id, batch in evaluated:
            session = state.sessions.get(session_id)
            if session is None:
                self._settlement.finish(batch, Outcome.DROPPED)
            else:
                self._lease_to(session, batch, self._policy_lag(batch))

    def _may_have_been_leased_elsewhere(self, batch: QueuedBatch) -> bool:
        """Whether an earlier broker may have leased a batch to a session that is not back."""
        if self._all_are_back or batch.attempt > 1:
            return False
        if batch.is_recovered:
            return True
        if not batch.header.sent_before:
            return False
        record = self._state.fleet.find(batch.origin)
        return record is not None and batch.header.seq <= record.met_at_seq

    def _policy_lag(self, batch: QueuedBatch) -> int | None:
        published = self._state.policy.published
        version = batch.header.version
        if published is None or version.epoch != published.version.epoch:
            return None
        return max(0, published.version.number - version.number)

    def _is_stale(self, lag: int | None) -> bool:
        flow = self._flow
        limit = flow.max_policy_lag if flow is not None else None
        return limit is not None and (lag is None or lag > limit)

    def _has_its_last_chance(self, batch: QueuedBatch) -> bool:
        """Whether a batch will be stale with the next version, which follows this collection."""
        flow, lag = self._flow, self._policy_lag(batch)
        return isinstance(flow, OnPolicyFlow) and lag is not None and lag == flow.max_policy_lag

    @property
    def _flow(self) -> Flow | None:
        published = self._state.policy.published
        return published.manifest.flow if published is not None else None

    def _lease_to(self, session: SessionRecord, batch: QueuedBatch, lag: int | None) -> None:
        header = batch.header
        number = session.lease(batch)
        self._state.counters.leased_bytes += len(batch.payload)
        if self._state.credit is not None and header.purpose == "train":
            self._state.credit.window.delivered(header.env_steps)
        lease = Lease(
            session=session.hello.session,
            number=number,
            actor=header.actor,
            incarnation=header.incarnation,
            seq=header.seq,
            version=header.version,
            env_steps=header.env_steps,
            ended=self._settlement.ended_up_to(batch.origin),
            attempt=batch.attempt,
            policy_lag=lag,
            purpose=header.purpose,
            task=header.task,
            compression=header.compression,
            more=header.more,
        )
        self._state.outbox.add(SendToLearner(session.routing_id, lease, (batch.payload,)))
