"""Offers of weights: one runner publishes at a time, and each version is published once."""

from __future__ import annotations

import msgspec

from headrace.broker.routing.broker_state import BrokerState
from headrace.broker.routing.effects import SendToLearner
from headrace.broker.routing.publishing import Publishing
from headrace.broker.routing.rejections import Rejections
from headrace.broker.state.learner_sessions import SessionRecord
from headrace.broker.state.policy_versions import OfferVerdict
from headrace.protocol.errors import RemoteProtocolError
from headrace.protocol.messages import Offer, Publish, Want
from headrace.protocol.messages.headers import Frame


class Offers:
    """Answers each offer with a want: the first runner of a version publishes, others wait."""

    def __init__(self, state: BrokerState, publishing: Publishing, rejections: Rejections) -> None:
        self._state = state
        self._publishing = publishing
        self._rejections = rejections
        self._publisher: int | None = None
        """The session that was asked for weights and has not published them yet."""
        self._awaited_number = 0
        self._awaited_since_s = 0.0
        self._held: dict[int, Offer] = {}

    def take_offer(self, session: SessionRecord, offer: Offer, now_s: float) -> None:
        """Answers an offer now, or once another runner's publish has arrived."""
        policy = self._state.policy
        verdict = policy.judge(offer)
        if verdict is OfferVerdict.WENT_BACK:
            self._publishing.begin_epoch()
        elif verdict is OfferVerdict.NEWER:
            policy.remember(offer)
        is_wanted = verdict is not OfferVerdict.PASSED
        if is_wanted and self._awaits_another(session, offer):
            self._held[offer.session] = offer
            return
        if is_wanted:
            self._publisher, self._awaited_number = offer.session, offer.number
            self._awaited_since_s = now_s
        want = Want(
            session=offer.session,
            number=offer.number,
            weights=is_wanted,
            policy=is_wanted and policy.lacks_policy(self._digest_of(session, offer)),
        )
        self._state.outbox.add(SendToLearner(session.routing_id, want))

    def take_publish(
        self,
        session: SessionRecord,
        message: Publish,
        payloads: tuple[Frame, ...],
        now_s: float,
    ) -> None:
        """Publishes weights, unless another runner of the same learner was faster."""
        policy = self._state.policy
        if not policy.is_newer(message.number):
            return
        digest = self._digest_of(session, message)
        message = msgspec.structs.replace(message, policy_digest=digest)
        is_new_policy = policy.lacks_policy(digest)
        try:
            published = policy.publish(message, payloads[0], payloads[1], now_s)
        except RemoteProtocolError as error:
            self._rejections.refuse(session.routing_id, message.session, error.code, error.reason)
            return
        self._publishing.publish(published, is_new_policy=is_new_policy, now_s=now_s)
        if self._publisher == message.session:
            self._state.counters.publishes += 1
            self._state.counters.publish_s += now_s - self._awaited_since_s
            self._answer_held(now_s)

    def end_session(self, session_id: int, now_s: float) -> None:
        """Forgets the offer of a session that ended; the next runner in turn publishes."""
        self._held.pop(session_id, None)
        if self._publisher == session_id:
            self._answer_held(now_s)

    def _digest_of(self, session: SessionRecord, message: Offer | Publish) -> str:
        """Returns the digest to publish under, since an evaluation config may change it."""
        published = self._state.policy.published
        if session.hello.purpose == "evaluate" and published is not None:
            return published.digest
        return message.policy_digest

    def _awaits_another(self, session: SessionRecord, offer: Offer) -> bool:
        """Returns whether another runner was asked for these weights or newer ones."""
        is_other = self._publisher not in (None, session.hello.session)
        return is_other and offer.number <= self._awaited_number

    def _answer_held(self, now_s: float) -> None:
        """Answers the runners that waited for another's publish, which arrived or never will."""
        self._publisher = None
        held, self._held = self._held, {}
        for session_id, offer in held.items():
            session = self._state.sessions.get(session_id)
            if session is not None:
                self.take_offer(session, offer, now_s)
