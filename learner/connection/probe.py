"""Asks a broker whether it would serve a learner, before anything slow is started."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading

import zmq

from headrace.learner.connection.session import LearnerIdentity
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import RefusedError, RejectCode, RemoteProtocolError
from headrace.protocol.identity import MAX_SAFE_INTEGER
from headrace.protocol.invitation import Invitation
from headrace.protocol.limits import DEFAULT_LIMITS
from headrace.protocol.messages import LearnerGoodbye, LearnerHello, Refusal
from headrace.protocol.messages.headers import encode_header, to_learner_decoder
from headrace.protocol.zeromq.client_socket import Context, make_client_socket
from headrace.protocol.zeromq.frames import receive

_LOG = logging.getLogger("headrace.learner")
_ANSWER_S = 1.0
_AGAIN_AFTER_S = 1.0


def require_welcome(
    address: str,
    identity: LearnerIdentity,
    context: Context,
    invitation: Invitation | None = None,
    *,
    attempts: int = 1,
) -> None:
    """Asks whether a broker, if one runs, would serve this learner.

    Args:
        attempts: how often to ask, once a second, while another learner is connected: a broker
            notices only after 10 s that a learner was killed.

    Raises:
        RefusedError: it would not.
    """
    for attempt in range(attempts):
        refusal = _ask(address, identity, context, invitation)
        if refusal is None:
            return
        exists = refusal.code is RejectCode.LEARNER_EXISTS
        if not exists or attempt == attempts - 1:
            raise RefusedError(refusal.code, refusal.reason)
        if attempt == 0:
            _LOG.warning("%s: waiting %d s for it to end", refusal.reason, attempts)
        threading.Event().wait(_AGAIN_AFTER_S)


def _ask(
    address: str, identity: LearnerIdentity, context: Context, invitation: Invitation | None
) -> Refusal | None:
    """Returns the broker's refusal; None if it would serve the learner, or does not answer."""
    endpoint = BrokerAddress.parse_remote(address).learner
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
