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

from headrace.broker.capacity import Capacity, CapacityWatch, max_open_files, open_files
from headrace.broker.config import BrokerConfig
from headrace.broker.dead_letters import DeadLetter, DeadLetterFile
from headrace.broker.effects import (
    Effect,
    ForgetBatch,
    KeepDeadLetter,
    Note,
    PublishControl,
    PublishWeights,
    SendToLearner,
    StoreBatch,
)
from headrace.broker.gate import Gate, make_gate
from headrace.broker.journal_files import JournalFiles
from headrace.broker.journal_thread import JournalThread
from headrace.broker.journal_writer import JournalWriter
from headrace.broker.router import Router
from headrace.broker.sockets import BrokerSockets, bind_sockets, receive, send
from headrace.broker.status import BrokerStatus
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import ConfigError
from headrace.protocol.headers import encode_header
from headrace.protocol.identity import MAX_SAFE_INTEGER

_LOG = logging.getLogger("headrace.broker")
_TICK_MS = 50
_GATE_EVERY_S = 1.0
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
        gate: Gate | None = None,
    ) -> None:
        self._config = config
        self._wall_clock = wall_clock
        path = config.dead_letters
        self._dead_letters = DeadLetterFile(Path(path)) if path else None
        self._clock = clock
        self._context = context
        self._gate = gate or make_gate(config.keys, context)
        try:
            self._sockets = self._bind(BrokerAddress.parse(config.address))
        except ConfigError:
            self._gate.close()
            raise
        self._router = Router(config.router, secrets.randbelow(MAX_SAFE_INTEGER) + 1, clock())
        self._router.set_access(self._gate.access)
        self._journal = self._open_journal() if config.journal else None
        self._status_requests: queue.SimpleQueue[Future[BrokerStatus]] = queue.SimpleQueue()
        self._stop_at_s: float | None = None
        self._capacity = CapacityWatch(max_open_files())
        self._tick_due_s = self._gate_due_s = clock()
        self._poller = self._make_poller()

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
            self._gate.close()
            if self._journal is not None:
                self._journal.close()

    def _is_done(self) -> bool:
        if self._stop_at_s is None:
            return False
        self._router.drain()
        return self._router.is_drained or self._clock() >= self._stop_at_s

    def _round(self, timeout_ms: int) -> None:
        sockets, gate, router = self._sockets, self._gate, self._router
        ready = dict(self._poller.poll(timeout_ms))
        now_s = self._clock()
        self._look_at_the_journal()
        if gate.requests in ready:
            gate.answer_requests()
        if sockets.learner in ready:
            _drain(sockets.learner, lambda f: router.on_learner(f, now_s, gate.name_of(f)))
        if sockets.control in ready:
            self._take_subscriptions(sockets.control, router.on_control_subscription, now_s)
        if sockets.weights in ready:
            self._take_subscriptions(sockets.weights, router.on_weights_subscription, now_s)
        if sockets.ingest in ready:
            _drain(sockets.ingest, lambda f: router.on_ingest(f, now_s, gate.name_of(f)))
        if now_s >= self._gate_due_s:
            self._gate_due_s = now_s + _GATE_EVERY_S
            self._look_at_capacity()
            self._look_at_the_gate()
        if now_s >= self._tick_due_s:
            self._tick_due_s = now_s + _TICK_MS / 1000
            self._router.tick(now_s)
        for effect in self._router.take_effects(now_s):
            self._perform(effect)
        while not self._status_requests.empty():
            self._status_requests.get().set_result(self._router.status(now_s))

    def _take_subscriptions(
        self,
        socket: zmq.Socket[bytes],
        take: Callable[[bytes, bool, float], None],
        now_s: float,
    ) -> None:
        """Subscribes whoever may be sent a topic, and tells the router."""

        def take_one(frames: Sequence[memoryview]) -> None:
            event = bytes(frames[0])
            topic = event[1:]
            match event[:1]:
                case b"\1" if self._router.admits(self._gate.name_of(frames), topic, now_s):
                    socket.set(zmq.SUBSCRIBE, topic)  # for whom `event` came from
                    take(topic, True, now_s)
                case b"\0":
                    socket.set(zmq.UNSUBSCRIBE, topic)
                    take(topic, False, now_s)
                case _:
                    pass

        _drain(socket, take_one)

    def _look_at_the_journal(self) -> None:
        journal = self._journal
        if journal is not None and journal.clear():
            self._router.on_stored(journal.committed)
            self._router.set_storage(accepts=journal.accepts)

    def _look_at_capacity(self) -> None:
        """Stops listening while there are as many connections as the system allows."""
        count = open_files()
        watch = self._capacity
        match watch.judge(count) if count is not None else Capacity.UNCHANGED:
            case Capacity.NEARLY_FULL:
                _LOG.warning(
                    "%d of %d files are open, and each connection needs one: raise the limit "
                    "(ulimit -n) before more actors come",
                    count,
                    watch.max_open_files,
                )
            case Capacity.FULL:
                _LOG.error("nobody can connect any more: %d files are open", count)
                self._sockets.stop_listening()
            case Capacity.HAS_ROOM:
                _LOG.warning("listens again: %d files are open", count)
                self._sockets.listen()
            case Capacity.UNCHANGED:
                pass

    def _look_at_the_gate(self) -> None:
        """Takes note of who was invited or revoked; disconnects all if somebody has to go."""
        must_disconnect = self._gate.refresh()
        self._router.set_access(self._gate.access)
        if must_disconnect:
            _LOG.warning("somebody was revoked: all connect anew")
            self._sockets.disconnect_all()
            self._sockets = self._bind(self._sockets.address)
            self._poller = self._make_poller()

    def _open_journal(self) -> JournalThread:
        path = Path(self._config.journal)
        try:
            writer = JournalWriter(JournalFiles(path), self._config.journal_bytes)
            recovered, newest_arrival = writer.recover()
        except OSError as error:
            raise ConfigError(f"cannot use {path} as a journal: {error}") from error
        if recovered:
            _LOG.info("%d batches were recovered from %s", len(recovered), path)
        self._router.keep_stored(recovered, newest_arrival)
        return JournalThread(writer)

    def _bind(self, address: BrokerAddress) -> BrokerSockets:
        return bind_sockets(self._context, address, self._config.router.limits, self._gate.key)

    def _make_poller(self) -> zmq.Poller:
        poller = zmq.Poller()
        for socket in (*self._sockets.by_endpoint.values(), self._gate.requests):
            if socket is not None:
                poller.register(socket, zmq.POLLIN)
        if self._journal is not None:
            poller.register(self._journal.readable, zmq.POLLIN)
        return poller

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
            case KeepDeadLetter():
                self._keep_dead_letter(effect)
            case StoreBatch() | ForgetBatch():
                self._note_in_the_journal(effect)
            case _:
                assert_never(effect)

    def _keep_dead_letter(self, effect: KeepDeadLetter) -> None:
        if self._dead_letters is not None:
            letter = DeadLetter(effect.batch, effect.reason, self._wall_clock())
            self._dead_letters.add(letter, effect.payload)

    def _note_in_the_journal(self, effect: StoreBatch | ForgetBatch) -> None:
        if self._journal is None:
            return
        match effect:
            case StoreBatch(batch):
                self._journal.store(batch)
            case ForgetBatch(arrival):
                self._journal.forget(arrival)


def _drain(socket: zmq.Socket[bytes], take: Callable[[Sequence[memoryview]], None]) -> None:
    """Hands over what has arrived, up to a bound that keeps the other sockets served."""
    for _ in range(_MESSAGES_PER_ROUND):
        frames = receive(socket)
        if frames is None:
            return
        take(frames)
