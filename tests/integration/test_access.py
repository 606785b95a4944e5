"""Access control over real sockets: every kind of key at every endpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import zmq
from support.examples import RUN
from support.machine import scaled
from support.running import (
    BrokerThread,
    Context,
    Learner,
    connect,
    first_policy,
    push,
    wait_until,
)

from headrace.broker.access.authenticator import KeyAuthenticator
from headrace.broker.access.key_folder import KeyFolder
from headrace.broker.access.policing import PolicingLimits
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.invitation import Invitation
from headrace.protocol.messages import Goodbye, Hello, LearnerHello, Trajectories
from headrace.protocol.messages.headers import encode_header
from headrace.protocol.topics import BEACON, delivery_topic, snapshot_topic, weights_topic

ENDPOINTS = ("ingest", "control", "weights", "learner")
KEYS = ("none", "unknown", "revoked", "actor", "learner")
ANYWHERE = "tcp://127.0.0.1:0"
PROBE_S = 2.0


class DyingAuthenticator(KeyAuthenticator):
    """Answers until it dies."""

    is_dead = False

    def answer_requests(self, is_quarantined: Callable[[str], bool]) -> None:
        if not self.is_dead:
            super().answer_requests(is_quarantined)


class SlowAuthenticator(KeyAuthenticator):
    """Takes half a second to answer."""

    _due_s = 0.0

    def answer_requests(self, is_quarantined: Callable[[str], bool]) -> None:
        self._due_s = self._due_s or time.monotonic() + 0.5
        if time.monotonic() >= self._due_s:
            super().answer_requests(is_quarantined)
            self._due_s = 0.0


@dataclass(frozen=True)
class Invited:
    """A key folder and the peers invited with it."""

    folder: KeyFolder
    learner: Invitation
    one: Invitation
    two: Invitation
    revoked: Invitation


@pytest.fixture
def invited(tmp_path: Path) -> Invited:
    folder = KeyFolder(tmp_path / "keys")
    folder.create()
    found = Invited(
        folder,
        folder.invite("learner", "trainer", ANYWHERE),
        folder.invite("actor", "one", ANYWHERE),
        folder.invite("actor", "two", ANYWHERE),
        folder.invite("actor", "revoked", ANYWHERE),
    )
    folder.revoke("revoked")
    return found


@pytest.fixture
def guarded(invited: Invited, start_broker: Callable[..., BrokerThread]) -> BrokerThread:
    # Tests wait until a disconnected peer has been silent for so long.
    return start_broker(keys=invited.folder, actor_timeout_s=scaled(1.5))


@pytest.fixture
def learner(guarded: BrokerThread, invited: Invited, context: Context) -> Iterator[Learner]:
    with Learner(context, guarded.address, invitation=invited.learner) as learner:
        learner.publish(1)
        wait_until(lambda: guarded.status.version is not None)
        yield learner


class Probe:
    """Tries one endpoint with one key; `passes` says whether it had any effect."""

    def __init__(self, context: Context, broker: BrokerThread, endpoint: str, who: str) -> None:
        self._broker = broker
        self._actor = f"one.{who}-{endpoint}"
        kinds = {"ingest": zmq.PUSH, "learner": zmq.DEALER}
        self.socket = context.socket(kinds.get(endpoint, zmq.SUB))
        self.socket.set(zmq.LINGER, 0)
        self._endpoint = endpoint
        self._address = getattr(BrokerAddress.parse(broker.address), endpoint)

    def secure(self, server_key: str, secret_key: bytes) -> None:
        self.socket.set(zmq.CURVE_SERVERKEY, server_key.encode())
        self.socket.set(zmq.CURVE_PUBLICKEY, zmq.curve_public(secret_key))
        self.socket.set(zmq.CURVE_SECRETKEY, secret_key)

    def start(self) -> None:
        match self._endpoint:
            case "control":
                self.socket.subscribe(BEACON)
            case "weights":
                self.socket.subscribe(snapshot_topic(self._actor))
            case _:
                pass
        self.socket.connect(self._address)
        match self._endpoint:
            case "ingest":
                self.socket.send(encode_header(Hello(actor=self._actor, incarnation=1)))
            case "learner":
                hello = LearnerHello(session=7, learner_run="run-1", worker_index=9, run=RUN)
                self.socket.send(encode_header(hello))
            case _:
                pass

    @property
    def passes(self) -> bool:
        if self._endpoint == "ingest":
            return self._actor in {actor.actor for actor in self._broker.status.actors}
        return bool(self.socket.poll(0))


def probe_everything(
    context: Context, broker: BrokerThread, invited: Invited, expected: set[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Returns the pairs of key and endpoint that pass, up to a while after the expected ones."""
    secrets = {
        "unknown": zmq.curve_keypair()[1],
        "revoked": invited.revoked.secret_key.encode(),
        "actor": invited.one.secret_key.encode(),
        "learner": invited.learner.secret_key.encode(),
    }
    probes = {
        (who, endpoint): Probe(context, broker, endpoint, who)
        for who in KEYS
        for endpoint in ENDPOINTS
    }
    for (who, _), probe in probes.items():
        if who in secrets:
            probe.secure(invited.one.server_key, secrets[who])
        probe.start()
    wait_until(lambda: all(probes[pair].passes for pair in expected))
    end_s = time.monotonic() + PROBE_S
    wait_until(lambda: time.monotonic() > end_s)
    passed = {pair for pair, probe in probes.items() if probe.passes}
    for probe in probes.values():
        probe.socket.close()
    return passed


