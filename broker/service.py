"""The broker's poll loop: sockets in, router, sockets out."""

from __future__ import annotations

import contextlib
import logging
import queue
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import zmq

from headrace.broker.access.authenticator import Authenticator, make_authenticator
from headrace.broker.config import BrokerConfig
from headrace.broker.effect_runner import EffectRunner
from headrace.broker.journal.dead_letters import DeadLetterFile
from headrace.broker.journal.files import JournalFiles
from headrace.broker.journal.thread import JournalThread
from headrace.broker.journal.writer import JournalWriter
from headrace.broker.routing.router import Router
from headrace.broker.transport.broker_endpoints import BrokerEndpoints
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import ConfigError
from headrace.protocol.identity import MAX_SAFE_INTEGER
from headrace.protocol.zeromq.client_socket import Context
from headrace.protocol.zeromq.frames import receive

_LOG = logging.getLogger("headrace.broker")
_TICK_MS = 50
_MESSAGES_PER_ROUND = 64

_ANSWERS_S = 0.001

Clock = Callable[[], float]
Answer = TypeVar("Answer")


class BrokerService:
    """One running broker. Bound once constructed; `run` serves until `stop`."""

    def __init__(
        self,
        config: BrokerConfig,
        context: Context,
        clock: Clock = time.monotonic,
        wall_clock: Clock = time.time,
        authenticator: Authenticator | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._router = Router(config.router, secrets.randbelow(MAX_SAFE_INTEGER) + 1, clock())
        self._questions: queue.SimpleQueue[Callable[[float], None]] = queue.SimpleQueue()
        self._stop_at_s: float | None = None
        self._tick_due_s = clock()
        with contextlib.ExitStack() as opened:
            authenticator = authenticator or make_authenticator(config.keys, context)
            opened.callback(authenticator.close)
            self._journal = self._open_journal() if config.journal else None
            if self._journal is not None:
                opened.callback(self._journal.close)
            address = BrokerAddress.parse(config.address)
            self._endpoints = BrokerEndpoints(context, address, config.router.limits, authenticator)
            opened.callback(self._endpoints.close)
            self._opened = opened.pop_all()
        if self._journal is not None:
            self._endpoints.also_poll(self._journal.readable)
        self._router.set_permissions(authenticator.permissions)
        letters = DeadLetterFile(Path(config.dead_letters)) if config.dead_letters else None
        self._effect_runner = EffectRunner(self._journal, letters, wall_clock)

    @property
    def address(self) -> BrokerAddress:
        """Where the four endpoints are bound."""
        return self._endpoints.sockets.address

    def ask(self, question: Callable[[Router, float], Answer]) -> Future[Answer]:
        """Answers what another thread asks, at the end of a round.

        Args:
            question: called with the router and the time; it should take a millisecond at most.
        """
        answer: Future[Answer] = Future()
        self._questions.put(lambda now_s: answer.set_result(question(self._router, now_s)))
        return answer

    def stop(self) -> None:
        """Asks `run` to return once learners have taken the queued batches, or after `drain_s`.

        May be called from a signal handler.
        """
        if self._stop_at_s is None:
            self._stop_at_s = self._clock() + self._config.drain_s

    def run(self) -> None:
        """Serves until stopped."""
        with self._opened:
            while not self._is_done():
                self._round(_TICK_MS if self._questions.empty() else 0)

    def _is_done(self) -> bool:
        if self._stop_at_s is None:
            return False
        self._router.drain()
        return self._router.is_drained or self._clock() >= self._stop_at_s

    def _round(self, timeout_ms: int) -> None:
        endpoints, router = self._endpoints, self._router
        sockets, authenticator = endpoints.sockets, endpoints.authenticator
        ready = endpoints.poll(timeout_ms)
        now_s = self._clock()
        self._take_journal_news()
        if not ready.isdisjoint(authenticator.polled):
            authenticator.answer_requests(lambda name: router.is_quarantined(name, now_s))
        if sockets.learner in ready:
            self._take_messages(sockets.learner, router.on_learner, now_s)
        if sockets.control in ready:
            self._take_subscriptions(sockets.control, router.on_control_subscription, now_s)
        if sockets.weights in ready:
            self._take_subscriptions(sockets.weights, router.on_weights_subscription, now_s)
        if sockets.ingest in ready:
            self._take_messages(sockets.ingest, router.on_ingest, now_s)
        endpoints.admit_by_capacity(now_s)
        if endpoints.refresh_keys(now_s):
            router.set_permissions(authenticator.permissions)
        if now_s >= self._tick_due_s:
            self._tick_due_s = now_s + _TICK_MS / 1000
            router.tick(now_s)
        for effect in router.take_effects(now_s):
            self._effect_runner.perform(effect, endpoints.sockets)
        self._answer_questions()

    def _answer_questions(self) -> None:
        """Answers some questions, so that messages do not wait for long."""
        until_s = self._clock() + _ANSWERS_S
        while not self._questions.empty():
            now_s = self._clock()
            if now_s >= until_s:
                return
            self._questions.get()(now_s)

    def _take_messages(
        self,
        socket: zmq.Socket[bytes],
        take: Callable[[Sequence[memoryview], float, str], None],
        now_s: float,
    ) -> None:
        """Hands messages to the router, and disconnects quarantined peers."""
        router, endpoints = self._router, self._endpoints

        def take_one(frames: Sequence[memoryview]) -> None:
            name = endpoints.authenticator.name_of(frames)
            take(frames, now_s, name)
            if router.is_quarantined(name, now_s):
                endpoints.shut_down(name, frames)

        _drain(socket, take_one)

    def _take_subscriptions(
        self,
        socket: zmq.Socket[bytes],
        take: Callable[[bytes, bool, float], None],
        now_s: float,
    ) -> None:
        """Applies the subscriptions that are permitted, and passes them to the router."""
        router, endpoints = self._router, self._endpoints

        def take_one(frames: Sequence[memoryview]) -> None:
            event = bytes(frames[0])
            topic = event[1:]
            if event[:1] == b"\0":  # without a sender, if its subscriber has gone
                socket.set(zmq.UNSUBSCRIBE, topic)
                take(topic, False, now_s)
                return
            name = endpoints.authenticator.name_of(frames)
            if event[:1] == b"\1" and router.admit_subscription(name, topic, now_s):
                socket.set(zmq.SUBSCRIBE, topic)  # for the peer that sent `event`
                take(topic, True, now_s)
            if router.is_quarantined(name, now_s):
                endpoints.shut_down(name, frames)

        _drain(socket, take_one)

    def _take_journal_news(self) -> None:
        journal = self._journal
        if journal is not None and journal.clear():
            self._router.on_stored(journal.committed)
            self._router.set_storage(accepts=journal.accepts)

    def _open_journal(self) -> JournalThread:
        path = Path(self._config.journal)
        try:
            writer = JournalWriter(JournalFiles(path), self._config.journal_bytes)
            recovered, newest_arrival = writer.recover()
        except OSError as error:
            raise ConfigError(f"cannot use {path} as a journal: {error}") from error
        if recovered:
            _LOG.info("recovered %d batches from %s", len(recovered), path)
        self._router.keep_stored(recovered, newest_arrival)
        return JournalThread(writer)


def _drain(socket: zmq.Socket[bytes], take: Callable[[Sequence[memoryview]], None]) -> None:
    """Passes waiting messages to `take`, up to a bound that keeps the other sockets served."""
    for _ in range(_MESSAGES_PER_ROUND):
        frames = receive(socket)
        if frames is None:
            return
        take(frames)
