"""Sends a router the messages of actors and learners, and keeps its answers."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, TypeVar

from headrace.broker.routing.effects import (
    Effect,
    ForgetBatch,
    KeepDeadLetter,
    Note,
    PublishControl,
    PublishWeights,
    SendToLearner,
    StoreBatch,
)
from headrace.broker.routing.router import Router
from headrace.broker.state.batch import QueuedBatch
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.manifest import Manifest
from headrace.protocol.messages import (
    Alive,
    Delivery,
    Goodbye,
    Hello,
    LearnerGoodbye,
    LearnerHello,
    Lease,
    Ledger,
    Mark,
    Message,
    Offer,
    Publish,
    Pull,
    Reject,
    Trajectories,
    Want,
)
from headrace.protocol.messages.headers import encode_header
from headrace.protocol.topics import delivery_topic, snapshot_topic
from support.examples import RUN, make_manifest, make_payload, make_policy_frame, make_weights_frame

M = TypeVar("M", bound=Message)


class FakeFleet:
    """A router with a clock that the test advances; collects effects after each message."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.now_s = 0.0
        self.control: dict[bytes, list[Message]] = defaultdict(list)
        self.weights: dict[bytes, list[PublishWeights]] = defaultdict(list)
        self.sent: list[SendToLearner] = []
        self.notes: list[Note] = []
        self.dead_letters: list[KeepDeadLetter] = []
        self.stored: list[QueuedBatch] = []
        self.forgotten: list[int] = []
        self.version = PolicyVersion(1, 1)

    # ---------------------------------------------------------------- time and effects

    def pass_time(self, seconds: float, step_s: float = 0.05) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += step_s
            self.router.tick(self.now_s)
            self.flush()

    def flush(self) -> None:
        for effect in self.router.take_effects(self.now_s):
            self._keep(effect)

    def _keep(self, effect: Effect) -> None:
        match effect:
            case PublishControl(topic, message):
                self.control[topic].append(message)
            case PublishWeights(topic):
                self.weights[topic].append(effect)
            case SendToLearner():
                self.sent.append(effect)
            case Note():
                self.notes.append(effect)
            case KeepDeadLetter():
                self.dead_letters.append(effect)
            case StoreBatch():
                self.stored.append(effect.batch)
            case ForgetBatch():
                self.forgotten.append(effect.arrival)

    # ---------------------------------------------------------------- actors

    def ingest(self, message: Message, *payloads: bytes) -> None:
        self.router.on_ingest([encode_header(message), *payloads], self.now_s)
        self.flush()

    def join(self, actor: str, incarnation: int = 1, **presence: Any) -> None:
        self.router.on_control_subscription(delivery_topic(actor), True, self.now_s)
        self.router.on_weights_subscription(snapshot_topic(actor), True, self.now_s)
        self.ingest(Hello(actor=actor, incarnation=incarnation, **presence))

    def alive(self, actor: str, incarnation: int = 1, **presence: Any) -> None:
        self.ingest(Alive(actor=actor, incarnation=incarnation, **presence))

    def goodbye(self, actor: str, incarnation: int = 1, last_seq: int = 0) -> None:
        self.ingest(Goodbye(actor=actor, incarnation=incarnation, last_seq=last_seq))

    def push(self, actor: str, seq: int, *, payload: bytes | None = None, **header: Any) -> None:
        fields: dict[str, Any] = {
            "incarnation": 1,
            "run": RUN,
            "version": self.version,
            "env_steps": 5,
        }
        message = Trajectories(actor=actor, seq=seq, **{**fields, **header})
        self.ingest(message, make_payload() if payload is None else payload)

    def delivery(self, actor: str) -> Delivery:
        received = self.control[delivery_topic(actor)]
        return [message for message in received if isinstance(message, Delivery)][-1]

    def rejects(self, actor: str) -> list[Reject]:
        return [m for m in self.control[delivery_topic(actor)] if isinstance(m, Reject)]

    def snapshots(self, actor: str) -> list[PublishWeights]:
        return self.weights[snapshot_topic(actor)]

    # ---------------------------------------------------------------- learners

    def learner(self, message: Message, *payloads: bytes, routing_id: bytes = b"L") -> None:
        self.router.on_learner([routing_id, encode_header(message), *payloads], self.now_s)
        self.flush()

    def open(self, session: int = 1, **hello: Any) -> None:
        fields: dict[str, Any] = {"learner_run": "run-1", "worker_index": 0, "run": RUN}
        self.learner(LearnerHello(session=session, **{**fields, **hello}))

    def publish(
        self, number: int = 1, session: int = 1, *, manifest: Manifest | None = None, **hello: Any
    ) -> None:
        """Opens the session if necessary, offers weights and publishes those wanted."""
        if session not in self.sessions:
            self.open(session, **hello)
        frame, digest = make_policy_frame(manifest or make_manifest())
        fields = offered(number, digest)
        self.learner(Offer(session=session, **fields))
        want = self.last(Want)
        if want.weights:
            policy_frame = frame if want.policy else b""
            self.learner(
                Publish(session=session, **fields), policy_frame, make_weights_frame(number)
            )
        published = self.router.status(self.now_s).version
        if published is not None:
            self.version = PolicyVersion(*map(int, published.split(".")))

    def pull(
        self, up_to_steps: int, confirmed: int = 0, session: int = 1, **asked: Any
    ) -> list[Lease]:
        before = len(self.leases(session))
        self.learner(
            Pull(session=session, lease_up_to_steps=up_to_steps, confirmed=confirmed, **asked)
        )
        return self.leases(session)[before:]

    def leave(self, session: int = 1) -> None:
        self.learner(LearnerGoodbye(session=session))

    def leases(self, session: int = 1) -> list[Lease]:
        messages = [effect.message for effect in self.sent]
        return [m for m in messages if isinstance(m, Lease) and m.session == session]

    @property
    def sessions(self) -> set[int]:
        return {effect.message.session for effect in self.sent}

    def all(self, kind: type[M]) -> list[M]:
        return [effect.message for effect in self.sent if isinstance(effect.message, kind)]

    def last(self, kind: type[M]) -> M:
        return self.all(kind)[-1]


def offered(number: int, digest: str | None = None) -> dict[str, Any]:
    """The fields that an offer and its publish share."""
    return {
        "number": number,
        "weights_digest": f"{number:08x}",
        "policy_digest": digest or make_policy_frame()[1],
    }


def mark(actor: str, ended: int, *, confirmed: tuple[int, ...] = ()) -> Mark:
    return Mark(actor, 1, ended, confirmed)


def ledger(fleet: FakeFleet) -> Ledger:
    """Returns the fleet's ledger, which adds up."""
    found = fleet.router.status(fleet.now_s).ledger
    ended = found.consumed + found.stale + found.rejected + found.dropped
    assert found.produced == ended + found.held
    return found