RIGHT = {("actor", "ingest"), ("actor", "control"), ("actor", "weights"), ("learner", "learner")}


def test_only_the_right_key_passes_at_each_endpoint(
    context: Context, guarded: BrokerThread, invited: Invited, learner: Learner
) -> None:
    assert probe_everything(context, guarded, invited, RIGHT) == RIGHT


def test_only_the_right_key_passes_while_the_authenticator_is_slow(
    context: Context, invited: Invited, start_broker: Callable[..., BrokerThread]
) -> None:
    broker = start_broker(keys=invited.folder, make_authenticator=SlowAuthenticator)
    with Learner(context, broker.address, invitation=invited.learner) as learner:
        learner.publish(1)
        wait_until(lambda: broker.status.version is not None)
        assert probe_everything(context, broker, invited, RIGHT) == RIGHT


def test_no_key_passes_while_there_is_no_authenticator(
    context: Context, invited: Invited, start_broker: Callable[..., BrokerThread]
) -> None:
    made: list[DyingAuthenticator] = []

    def make(folder: KeyFolder, context: Context) -> DyingAuthenticator:
        made.append(DyingAuthenticator(folder, context))
        return made[0]

    broker = start_broker(keys=invited.folder, make_authenticator=make)
    with (
        Learner(context, broker.address, invitation=invited.learner) as learner,
        connect(broker, context, "one.early", invited.one) as early,
    ):
        learner.publish(1)
        first_policy(early)
        made[0].is_dead = True
        # There is something to receive at each endpoint, and peers that joined before receive it.
        assert probe_everything(context, broker, invited, set()) == set()
        learner.publish(2)
        wait_until(lambda: early.newest_version == PolicyVersion(1, 2))


def test_a_fleet_trains_through_a_broker_with_keys(
    context: Context, guarded: BrokerThread, invited: Invited, learner: Learner
) -> None:
    with connect(guarded, context, "one.a", invited.one) as client:
        push(client, first_policy(client))
        assert len(learner.take(5)) == 1
        learner.publish(2)
        wait_until(lambda: client.newest_version == PolicyVersion(1, 2))


def test_speaking_for_another_actor_has_no_effect_on_it(
    context: Context, guarded: BrokerThread, invited: Invited, learner: Learner
) -> None:
    impostor = Probe(context, guarded, "ingest", "impostor")
    impostor.secure(invited.two.server_key, invited.two.secret_key.encode())
    impostor.start()  # with a hello for another actor's id
    with impostor.socket, connect(guarded, context, "one", invited.one) as client:
        update = first_policy(client)
        push(client, update)
        [victim] = guarded.status.actors
        header = Trajectories(
            actor="one",
            incarnation=2,
            seq=2,
            run=RUN,
            version=PolicyVersion(1, 1),
            env_steps=5,
        )
        impostor.socket.send(encode_header(Hello(actor="one", incarnation=2)))
        impostor.socket.send_multipart([encode_header(header), b"rubbish"])
        impostor.socket.send(encode_header(Goodbye(actor="one", incarnation=1)))
        impostor.socket.send(b"rubbish")
        wait_until(lambda: guarded.status.rejects.get("forbidden", 0) >= 4)
        push(client, update)
        assert [batch.lease.seq for batch in learner.take(10)] == [1, 2]
        [still] = guarded.status.actors
        assert (still.actor, still.last_reject) == (victim.actor, "")


def test_no_actor_receives_the_messages_of_another(
    context: Context, guarded: BrokerThread, invited: Invited, learner: Learner
) -> None:
    spies = {"control": [b"", b"d", delivery_topic("one")], "weights": [b"", snapshot_topic("one")]}
    sockets: list[zmq.Socket[bytes]] = []
    for endpoint, topics in spies.items():
        probe = Probe(context, guarded, endpoint, "spy")
        probe.secure(invited.two.server_key, invited.two.secret_key.encode())
        for topic in topics:
            probe.socket.subscribe(topic)
        probe.socket.connect(getattr(BrokerAddress.parse(guarded.address), endpoint))
        sockets.append(probe.socket)
    wait_until(lambda: guarded.status.rejects.get("forbidden", 0) >= 5)
    with connect(guarded, context, "one", invited.one) as client:
        push(client, first_policy(client))
        learner.take(5)
        learner.confirm()
        wait_until(lambda: client.unacknowledged == 0)
        assert [socket.poll(300) for socket in sockets] == [0, 0]
    for socket in sockets:
        socket.close()


