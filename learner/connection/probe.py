"""Asks brokers whether they would serve a learner, before anything slow is started."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from collections.abc import Sequence

import zmq

from headrace.learner.connection.broker_target import BrokerTarget
from headrace.learner.connection.session import LearnerIdentity
from headrace.protocol.errors import RefusedError, RejectCode, RemoteProtocolError
from headrace.protocol.identity import MAX_SAFE_INTEGER
from headrace.protocol.limits import DEFAULT_LIMITS
from headrace.protocol.messages import LearnerGoodbye, LearnerHello, Refusal
from headrace.protocol.messages.headers import encode_header, to_learner_decoder
from headrace.protocol.zeromq.client_socket import Context, make_client_socket
from headrace.protocol.zeromq.frames import receive

_LOG = logging.getLogger("headrace.learner")
_ANSWER_S = 1.0
_AGAIN_AFTER_S = 1.0


def require_welcome(
    targets: Sequence[BrokerTarget],
    identity: LearnerIdentity,
    context: Context,
    *,
    attempts: int = 1,
) -> None:
    """Asks whether those of the brokers that run would serve this learner.

    Args:
        attempts: how often to ask, once a second, while another learner is connected: a broker
            notices only after 10 s that a learner was killed.

    Raises:
        RefusedError: one would not.
    """
    for target in targets:
        try:
            _require_one(target, identity, context, attempts)
        except RefusedError as error:
            if len(targets) == 1:
                raise
            raise RefusedError(error.code, f"{target.address}: {error.reason}") from None


def _require_one(
    target: BrokerTarget, identity: LearnerIdentity, context: Context, attempts: int
) -> None:
    for attempt in range(attempts):
        refusal = _ask(target, identity, context)
        if refusal is None:
            return
        exists = refusal.code is RejectCode.LEARNER_EXISTS
        if not exists or attempt == attempts - 1:
            raise RefusedError(refusal.code, refusal.reason)
        if attempt == 0:
            _LOG.warning("%s: waiting %d s for it to end", refusal.reason, attempts)
        threading.Event().wait(_AGAIN_AFTER_S)


def _ask(target: BrokerTarget, identity: LearnerIdentity, context: Context) -> Refusal | None:
    """Returns the broker's refusal; None if it would serve the learner, or does not answer."""
    endpoint, invitation = target.endpoint, target.invitation
    hello = LearnerHello(
        session=secrets.randbelow(MAX_SAFE_INTEGER) + 1,
        learner_run=identity.learner_run,
        worker_index=identity.worker_index,
        run=identity.run,
        takeover=False,
        host=identity.host,
        probe=True,
    )
    dealer = make_client_socket(context, zmq.DEALER, endpoint, {"LINGER": 100}, invitation)
    with contextlib.closing(dealer):
        dealer.connect(endpoint)
        dealer.send_multipart([encode_header(hello)])
        if not dealer.poll(round(1000 * _ANSWER_S)):
            return None
        frames = receive(dealer)
        # A broker that does not know probes has opened a session.
        dealer.send_multipart([encode_header(LearnerGoodbye(session=hello.session))])
    try:
        answer, _ = to_learner_decoder(DEFAULT_LIMITS).decode(frames or [])
    except RemoteProtocolError as error:
        return Refusal(session=hello.session, code=error.code, reason=error.reason)
    return answer if isinstance(answer, Refusal) else None
