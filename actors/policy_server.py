"""The policy server's loop: a ROUTER for thin simulators around the inference desk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import zmq

from headrace.actors.episode_agent import EpisodeAgent
from headrace.actors.inference_desk import InferenceConfig, InferenceDesk
from headrace.actors.sockets import Context, receive, send
from headrace.protocol.connections import CONNECTION_OPTIONS
from headrace.protocol.errors import ConfigError
from headrace.protocol.inference import DEFAULT_INFERENCE

DOMAIN = "inference"
"""Of the socket, for who authenticates its peers (ZAP, RFC 27)."""
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_HANDSHAKE_MS = 5000
_UNBIND_TIMEOUT_MS = 2000
_TICK_S = 0.05
_OVERDUE_EVERY_S = 1.0

Clock = Callable[[], float]


class Doorman(Protocol):
    """Who lets thin simulators in: an object of the broker's gate, which is not ours to import."""

    @property
    def requests(self) -> zmq.Socket[bytes] | None:
        """Where libzmq asks, None where it does not."""
        ...

    def secure(self, socket: zmq.Socket[bytes], domain: str) -> None:
        """Makes a socket ask, before it is bound."""
        ...

    def answer_requests(self) -> None:
        """Answers what has been asked."""
        ...

    def receive(self, socket: zmq.Socket[bytes]) -> tuple[str, list[bytes]]:
        """Returns the next message: its sender's name, empty without keys, and its frames.

        Raises:
            zmq.Again: none has arrived.
        """
        ...

    def look(self) -> bool:
        """Asked each second: who was invited or revoked; returns whether all must connect anew."""
        ...


class OpenDoor:
    """No keys: whoever can reach the endpoint may ask."""

    requests: zmq.Socket[bytes] | None = None

    def secure(self, socket: zmq.Socket[bytes], domain: str) -> None:
        pass

    def answer_requests(self) -> None:
        pass

    def receive(self, socket: zmq.Socket[bytes]) -> tuple[str, list[bytes]]:
        return "", receive(socket)

    def look(self) -> bool:
        return False


class PolicyServer:
    """Acts for thin simulators, which send observations and rewards and get actions.

    Bound once constructed; `run` serves until `stop`. To the broker it is one actor.
    """

    def __init__(
        self,
        agent: EpisodeAgent,
        endpoint: str = DEFAULT_INFERENCE,
        *,
        context: Context | None = None,
        config: InferenceConfig = InferenceConfig(),
        doorman: Doorman = OpenDoor(),
        clock: Clock = time.monotonic,
    ) -> None:
        """Binds; port 0 lets the system choose.

        Raises:
            ConfigError: the endpoint cannot be bound.
        """
        self._config = config
        self._doorman = doorman
        self._clock = clock
        self._context = context or zmq.Context.instance()
        self._desk = InferenceDesk(agent, config)
        self._stopping = threading.Event()
        self._agent = agent
        self._socket = self._bind(endpoint)
        self.endpoint = self._socket.get_string(zmq.LAST_ENDPOINT)

    def stop(self) -> None:
        """Asks `run` to return; may be called from any thread."""
        self._stopping.set()

    def run(self) -> None:
        """Serves until stopped; then delivers what was recorded.

        Raises:
            ConfigError: the learner exports no graphs.
            RefusedError: the broker will not serve this actor.
        """
        overdue_at_s = self._clock() + _OVERDUE_EVERY_S
        try:
            while not self._stopping.is_set():
                self._round()
                now_s = self._clock()
                if now_s >= overdue_at_s:
                    overdue_at_s = now_s + _OVERDUE_EVERY_S
                    self._desk.end_overdue(now_s)
                    if self._doorman.look():
                        self._disconnect_all()
                        self._socket = self._bind(self.endpoint)
            self._agent.deliver()
        finally:
            self._socket.close(linger=500)

    def _round(self) -> None:
        desk = self._desk
        self._gather(0.0 if desk.waiting else _TICK_S)
        first_at_s = self._clock()
        while 0 < desk.waiting < self._config.max_batch:
            left_s = first_at_s + self._config.max_wait_s - self._clock()
            if left_s <= 0:
                break
            self._gather(left_s)
        if desk.waiting:
            desk.serve(_TICK_S)
        for route, frames in desk.take_answers():
            send(self._socket, [route, *frames])

    def _gather(self, timeout_s: float) -> None:
        """Takes what has arrived, or arrives within a time."""
        ready = {socket for socket, _ in self._poller.poll(round(timeout_s * 1000))}
        if self._doorman.requests in ready:
            self._doorman.answer_requests()
        if self._socket not in ready:
            return
        now_s = self._clock()
        while self._desk.waiting < 4 * self._config.max_batch:
            try:
                name, (route, *frames) = self._doorman.receive(self._socket)
            except zmq.Again:
                return
            self._desk.take(route, name, frames, now_s)

    def _disconnect_all(self) -> None:
        closed = self._socket.get_monitor_socket(int(zmq.EVENT_CLOSED | zmq.EVENT_CLOSE_FAILED))
        self._socket.unbind(self.endpoint)
        closed.poll(_UNBIND_TIMEOUT_MS)  # another thread closes the listener
        self._socket.disable_monitor()
        closed.close(linger=0)
        self._socket.close(linger=0)

    def _bind(self, endpoint: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.ROUTER)
        for name, value in CONNECTION_OPTIONS.items():
            socket.set(getattr(zmq, name), value)
        socket.set(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
        socket.set(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        socket.set(zmq.ROUTER_HANDOVER, 1)
        socket.set(zmq.IPV6, int("[" in endpoint))
        self._doorman.secure(socket, DOMAIN)
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            socket.close(linger=0)
            raise ConfigError(
                f"cannot listen at {endpoint}: {error}; is another server running there? "
                "Choose another endpoint with --listen"
            ) from error
        self._poller = zmq.Poller()
        for polled in (socket, self._doorman.requests):
            if polled is not None:
                self._poller.register(polled, zmq.POLLIN)
        return socket