def test_a_revoked_peer_is_disconnected_and_the_others_continue(
    context: Context, guarded: BrokerThread, invited: Invited, learner: Learner
) -> None:
    spy = Probe(context, guarded, "weights", "spy")
    spy.secure(invited.two.server_key, invited.two.secret_key.encode())
    spy.socket.subscribe(weights_topic(RUN))
    spy.socket.connect(BrokerAddress.parse(guarded.address).weights)
    with (
        spy.socket,
        connect(guarded, context, "one", invited.one) as honest,
        connect(guarded, context, "two", invited.two) as rogue,
    ):
        push(honest, first_policy(honest))
        push(rogue, first_policy(rogue))
        assert len(learner.take(10)) == 2
        learner.publish(2)
        assert spy.socket.poll(round(scaled(2000))), "the spy gets weights before it is revoked"
        spy.socket.recv_multipart()
        invited.folder.revoke("two")
        wait_until(lambda: not _is_live(guarded, "two"), 10.0)
        learner.publish(3)
        wait_until(lambda: honest.newest_version == PolicyVersion(1, 3))
        push(honest, first_policy(honest))
        wait_until(lambda: _is_live(guarded, "one"))
        learner.take(5)
        assert sorted(learner.seqs) == [("one", 1), ("one", 2), ("two", 1)]
        assert rogue.newest_version == PolicyVersion(1, 2)
        assert not spy.socket.poll(300)


def test_a_peer_that_sends_rubbish_is_quarantined_and_the_others_continue(
    context: Context, invited: Invited, start_broker: Callable[..., BrokerThread]
) -> None:
    policing = PolicingLimits(strikes=20, quarantine_s=2.0)
    broker = start_broker(keys=invited.folder, policing=policing)
    rogue = Probe(context, broker, "ingest", "rogue")
    rogue.secure(invited.two.server_key, invited.two.secret_key.encode())
    rogue.socket.connect(BrokerAddress.parse(broker.address).ingest)
    with (
        rogue.socket,
        Learner(context, broker.address, invitation=invited.learner) as learner,
        connect(broker, context, "one", invited.one) as honest,
    ):
        learner.publish(1)
        update = first_policy(honest)
        for _ in range(40):
            rogue.socket.send(b"rubbish")
        wait_until(lambda: [peer.name for peer in broker.status.quarantined] == ["two"])
        wait_until(lambda: sum(broker.status.rejects.values()) == 40)
        # One of twenty strikes is forgiven each second, so a slow machine reads a few more.
        assert 20 <= broker.status.rejects["malformed"] < 40
        push(honest, update)
        assert len(learner.take(5)) == 1
        wait_until(lambda: not broker.status.quarantined)
        rogue.socket.send(encode_header(Hello(actor="two", incarnation=1)))
        wait_until(lambda: _is_live(broker, "two"))


def _is_live(broker: BrokerThread, name: str) -> bool:
    return any(actor.is_live for actor in broker.status.actors if actor.actor == name)


def test_a_peer_invited_while_the_broker_runs_is_admitted(
    context: Context, guarded: BrokerThread, invited: Invited, learner: Learner
) -> None:
    late = invited.folder.invite("actor", "late", ANYWHERE)
    with connect(guarded, context, "late", late) as client:
        first_policy(client)


def test_a_peer_that_subscribes_endlessly_is_quarantined_and_cannot_reconnect(
    context: Context, invited: Invited, start_broker: Callable[..., BrokerThread]
) -> None:
    policing = PolicingLimits(strikes=20, quarantine_s=2.0, subscriptions_per_s=50.0)
    broker = start_broker(keys=invited.folder, policing=policing)
    with (
        Learner(context, broker.address, invitation=invited.learner) as learner,
        connect(broker, context, "one", invited.one) as honest,
    ):
        learner.publish(1)
        update = first_policy(honest)
        rogue = Probe(context, broker, "control", "rogue")
        rogue.secure(invited.two.server_key, invited.two.secret_key.encode())
        with rogue.socket, rogue.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED) as disconnected:
            rogue.socket.connect(BrokerAddress.parse(broker.address).control)
            for number in range(300):
                rogue.socket.subscribe(b"dtwo.%d\0" % number)
            assert disconnected.poll(round(scaled(15_000)))
            wait_until(lambda: [peer.name for peer in broker.status.quarantined] == ["two"])
            with connect(broker, context, "two", invited.two) as late:
                assert late.begin(0.5) is None  # no peer with that key is admitted
                push(honest, update)
                assert len(learner.take(5)) == 1
                rogue.socket.disable_monitor()
                rogue.socket.close(linger=0)
                first_policy(late)  # once the quarantine is over
