"""A process that attacks a broker with an actor's key, or only uses as much CPU time."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import msgspec
import zmq

from chaos.batches import BatchId, make_marked_batch
from chaos.diary import Diary
from chaos.stranger import burn
from headrace.actors.connection.client import Client
from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.invitation import Invitation
from headrace.protocol.messages import Delivery, Hello, Trajectories
from headrace.protocol.messages.headers import control_decoder, encode_header
from headrace.protocol.topics import delivery_topic
from headrace.protocol.trajectory import pack_batch
from headrace.protocol.zeromq.client_socket import encrypt
from headrace.protocol.zeromq.frames import receive
from headrace.protocol.zeromq.invitation_file import load_invitation

ACTOR_INDEX = 1000
_ENV_STEPS = 20
_AHEAD = 200

Context = zmq.Context[zmq.Socket[bytes]]


class InsiderPlan(msgspec.Struct, frozen=True):
    """The process's parameters; its one command line argument, as JSON.

    Attributes:
        attack: `subscribe` or `overload`; anything else only computes.
        cpu_s: CPU time that the computation uses.
        life: the number of the attack, from 0.
        batches_per_s: the rate of an overload.
    """

    attack: str
    address: str
    join: str
    diary: str
    life: int
    lasts_s: float
    batches_per_s: float
    cpu_s: float = 0.0


def subscribe(plan: InsiderPlan, invitation: Invitation) -> None:
    """Subscribes as fast as the endpoints accept it; its key permits half of the topics."""
    context: Context = zmq.Context()
    rng = random.Random(plan.life)
    end_s = time.monotonic() + plan.lasts_s
    own = invitation.name.encode()
    endpoints = BrokerAddress.parse(plan.address)
    while time.monotonic() < end_s:
        sockets = [context.socket(zmq.SUB) for _ in range(2)]
        for made, endpoint in zip(sockets, (endpoints.control, endpoints.weights), strict=True):
            made.set(zmq.SNDHWM, 0)
            made.set(zmq.LINGER, 0)
            encrypt(made, invitation)
            made.connect(endpoint)
        for number in range(100_000):
            kind = rng.choice((b"d", b"s", b"x"))
            sockets[number % 2].subscribe(kind + own + b".%d\0" % number + rng.randbytes(40))
            if number % 1000 == 0 and time.monotonic() > end_s:
                break
        for made in sockets:
            made.close(linger=0)
    context.term()


class Overload:
    """Pushes valid batches regardless of credit, and repeats unaccepted ones."""

    def __init__(self, plan: InsiderPlan, invitation: Invitation) -> None:
        self._plan = plan
        self._diary = Diary(Path(plan.diary))
        self._actor = f"{invitation.name}.actor-{ACTOR_INDEX}"
        self._context: Context = zmq.Context()
        self._update = self._await_policy(invitation)
        self._push = self._context.socket(zmq.PUSH)
        self._control = self._context.socket(zmq.SUB)
        endpoints = BrokerAddress.parse(plan.address)
        for made, endpoint in (
            (self._push, endpoints.ingest),
            (self._control, endpoints.control),
        ):
            made.set(zmq.LINGER, 0)
            encrypt(made, invitation)
            made.connect(endpoint)
        self._control.subscribe(delivery_topic(self._actor))
        self._payloads: dict[int, bytes] = {}
        self._accepted = self._seq = 0

    def run(self) -> None:
        """Pushes for `lasts_s`."""
        begun_s = hello_due_s = time.monotonic()
        sent = 0
        while (now_s := time.monotonic()) < begun_s + self._plan.lasts_s:
            if now_s >= hello_due_s:
                hello_due_s = now_s + 1.0
                self._send(Hello(actor=self._actor, incarnation=self._plan.life + 1))
            self._receive()
            if sent < (now_s - begun_s) * self._plan.batches_per_s:
                sent += self._send_next()
            else:
                self._control.poll(1)
        for made in (self._push, self._control):
            made.close(linger=0)
        self._context.term()

    def _await_policy(self, invitation: Invitation) -> PolicyUpdate:
        with Client(
            self._plan.address, actor=self._actor, context=self._context, invitation=invitation
        ) as client:
            update = client.policy_update(30.0)
        assert update is not None, "no policy"
        return update

    def _receive(self) -> None:
        while (frames := receive(self._control)) is not None:
            message, _ = control_decoder().decode(frames[1:])
            if not isinstance(message, Delivery) or message.incarnation != self._plan.life + 1:
                continue
            self._accepted = max(self._accepted, message.accepted)
            if message.gap or not message.accepts:
                self._seq = self._accepted

    def _send_next(self) -> bool:
        is_ahead = self._accepted <= self._seq < self._accepted + _AHEAD
        self._seq = (self._seq if is_ahead else self._accepted) + 1
        update = self._update
        header = Trajectories(
            actor=self._actor,
            incarnation=self._plan.life + 1,
            seq=self._seq,
            run=update.policy.manifest.run,
            version=update.version,
            env_steps=_ENV_STEPS,
        )
        return self._send(header, self._payload(self._seq))

    def _payload(self, seq: int) -> bytes:
        if seq not in self._payloads:
            self._diary.write("produced", ACTOR_INDEX, self._plan.life, seq)
            batch = BatchId(ACTOR_INDEX, self._plan.life, seq)
            marked = make_marked_batch(batch, _ENV_STEPS, self._update.policy.manifest)
            self._payloads[seq] = pack_batch(marked)
        return self._payloads[seq]

    def _send(self, message: Hello | Trajectories, *payloads: bytes) -> bool:
        try:
            self._push.send_multipart([encode_header(message), *payloads], zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True


def main() -> None:
    plan = msgspec.json.decode(sys.argv[1], type=InsiderPlan)
    invitation = load_invitation(Path(plan.join), "actor")
    match plan.attack:
        case "subscribe":
            subscribe(plan, invitation)
        case "overload":
            Overload(plan, invitation).run()
        case _:
            burn(plan.lasts_s, plan.cpu_s)


if __name__ == "__main__":
    main()
