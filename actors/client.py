"""The library object that a simulator talks to the broker with."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import zmq

from headrace.actors.config import ClientConfig
from headrace.actors.session import ActorSession, PolicyUpdate, PushedBatch
from headrace.protocol.endpoints import DEFAULT_ADDRESS, BrokerAddress
from headrace.protocol.errors import (
    ConfigError,
    HeadraceError,
    LocalProtocolError,
    RemoteProtocolError,
)
from headrace.protocol.identity import MAX_SAFE_INTEGER, PolicyVersion
from headrace.protocol.messages import Credit
from headrace.protocol.topics import BEACON, delivery_topic, snapshot_topic, weights_topic
from headrace.protocol.trajectory import TrajectoryBatch, pack_batch

_LOG = logging.getLogger("headrace.actor")
_LINGER_MS = 500
_PUSH_HWM = 8
_WEIGHTS_HWM = 2
_LONGEST_POLL_MS = 1000

Clock = Callable[[], float]


def default_actor_id() -> str:
    """Returns an id that no other process has: host, process and a random part."""
    host = re.sub("[^!-~]", "-", socket.gethostname())[:64]
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"


def _check_actor_id(actor: str) -> str:
    if not re.fullmatch("[!-~]{1,128}", actor):
        raise ConfigError(
            f"{actor!r} is no actor id: write 1 to 128 printable ASCII characters, no space"
        )
    return actor


@dataclass(frozen=True)
class BatchPermit:
    """What a batch may be begun with."""

    update: PolicyUpdate
    credit: Credit


class Client:
    """Connects a simulator to a broker; safe to use from one thread while another one closes it.

    A daemon thread owns the sockets, so the actor stays alive to the broker while the simulator
    computes. The broker need not be there yet, and may go away and come back.

    `begin` a batch, act with the policy that it returns, close the batch at `credit.fragment_steps`
    env steps or after `credit.fragment_s` seconds, and `push` it; `Agent` does all of this. A
    simulator that cannot wait calls `may_begin`, steps without recording while it is False, and
    tells `count_unrecorded`.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        actor: str | None = None,
        config: ClientConfig = ClientConfig(),
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._clock = clock
        self._config = config
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._session = ActorSession(
            _check_actor_id(actor or default_actor_id()),
            secrets.randbelow(MAX_SAFE_INTEGER) + 1,
            socket.gethostname(),
            config,
            random.Random(secrets.randbits(64)),
        )
        self._context = context or zmq.Context.instance()
        self._wake_send, self._wake_receive = _wake_pair(self._context)
        self._sockets = _ClientSockets(
            self._context, BrokerAddress.parse(address), self._session.actor
        )
        self._thread = threading.Thread(
            target=self._serve, name=f"headrace-client-{self._session.actor}", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---------------------------------------------------------------- for the simulator

    @property
    def actor(self) -> str:
        """The actor id."""
        return self._session.actor

    @property
    def newest_version(self) -> PolicyVersion | None:
        """The newest policy version that has arrived; cheap enough to ask at every step."""
        return self._session.newest_version

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._stopping.is_set()

    @property
    def unaccepted(self) -> int:
        """Batches that the broker does not have yet."""
        return self._session.unaccepted

    def begin(self, timeout_s: float | None = None) -> BatchPermit | None:
        """Waits until a batch may be begun; returns with what, None if time is up or it closes.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        with self._changed:
            if not self._wait(self._session.may_begin, timeout_s):
                return None
            update, credit = self._session.policy_update(), self._session.credit
            return (
                BatchPermit(update, credit) if update is not None and credit is not None else None
            )

    def policy_update(self, timeout_s: float | None = None) -> PolicyUpdate | None:
        """Returns the newest policy; waits for the first one, None if it does not come in time.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        return self.policy_update_after(None, timeout_s)

    def policy_update_after(
        self, version: PolicyVersion | None, timeout_s: float | None = None
    ) -> PolicyUpdate | None:
        """Returns the newest policy once it is another one than `version`.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        with self._changed:
            if not self._wait(
                lambda: self._session.newest_version not in (None, version), timeout_s
            ):
                return None
            return self._session.policy_update()

    def may_begin(self) -> bool:
        """Returns whether a batch may be begun now, with the newest weights.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        with self._changed:
            self._raise_refusal()
            return self._session.may_begin()

    def push(self, batch: TrajectoryBatch, update: PolicyUpdate, env_steps: int) -> int:
        """Hands over a finished batch for delivery, and returns its sequence number.

        It is kept until the learner has consumed it. The arrays may be reused at once.

        Args:
            update: the one policy that acted.
            env_steps: env steps in the batch; with one agent the sum of the chunks' lengths.

        Raises:
            LocalProtocolError: the batch cannot be encoded, or was begun without credit, or the
                client is closed.
            RefusedError: the broker will not serve this actor.
        """
        payload = pack_batch(batch)
        if len(payload) > self._config.limits.max_payload_bytes:
            raise LocalProtocolError(
                f"a batch of {len(payload)} bytes; the limit is "
                f"{self._config.limits.max_payload_bytes}: record fewer steps per batch"
            )
        with self._changed:
            self._raise_refusal()
            if self._stopping.is_set():
                raise LocalProtocolError("the client is closed")
            run = update.policy.manifest.run
            seq = self._session.push(PushedBatch(update.version, run, env_steps, payload))
            self._wake()
            return seq

    def count_unrecorded(self, env_steps: int) -> None:
        """Counts steps that were taken without credit and not recorded."""
        with self._changed:
            self._session.unrecorded_env_steps += env_steps

    def close(self) -> None:
        """Delivers what is finished, for at most `flush_s`, says goodbye and disconnects."""
        if self._stopping.is_set():
            return
        with self._changed:
            with contextlib.suppress(HeadraceError):  # who is refused has nothing to deliver
                self._wait(lambda: self._session.unaccepted == 0, self._config.flush_s)
            self._stopping.set()
            self._wake()
        self._thread.join()
        with self._changed:
            self._changed.notify_all()
            self._wake_send.close(linger=0)

    def _wait(self, condition: Callable[[], bool], timeout_s: float | None) -> bool:
        self._changed.wait_for(
            lambda: (
                condition()
                or self._session.refusal is not None
                or self._failure is not None
                or self._stopping.is_set()
            ),
            timeout_s,
        )
        self._raise_refusal()
        return condition()

    def _raise_refusal(self) -> None:
        if self._session.refusal is not None:
            raise self._session.refusal
        if self._failure is not None:
            raise HeadraceError("the client's thread ended") from self._failure

    def _wake(self) -> None:
        """Wakes the I/O thread; the caller holds the lock, which makes the socket's use safe."""
        with contextlib.suppress(zmq.Again):  # then it has enough reasons to wake up already
            self._wake_send.send(b"", zmq.NOBLOCK)

    # ---------------------------------------------------------------- the I/O thread

    def _serve(self) -> None:
        try:
            self._serve_until_stopped()
        except Exception as error:  # whoever waits must hear of it, and it is raised there
            with self._changed:
                self._failure = error
                self._changed.notify_all()
            raise

    def _serve_until_stopped(self) -> None:
        sockets = self._sockets
        poller = zmq.Poller()
        for receiver in (sockets.control, sockets.weights, self._wake_receive):
            poller.register(receiver, zmq.POLLIN)
        is_blocked = False
        while not self._stopping.is_set():
            poller.register(sockets.push, zmq.POLLOUT if is_blocked else 0)
            poller.poll(self._poll_ms(is_blocked))
            _drain(self._wake_receive)
            with self._changed:
                self._receive()
                is_blocked = not self._send(self._clock())
                self._changed.notify_all()
        with contextlib.suppress(zmq.Again):
            sockets.push.send_multipart(self._session.goodbye(), zmq.NOBLOCK)
        sockets.close()
        self._wake_receive.close(linger=0)

    def _poll_ms(self, is_blocked: bool) -> int:
        if is_blocked:
            return _LONGEST_POLL_MS
        wait_ms = (self._session.next_event_at_s() - self._clock()) * 1000 + 1
        return int(max(0.0, min(_LONGEST_POLL_MS, wait_ms)))

    def _receive(self) -> None:
        now_s = self._clock()
        for frames in _drain(self._sockets.control):
            try:
                self._session.on_control(frames[1:], now_s)
            except RemoteProtocolError as error:
                _LOG.warning("dropped a control message: %s", error)
        for frames in _drain(self._sockets.weights):
            try:
                self._session.on_weights(frames[1:])
            except RemoteProtocolError as error:
                _LOG.warning("dropped a weights message: %s", error)
        if self._session.run is not None:
            self._sockets.subscribe_weights(self._session.run)
        for reject in self._session.rejects:
            batch = f"batch {reject.seq}" if reject.seq else "a message"
            _LOG.warning("%s was rejected (%s): %s", batch, reject.code, reject.reason)
        self._session.rejects.clear()

    def _send(self, now_s: float) -> bool:
        """Sends what is due; returns False when the broker does not take more for now."""
        session, push = self._session, self._sockets.push
        try:
            presence = session.next_presence(now_s)
            if presence is not None:
                push.send_multipart(presence, zmq.NOBLOCK)
            while (batch := session.next_batch(now_s)) is not None:
                seq, frames = batch
                push.send_multipart(frames, zmq.NOBLOCK, copy=False)
                session.mark_sent(seq, now_s)
        except zmq.Again:
            return False
        return True


class _ClientSockets:
    """PUSH to ingest, SUB to control and weights.

    PUSH blocks at a low mark, so that what a broker that went away will never read stays here and
    not in pipes. SUB control may lose messages: they are cumulative. SUB weights drops the newest
    at its mark, which draining in a thread of its own keeps it below.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], address: BrokerAddress, actor: str
    ) -> None:
        self.push = _connect(context, zmq.PUSH, address.ingest, zmq.SNDHWM, _PUSH_HWM)
        self.control = _connect(context, zmq.SUB, address.control, zmq.RCVHWM, 1000)
        self.weights = _connect(context, zmq.SUB, address.weights, zmq.RCVHWM, _WEIGHTS_HWM)
        self._weights_topic: bytes | None = None
        self.control.subscribe(delivery_topic(actor))
        self.control.subscribe(BEACON)
        self.weights.subscribe(snapshot_topic(actor))

    def subscribe_weights(self, run: str) -> None:
        """Subscribes to the weights of `run` and of no other."""
        topic = weights_topic(run)
        if topic == self._weights_topic:
            return
        if self._weights_topic is not None:
            self.weights.unsubscribe(self._weights_topic)
        self.weights.subscribe(topic)
        self._weights_topic = topic

    def close(self) -> None:
        """Disconnects; what is under way may leave within half a second."""
        self.push.close(linger=_LINGER_MS)
        self.control.close(linger=0)
        self.weights.close(linger=0)


def _connect(
    context: zmq.Context[zmq.Socket[bytes]], kind: int, endpoint: str, mark: int, messages: int
) -> zmq.Socket[bytes]:
    made = context.socket(kind)
    made.set(mark, messages)
    made.set(zmq.IPV6, int("[" in endpoint))
    made.set(zmq.TCP_KEEPALIVE, 1)
    made.set(zmq.RECONNECT_IVL, 100)
    made.set(zmq.RECONNECT_IVL_MAX, 1000)
    made.connect(endpoint)
    return made


def _wake_pair(
    context: zmq.Context[zmq.Socket[bytes]],
) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
    endpoint = f"inproc://headrace-wake-{secrets.token_hex(8)}"
    receive, send = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    receive.bind(endpoint)
    send.set(zmq.SNDHWM, 8)
    send.connect(endpoint)
    return send, receive


def _drain(source: zmq.Socket[bytes]) -> list[Sequence[bytes]]:
    received: list[Sequence[bytes]] = []
    while True:
        try:
            received.append(source.recv_multipart(zmq.NOBLOCK))
        except zmq.Again:
            return received
