"""Real brokers, clients and learners in threads of the test process, and ways to await them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self

import zmq

from headrace.actors.connection.client import Client
from headrace.actors.connection.config import ClientConfig
from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.broker.access.authenticator import Authenticator, KeyAuthenticator
from headrace.broker.access.key_folder import KeyFolder
from headrace.broker.config import BrokerConfig, RouterConfig
from headrace.broker.routing.status import BrokerStatus
from headrace.broker.service import BrokerService
from headrace.learner.connection.broker_target import BrokerTarget
from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.learner.connection.link import BrokerLink
from headrace.learner.connection.session import LearnerIdentity
from headrace.learner.connection.weights_offer import OfferedWeights
from headrace.protocol.errors import ConfigError
from headrace.protocol.invitation import Invitation
from headrace.protocol.manifest import Manifest
from support.examples import RUN, make_batch, make_policy_frame, make_weights_frame
from support.machine import scaled
from support.statuses import whole_status

Context = zmq.Context[zmq.Socket[bytes]]
SOON_S = 15.0
DEADLINE_S = scaled(SOON_S)


def wait_until(condition: Callable[[], Any], deadline_s: float = SOON_S) -> None:
    """Waits for a condition that another thread or process makes true.

    Args:
        deadline_s: before scaling for this machine; see `support.machine`.
    """
    pause = threading.Event()
    end_s = time.monotonic() + scaled(deadline_s)
    while not condition():
        assert time.monotonic() < end_s, f"not within {deadline_s} s"
        pause.wait(0.01)


def free_port() -> int:
    """Returns a port at which nothing listens; four from there are most likely free, too."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def in_thread(
    run: Callable[[threading.Event], object], stop: threading.Event | None = None
) -> Generator[None]:
    """Runs a function in a thread, such as a collector's `run`, until the block ends.

    What it raises is raised after the block.

    Args:
        stop: the event that stops it, if others need it too.
    """
    stop = stop or threading.Event()
    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(run, stop)
        try:
            yield
        finally:
            stop.set()
    running.result()


class BrokerThread:
    """A broker service in a thread, with its own context: terminating that frees the ports."""

    def __init__(
        self,
        address: str,
        *,
        keys: KeyFolder | None = None,
        make_authenticator: Callable[[KeyFolder, Context], Authenticator] = KeyAuthenticator,
        journal: str = "",
        **router: Any,
    ) -> None:
        # A fleet that waits for CPU time is not silent.
        silence: dict[str, Any] = {
            "actor_timeout_s": scaled(5.0),
            "session_timeout_s": scaled(10.0),
        }
        config = BrokerConfig(
            address=address,
            drain_s=0.2,
            journal=journal,
            router=RouterConfig(**{**silence, **router}),
        )
        self._context: Context = zmq.Context()
        authenticator = make_authenticator(keys, self._context) if keys is not None else None
        try:
            self.service = BrokerService(config, self._context, authenticator=authenticator)
        except ConfigError:
            self._context.destroy(linger=0)
            raise
        self.address = str(self.service.address)
        self._thread = threading.Thread(target=self.service.run, name="broker")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.service.stop()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        self._context.term()

    @property
    def status(self) -> BrokerStatus:
        return self.service.ask(whole_status).result(DEADLINE_S)


def connect(
    broker: BrokerThread,
    context: Context,
    actor: str,
    invitation: Invitation | None = None,
    **config: Any,
) -> Client:
    """A client with short waits."""
    # A broker that waits for CPU time is not silent.
    settings: dict[str, Any] = {
        "presence_s": 0.2,
        "flush_s": 2.0,
        "silence_s": scaled(5.0),
        **config,
    }
    return Client(
        broker.address,
        actor=actor,
        context=context,
        invitation=invitation,
        config=ClientConfig(**settings),
    )


def push(client: Client, update: PolicyUpdate, **columns: Any) -> int:
    """Pushes a batch of five steps once there is credit."""
    assert client.begin(DEADLINE_S)
    return client.push(make_batch(**columns), update, env_steps=5)


def first_policy(client: Client) -> PolicyUpdate:
    update = client.policy_update(DEADLINE_S)
    assert update is not None
    return update


class Learner:
    """A learner without RLlib: takes batches, publishes weights."""

    def __init__(
        self,
        context: Context,
        address: str,
        *,
        run: str = RUN,
        invitation: Invitation | None = None,
        **who: Any,
    ) -> None:
        fields: dict[str, Any] = {
            "learner_run": "run-1",
            "worker_index": 0,
            "run": run,
            "host": "test",
        }
        identity = LearnerIdentity(**{**fields, **who})
        self.link = BrokerLink([BrokerTarget(address, invitation)], identity, context)
        self.taken: list[LeasedBatch] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()

    def publish(self, number: int, manifest: Manifest | None = None) -> None:
        frame, digest = make_policy_frame(manifest)
        self.link.offer(
            OfferedWeights(
                number=number,
                weights_digest=f"{number:08x}",
                policy_digest=digest,
                policy_frame=frame,
                weights_frame=make_weights_frame(float(number)),
            )
        )

    def take(self, env_steps: int, timeout_s: float = DEADLINE_S) -> list[LeasedBatch]:
        self.confirm()
        taken = self.link.take(env_steps, timeout_s)
        self.taken += taken
        return taken

    def confirm(self) -> None:
        if self.taken:
            self.link.confirm(self.taken[-1])

    @property
    def seqs(self) -> list[tuple[str, int]]:
        return [(batch.lease.actor, batch.lease.seq) for batch in self.taken]
