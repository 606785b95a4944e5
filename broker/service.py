"""The broker's poll loop: sockets in, router, sockets out."""

from __future__ import annotations

import logging
import queue
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import assert_never

import zmq

from headrace.broker.config import BrokerConfig
from headrace.broker.dead_letters import DeadLetter, DeadLetterFile
from headrace.broker.effects import (
    Effect,
    KeepDeadLetter,
    Note,
    PublishControl,
    PublishWeights,
    SendToLearner,
)
from headrace.broker.router import Router
from headrace.broker.sockets import bind_sockets, receive, send
from headrace.broker.status import BrokerStatus
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.headers import Frame, encode_header
from headrace.protocol.identity import MAX_SAFE_INTEGER

_LOG = logging.getLogger("headrace.broker")
_TICK_MS = 50
_MESSAGES_PER_ROUND = 64
_STATUS_TIMEOUT_S = 2.0

Clock = Callable[[], float]


class BrokerService:
    """One running broker. Bound once constructed; `run` serves until `stop`."""

    def __init__(
        self,
        config: BrokerConfig,
        context: zmq.Context[zmq.Socket[bytes]],
        clock: Clock = time.monotonic,
        wall_clock: Clock = time.time,
    ) -> None:
        self._config = config
        self._wall_clock = wall_clock
        path = config.dead_letters
        self._dead_letters = DeadLetterFile(Path(path)) if path else None
        self._clock = clock
        self._sockets = bind_sockets(
            context, BrokerAddress.parse(config.address), config.router.limits
        )
        self._router = Router(config.router, secrets.randbelow(MAX_SAFE_INTEGER) + 1, clock())
        self._status_requests: queue.SimpleQueue[Future[BrokerStatus]] = queue.SimpleQueue()
        self._stop_at_s: float | None = None
        self._tick_due_s = clock()
        self._poller = zmq.Poller()
        for socket in self._sockets.all:
            self._poller.register(socket, zmq.POLLIN)

    @property
    def address(self) -> BrokerAddress:
        """Where the four endpoints are bound."""
        return self._sockets.address

    def status(self) -> BrokerStatus:
        """Returns the status, from any thread, as the loop sees it.

        Raises:
            TimeoutError: the loop does not answer; the broker is not healthy.
        """
        request: Future[BrokerStatus] = Future()
        self._status_requests.put(request)
        return request.result(timeout=_STATUS_TIMEOUT_S)

    def stop(self) -> None:
        """Asks `run` to return once learners have taken what is queued, or after `drain_s`.

        May be called from a signal handler.
        """
        if self._stop_at_s is None:
            self._stop_at_s = self._clock() + self._config.drain_s

    def run(self) -> None:
        """Serves until stopped."""
        try:
            while not self._is_done():
                self._round(_TICK_MS)
        finally:
            self._sockets.close()

    def _is_done(self) -> bool:
        if self._stop_at_s is None:
            return False
        self._router.drain()
        return self._router.is_drained or self._clock() >= self._stop_at_s

    def _round(self, timeout_ms: int) -> None:
        sockets = self._sockets
        ready = dict(self._poller.poll(timeout_ms))
        now_s = self._clock()
        if sockets.learner in ready:
            _drain(sockets.learner, lambda frames: self._router.on_learner(frames, now_s))
        if sockets.control in ready:
            _drain(
                sockets.control,
                lambda frames: self._router.on_control_subscription(bytes(frames[0])),
            )
        if sockets.weights in ready:
            _drain(
                sockets.weights,
                lambda frames: self._router.on_weights_subscription(bytes(frames[0]), now_s),
            )
        if sockets.ingest in ready:
            _drain(sockets.ingest, lambda frames: self._router.on_ingest(frames, now_s))
        if now_s >= self._tick_due_s:
            self._tick_due_s = now_s + _TICK_MS / 1000
            self._router.tick(now_s)
        for effect in self._router.take_effects(now_s):
            self._perform(effect)
        while not self._status_requests.empty():
            self._status_requests.get().set_result(self._router.status(now_s))

    def _perform(self, effect: Effect) -> None:
        sockets = self._sockets
        match effect:
            case PublishControl(topic, message):
                send(sockets.control, (topic, encode_header(message)))
            case PublishWeights(topic, weights, payloads):
                send(sockets.weights, (topic, encode_header(weights), *payloads))
            case SendToLearner(routing_id, answer, payloads):
                send(sockets.learner, (routing_id, encode_header(answer), *payloads))
            case Note(text, is_warning):
                _LOG.log(logging.WARNING if is_warning else logging.INFO, text)
            case KeepDeadLetter(batch, payload, reason):
                if self._dead_letters is not None:
                    self._dead_letters.add(DeadLetter(batch, reason, self._wall_clock()), payload)
            case _:
                assert_never(effect)


def _drain(socket: zmq.Socket[bytes], take: Callable[[Sequence[Frame]], None]) -> None:
    """Hands over what has arrived, up to a bound that keeps the other sockets served."""
    for _ in range(_MESSAGES_PER_ROUND):
        frames = receive(socket)
        if frames is None:
            return
        take(frames)
