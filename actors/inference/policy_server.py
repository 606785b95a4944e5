"""The policy server's loop: a ROUTER for thin simulators, around the request handler."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import zmq

from headrace.actors.agents.episode_agent import EpisodeAgent
from headrace.actors.inference.request_handler import InferenceConfig, RequestHandler
from headrace.protocol.errors import ConfigError
from headrace.protocol.messages.inference import DEFAULT_INFERENCE
from headrace.protocol.zeromq.client_socket import Context
from headrace.protocol.zeromq.frames import receive, send
from headrace.protocol.zeromq.server_socket import bind, close_at_once, make_server_socket

DOMAIN = "inference"
"""The ZAP domain of the socket (RFC 27)."""
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_ADVICE = "is another server running there? Choose another endpoint with --listen"
_TICK_S = 0.05
_OVERDUE_EVERY_S = 1.0

Clock = Callable[[], float]


class PeerAuthenticator(Protocol):
    """Decides which thin simulators may connect: the broker's authenticator, on this socket."""

    @property
    def polled(self) -> Collection[zmq.Socket[bytes]]:
        """Sockets to poll: `answer_requests` when one of them is readable; none without keys."""
        ...

    def require_keys(self, socket: zmq.Socket[bytes], domain: str) -> None:
        """Makes a socket authenticate its peers; call it before binding."""
        ...

    def answer_requests(self) -> None:
        """Answers libzmq's requests that have arrived."""
        ...

    def name_of(self, frames: Sequence[memoryview]) -> str:
        """Returns the authenticated name of a message's sender, empty without keys."""
        ...

    def refresh(self) -> bool:
        """Reloads the invitations; returns whether every peer must reconnect."""
        ...


class NoAuthentication:
    """No keys: every peer that reaches the endpoint is served."""

    polled: Collection[zmq.Socket[bytes]] = ()

    def require_keys(self, socket: zmq.Socket[bytes], domain: str) -> None:
        pass

    def answer_requests(self) -> None:
        pass

    def name_of(self, frames: Sequence[memoryview]) -> str:
        return ""

    def refresh(self) -> bool:
        return False


class PolicyServer:
    """Acts for thin simulators, which send observations and rewards and receive actions.

    The constructor binds; `run` serves until `stop`. To the broker the server is one actor.
    """

    def __init__(
        self,
        agent: EpisodeAgent,
        endpoint: str = DEFAULT_INFERENCE,
        *,
        context: Context | None = None,
        config: InferenceConfig = InferenceConfig(),
        authenticator: PeerAuthenticator = NoAuthentication(),
        clock: Clock = time.monotonic,
    ) -> None:
        """Binds; port 0 lets the system choose.

        Raises:
            ConfigError: the endpoint cannot be bound.
        """
        self._config = config
        self._authenticator = authenticator
        self._clock = clock
        self._context = context or zmq.Context.instance()
        self._handler = RequestHandler(agent, config)
        self._stopping = threading.Event()
        self._agent = agent
        self._socket = self._bind(endpoint)

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
                    self._handler.end_overdue(now_s)
                    if self._authenticator.refresh():
                        close_at_once(self._socket, self.endpoint)
                        self._socket = self._bind(self.endpoint)
            self._agent.batches.deliver()
        finally:
            self._socket.close(linger=500)

    def _round(self) -> None:
        handler = self._handler
        self._gather(0.0 if handler.waiting else _TICK_S)
        first_at_s = self._clock()
        while 0 < handler.waiting < self._config.max_batch:
            left_s = first_at_s + self._config.max_wait_s - self._clock()
            if left_s <= 0:
                break
            self._gather(left_s)
        if handler.waiting:
            handler.serve(_TICK_S)
        for route, frames in handler.take_answers():
            send(self._socket, [route, *frames])

    def _gather(self, timeout_s: float) -> None:
        """Takes the requests that have arrived or arrive before the timeout."""
        ready = {socket for socket, _ in self._poller.poll(round(timeout_s * 1000))}
        if not ready.isdisjoint(self._authenticator.polled):
            self._authenticator.answer_requests()
        if self._socket not in ready:
            return
        now_s = self._clock()
        while self._handler.waiting < 4 * self._config.max_batch:
            frames = receive(self._socket)
            if frames is None:
                return
            name = self._authenticator.name_of(frames)
            self._handler.take(bytes(frames[0]), name, frames[1:], now_s)

    def _bind(self, endpoint: str) -> zmq.Socket[bytes]:
        options = {"MAXMSGSIZE": _MAX_MESSAGE_BYTES, "ROUTER_HANDOVER": 1}
        socket = make_server_socket(self._context, zmq.ROUTER, options)
        self._authenticator.require_keys(socket, DOMAIN)
        try:
            self.endpoint = bind(socket, endpoint, _ADVICE)
        except ConfigError:
            socket.close(linger=0)
            raise
        self._poller = zmq.Poller()
        for polled in (socket, *self._authenticator.polled):
            self._poller.register(polled, zmq.POLLIN)
        return socket
