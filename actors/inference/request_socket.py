"""Requests to policy servers, repeated until they are answered."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import zmq

from headrace.protocol.errors import (
    ConfigError,
    LocalProtocolError,
    RefusedError,
    RemoteProtocolError,
)
from headrace.protocol.invitation import Invitation
from headrace.protocol.messages.headers import Frame
from headrace.protocol.messages.inference import Answer, Description, answer_decoder
from headrace.protocol.silence import SilenceWatch
from headrace.protocol.silence_warnings import SilenceWarnings
from headrace.protocol.zeromq.client_socket import Context, make_client_socket
from headrace.protocol.zeromq.diagnosis import POLICY_SERVER, diagnose
from headrace.protocol.zeromq.frames import drain

_LOG = logging.getLogger("headrace.actor")
_RESEND_S = 2.0
_LONGEST_SILENCE_S = 30.0
_LOOK_FOR_CLOSE_MS = 100
PEER = "the policy server"

Clock = Callable[[], float]
Key = tuple[str, int]
"""Episode and turn of a request."""
DESCRIPTION: Key = ("", 0)


class RequestSocket:
    """One socket to one endpoint, at which any policy server may answer.

    Requests without an answer are repeated; they are idempotent. `interrupt`, from any thread, ends
    the wait for answers.
    """

    def __init__(
        self,
        endpoint: str,
        context: Context | None = None,
        invitation: Invitation | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Raises ConfigError: the endpoint is invalid."""
        self._endpoint = endpoint
        self._socket = _dealer(context or zmq.Context.instance(), endpoint, invitation)
        self._clock = clock
        self._decode = answer_decoder().decode
        self._silence: SilenceWatch | None = None
        """Spans unanswered requests, across several calls with short timeouts."""
        self._warnings: SilenceWarnings | None = None
        self._has_keys = invitation is not None
        self._closing = threading.Event()

    def interrupt(self) -> None:
        """Makes this `ask` and all later ones raise LocalProtocolError."""
        self._closing.set()

    def close(self) -> None:
        """Disconnects."""
        self._closing.set()
        self._socket.close(linger=0)

    def ask(
        self, asked: Mapping[Key, list[bytes]], timeout_s: float = math.inf
    ) -> dict[Key, tuple[Answer, bytes]]:
        """Sends requests, repeats unanswered ones, and returns the answers that came in time.

        Raises:
            LocalProtocolError: the client was closed.
            RefusedError: the server cannot read a request, or this side an answer.
        """
        answers: dict[Key, tuple[Answer, bytes]] = {}
        resend_at_s = float("-inf")
        deadline_s = self._clock() + timeout_s
        while True:
            if self._closing.is_set():
                raise LocalProtocolError("the client is closed")
            now_s = self._clock()
            if self._silence is None:
                self._silence = SilenceWatch(now_s, _RESEND_S, _LONGEST_SILENCE_S)
            self._report_silence(now_s)
            if self._silence.restart_if_overdue(now_s):
                self._reconnect()
                resend_at_s = now_s
            if now_s >= resend_at_s:
                resend_at_s = now_s + _RESEND_S
                self._send([frames for key, frames in asked.items() if key not in answers])
            left_ms = max(0.0, deadline_s - now_s) * 1000
            self._socket.poll(math.ceil(min(_LOOK_FOR_CLOSE_MS, left_ms)))
            for frames in drain(self._socket):
                key, answer = self._read(frames)
                if key in asked:  # else it answers a repeated request
                    answers[key] = answer
            if len(answers) == len(asked):
                self._silence = self._warnings = None
                return answers
            if self._clock() >= deadline_s:
                return answers

    def _report_silence(self, now_s: float) -> None:
        if self._warnings is None:
            self._warnings = SilenceWarnings([PEER], now_s)
        if self._warnings.take_due(now_s):
            cause = diagnose(self._endpoint, POLICY_SERVER, has_keys=self._has_keys)
            _LOG.warning("no answer from a policy server at %s: %s", self._endpoint, cause)

    def _reconnect(self) -> None:
        """Connects again: libzmq gives up on a connection that was refused once.

        A peer that was only just invited may be accepted by now.
        """
        self._socket.disconnect(self._endpoint)
        self._socket.connect(self._endpoint)

    def _send(self, requests: list[list[bytes]]) -> None:
        for frames in requests:
            try:
                self._socket.send_multipart(frames, zmq.NOBLOCK)
            except zmq.Again:
                return  # no server is connected: the next attempt sends them

    def _read(self, frames: Sequence[Frame]) -> tuple[Key, tuple[Answer, bytes]]:
        try:
            answer, payloads = self._decode(frames)
        except RemoteProtocolError as error:
            raise RefusedError(
                error.code, f"its answer is invalid: {error.reason}", PEER
            ) from error
        payload = bytes(payloads[0]) if payloads else b""
        if isinstance(answer, Description):
            return DESCRIPTION, (answer, payload)
        if answer.episode is None or answer.turn is None:
            raise RefusedError(answer.code, answer.reason, PEER)
        return (answer.episode, answer.turn), (answer, payload)


def _dealer(context: Context, endpoint: str, invitation: Invitation | None) -> zmq.Socket[bytes]:
    """Returns a DEALER that connects to a policy server, as soon as there is one.

    Raises:
        ConfigError: the endpoint is invalid.
    """
    made = make_client_socket(context, zmq.DEALER, endpoint, {"LINGER": 0}, invitation)
    try:
        made.connect(endpoint)
    except zmq.ZMQError as error:
        made.close(linger=0)
        raise ConfigError(f"cannot connect to {endpoint!r}: {error}") from error
    return made
