"""A broker of one actor that does what a scene tells it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headrace.deploy.conformance.conduct import Conduct
from headrace.deploy.conformance.doors import Doors
from headrace.deploy.conformance.observer import Observer
from headrace.deploy.conformance.policy import PublishedPolicy, make_weights
from headrace.protocol import topics
from headrace.protocol.delivery import Outcome, Receiver, Verdict
from headrace.protocol.errors import RejectCode
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import (
    ActorMessage,
    Beacon,
    Credit,
    Delivery,
    Hello,
    Presence,
    Reject,
    Snapshot,
    Trajectories,
    Weights,
)
from headrace.protocol.messages.headers import Frame, encode_header

Clock = Callable[[], float]

_BEACON_S = 1.0


@dataclass(frozen=True)
class Arrival:
    """A batch, each time that it arrived."""

    at_s: float
    header: Trajectories


@dataclass(frozen=True)
class _Publication:
    policy: PublishedPolicy
    version: PolicyVersion


class PlayedBroker:
    """Receives, answers as its conduct says, and lets an observer judge what it hears.

    Attributes:
        incarnation: the broker's.
        conduct: what it does; `change` it to play another part.
        arrivals: of batches.
    """

    def __init__(self, doors: Doors, clock: Clock = time.monotonic) -> None:
        self._doors = doors
        self._clock = clock
        self._receiver: Receiver | None = None
        self._publication: _Publication | None = None
        self._lost: set[int] = set()
        self._beacon_due_s = clock()
        self.incarnation = 1
        self.observer = Observer()
        self.conduct = Conduct()
        self.arrivals: list[Arrival] = []

    # ---------------------------------------------------------------- what scenes ask

    @property
    def topics(self) -> set[bytes]:
        """What the client subscribes to."""
        return self._doors.topics

    @property
    def actor(self) -> str:
        """The actor id, empty before it spoke."""
        return self.observer.heard[0].actor if self.observer.heard else ""

    @property
    def presence(self) -> Presence | None:
        """The newest one."""
        heard = reversed(self.observer.heard)
        return next((message for message in heard if isinstance(message, Presence)), None)

    @property
    def accepted(self) -> int:
        """Every batch up to this one was accepted, by this incarnation or as its hello told."""
        return self._receiver.accepted if self._receiver is not None else 0

    def heard(self, kind: type[ActorMessage]) -> int:
        """Returns how many messages of a kind came."""
        return sum(type(message) is kind for message in self.observer.heard)

    def times_sent(self, seq: int) -> int:
        """Returns how often a batch arrived, counting what the conduct lost."""
        return sum(arrival.header.seq == seq for arrival in self.arrivals)

    # ---------------------------------------------------------------- what scenes do

    def change(self, **conduct: Any) -> None:
        """Replaces fields of the conduct."""
        self.conduct = replace(self.conduct, **conduct)

    def publish(self, policy: PublishedPolicy, version: PolicyVersion) -> None:
        """Publishes weights; those of another policy or epoch go out as a snapshot."""
        old, self._publication = self._publication, _Publication(policy, version)
        self.observer.publish(policy.manifest, version)
        if old is None or old.policy.digest != policy.digest or old.version.epoch != version.epoch:
            self.send_snapshot()
        elif self.conduct.announces:
            self.send_weights(policy, version, policy.digest)

    def send_weights(self, policy: PublishedPolicy, version: PolicyVersion, digest: str) -> None:
        """Sends weights to whoever subscribes to the run, whatever is published."""
        run = policy.manifest.run
        header = Weights(run=run, version=version, policy_digest=digest)
        frames = [encode_header(header), make_weights(version.number)]
        self._doors.send_weights(topics.weights_topic(run), frames)

    def send_snapshot(self, digest: str | None = None) -> None:
        """Sends the actor what is published; with a digest, under a wrong one."""
        if self._publication is None or not self.actor or not self.conduct.publishes:
            return
        policy, version = self._publication.policy, self._publication.version
        header = Snapshot(
            run=policy.manifest.run, version=version, policy_digest=digest or policy.digest
        )
        frames = [encode_header(header), policy.frame, make_weights(version.number)]
        self._doors.send_weights(topics.snapshot_topic(self.actor), frames)

    def reject(self, code: RejectCode, reason: str, seq: int | None = None) -> None:
        """Sends a reject to the incarnation that spoke."""
        message = Reject(incarnation=self._incarnation_of_actor, code=code, reason=reason, seq=seq)
        self.send_control([encode_header(message)])

    def send_control(self, frames: Sequence[bytes]) -> None:
        """Sends any frames under the topic of the actor's deliveries."""
        self._doors.send_control(topics.delivery_topic(self.actor), frames)

    def delivery(self, *, gap: bool = False) -> Delivery:
        """Returns the delivery state that the conduct makes."""
        receiver = self._receiver or Receiver()
        return Delivery(
            broker=self.incarnation,
            incarnation=self._incarnation_of_actor,
            accepted=receiver.accepted,
            acknowledged=receiver.acknowledged,
            totals=receiver.totals,
            credit=self._credit(receiver),
            gap=gap,
            accepts=self.conduct.accepts,
            task=self.conduct.task,
        )

    def deliver(self, *, gap: bool = False) -> None:
        """Sends a delivery state."""
        message = self.delivery(gap=gap)
        self.observer.tell(message)
        self.send_control([encode_header(message)])

    def send_beacon(self) -> None:
        """Sends the beacon; it goes out each second besides."""
        publication = self._publication if self.conduct.publishes else None
        message = Beacon(
            broker=self.incarnation,
            run=publication.policy.manifest.run if publication else None,
            version=publication.version if publication else None,
        )
        self._doors.send_control(topics.BEACON, [encode_header(message)])
        self._beacon_due_s = self._clock() + _BEACON_S

    def become_another(self) -> None:
        """Goes on as another incarnation, which knows nothing, over the same connections."""
        self.incarnation += 1
        self._receiver = None

    def lose_connections(self) -> None:
        """Loses all connections, and goes on as the same incarnation."""
        self._doors.rebind()
        self.observer.may_miss = True

    # ---------------------------------------------------------------- the loop

    def serve_once(self) -> None:
        """Waits for messages, a moment long, and answers them.

        Raises:
            ClientFault: the actor said what it must not.
        """
        asked, messages = self._doors.poll()
        if self.actor and topics.snapshot_topic(self.actor) in asked:
            self.send_snapshot()
        for frames in messages:
            self._take_message(frames)
        if self._clock() >= self._beacon_due_s:
            self.send_beacon()

    def _take_message(self, frames: Sequence[bytes]) -> None:
        message, payloads = self.observer.hear(frames)
        match message:
            case Presence():
                self._take_presence(message)
            case Trajectories():
                self.arrivals.append(Arrival(self._clock(), message))
                self._take_batch(message, payloads[0])
            case _:
                pass

    def _take_presence(self, presence: Presence) -> None:
        if not self.conduct.answers:
            return
        if self._receiver is None:
            if not isinstance(presence, Hello):
                self.send_beacon()  # which tells it that this broker does not know it
                return
            self._receiver = Receiver(presence.acknowledged, presence.totals)
        self.deliver()
        if self._publication is not None and presence.version != self._publication.version:
            self.send_snapshot()

    def _take_batch(self, header: Trajectories, payload: Frame) -> None:
        seq, receiver = header.seq, self._receiver
        if receiver is None or not self.conduct.accepts:
            return
        if seq in self.conduct.loses - self._lost:
            self._lost.add(seq)
            return
        match receiver.arrive(seq):
            case Verdict.GAP if receiver.should_answer_gap():
                self.deliver(gap=True)
            case Verdict.ACCEPTED:
                self._accept(receiver, header, payload)
                self.deliver()
            case _:
                pass

    def _accept(self, receiver: Receiver, header: Trajectories, payload: Frame) -> None:
        self.observer.accept(header, payload)
        if header.seq in self.conduct.rejects:
            self.reject(RejectCode.INVALID_BATCH, "the scene says so", header.seq)
            receiver.finish(header.seq, Outcome.REJECTED)
        elif self.conduct.ends:
            receiver.finish(header.seq, Outcome.CONSUMED)

    def _credit(self, receiver: Receiver) -> Credit | None:
        conduct = self.conduct
        if conduct.window is None:
            return None
        return Credit(
            up_to=min(receiver.accepted + conduct.window, conduct.up_to),
            fragment_steps=conduct.fragment_steps,
            fragment_s=conduct.fragment_s,
            min_version=conduct.min_version,
        )

    @property
    def _incarnation_of_actor(self) -> int:
        return self.observer.heard[0].incarnation
