"""A broker for one actor whose behaviour a case controls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headrace.deploy.conformance.behaviour import Behaviour
from headrace.deploy.conformance.observer import Observer
from headrace.deploy.conformance.policy import PublishedPolicy, make_weights
from headrace.deploy.conformance.ports import Ports
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
    """One arrival of a batch."""

    at_s: float
    header: Trajectories


@dataclass(frozen=True)
class _Publication:
    policy: PublishedPolicy
    version: PolicyVersion


class ScriptedBroker:
    """Answers messages according to its behaviour, and has an observer check them.

    Attributes:
        incarnation: the broker's.
        behaviour: how it behaves now; see `change`.
        arrivals: all arrivals of batches.
    """

    def __init__(self, ports: Ports, clock: Clock = time.monotonic) -> None:
        self._ports = ports
        self._clock = clock
        self._receiver: Receiver | None = None
        self._publication: _Publication | None = None
        self._lost: set[int] = set()
        self._beacon_due_s = clock()
        self.incarnation = 1
        self.observer = Observer()
        self.behaviour = Behaviour()
        self.arrivals: list[Arrival] = []

    # ---------------------------------------------------------------- queries of cases

    @property
    def topics(self) -> set[bytes]:
        """The client's subscriptions."""
        return self._ports.topics

    @property
    def actor(self) -> str:
        """The actor id; empty before its first message."""
        return self.observer.heard[0].actor if self.observer.heard else ""

    @property
    def presence(self) -> Presence | None:
        """The newest presence message."""
        heard = reversed(self.observer.heard)
        return next((message for message in heard if isinstance(message, Presence)), None)

    @property
    def accepted(self) -> int:
        """The seq up to which all batches are accepted, including those that its hello reported."""
        return self._receiver.accepted if self._receiver is not None else 0

    def heard(self, kind: type[ActorMessage]) -> int:
        """Returns how many messages of a kind arrived."""
        return sum(type(message) is kind for message in self.observer.heard)

    def times_sent(self, seq: int) -> int:
        """Returns how often a batch arrived, including a transmission that the behaviour loses."""
        return sum(arrival.header.seq == seq for arrival in self.arrivals)

    # ---------------------------------------------------------------- actions of cases

    def change(self, **behaviour: Any) -> None:
        """Replaces fields of the behaviour."""
        self.behaviour = replace(self.behaviour, **behaviour)

    def publish(self, policy: PublishedPolicy, version: PolicyVersion) -> None:
        """Publishes weights; those of another policy or epoch are sent as a snapshot."""
        old, self._publication = self._publication, _Publication(policy, version)
        self.observer.publish(policy.manifest, version)
        if old is None or old.policy.digest != policy.digest or old.version.epoch != version.epoch:
            self.send_snapshot()
        elif self.behaviour.announces:
            self.send_weights(policy, version, policy.digest)

    def send_weights(self, policy: PublishedPolicy, version: PolicyVersion, digest: str) -> None:
        """Sends weights to subscribers of the run, whatever is published."""
        run = policy.manifest.run
        header = Weights(run=run, version=version, policy_digest=digest)
        frames = [encode_header(header), make_weights(version.number)]
        self._ports.send_weights(topics.weights_topic(run), frames)

    def send_snapshot(self, digest: str | None = None) -> None:
        """Sends the actor a snapshot of the published version, under `digest` if given."""
        if self._publication is None or not self.actor or not self.behaviour.publishes:
            return
        policy, version = self._publication.policy, self._publication.version
        header = Snapshot(
            run=policy.manifest.run, version=version, policy_digest=digest or policy.digest
        )
        frames = [encode_header(header), policy.frame, make_weights(version.number)]
        self._ports.send_weights(topics.snapshot_topic(self.actor), frames)

    def reject(self, code: RejectCode, reason: str, seq: int | None = None) -> None:
        """Sends a reject to the client's incarnation."""
        message = Reject(incarnation=self._incarnation_of_actor, code=code, reason=reason, seq=seq)
        self.send_control([encode_header(message)])

    def send_control(self, frames: Sequence[bytes]) -> None:
        """Sends arbitrary frames on the topic of the actor's deliveries."""
        self._ports.send_control(topics.delivery_topic(self.actor), frames)

    def delivery(self, *, gap: bool = False) -> Delivery:
        """Returns the delivery state under the current behaviour."""
        receiver = self._receiver or Receiver()
        return Delivery(
            broker=self.incarnation,
            incarnation=self._incarnation_of_actor,
            accepted=receiver.accepted,
            acknowledged=receiver.acknowledged,
            totals=receiver.totals,
            credit=self._credit(receiver),
            gap=gap,
            accepts=self.behaviour.accepts,
            task=self.behaviour.task,
        )

    def deliver(self, *, gap: bool = False) -> None:
        """Sends a delivery state."""
        message = self.delivery(gap=gap)
        self.observer.note_delivery(message)
        self.send_control([encode_header(message)])

    def send_beacon(self) -> None:
        """Sends the beacon, which is also sent each second."""
        publication = self._publication if self.behaviour.publishes else None
        message = Beacon(
            broker=self.incarnation,
            run=publication.policy.manifest.run if publication else None,
            version=publication.version if publication else None,
        )
        self._ports.send_control(topics.BEACON, [encode_header(message)])
        self._beacon_due_s = self._clock() + _BEACON_S

    def become_another(self) -> None:
        """Becomes another incarnation, without any state, over the same connections."""
        self.incarnation += 1
        self._receiver = None

    def lose_connections(self) -> None:
        """Drops all connections and stays the same incarnation."""
        self._ports.rebind()
        self.observer.may_miss = True

    # ---------------------------------------------------------------- the loop

    def serve_once(self) -> None:
        """Waits briefly for messages and answers them.

        Raises:
            Violation: the actor sent a message that it must not.
        """
        asked, messages = self._ports.poll()
        if self.actor and topics.snapshot_topic(self.actor) in asked:
            self.send_snapshot()
        for frames in messages:
            self._take_message(frames)
        if self._clock() >= self._beacon_due_s:
            self.send_beacon()

    def _take_message(self, frames: Sequence[bytes]) -> None:
        message, payloads = self.observer.check(frames)
        match message:
            case Presence():
                self._take_presence(message)
            case Trajectories():
                self.arrivals.append(Arrival(self._clock(), message))
                self._take_batch(message, payloads[0])
            case _:
                pass

    def _take_presence(self, presence: Presence) -> None:
        if not self.behaviour.answers:
            return
        if self._receiver is None:
            if not isinstance(presence, Hello):
                self.send_beacon()  # which makes an unknown actor say hello
                return
            self._receiver = Receiver(presence.acknowledged, presence.totals)
        self.deliver()
        if self._publication is not None and presence.version != self._publication.version:
            self.send_snapshot()

    def _take_batch(self, header: Trajectories, payload: Frame) -> None:
        seq, receiver = header.seq, self._receiver
        if receiver is None or not self.behaviour.accepts:
            return
        if seq in self.behaviour.loses - self._lost:
            self._lost.add(seq)
            return
        match receiver.arrive(seq):
            case Verdict.GAP:
                self.deliver(gap=True)
            case Verdict.ACCEPTED:
                self._accept(receiver, header, payload)
                self.deliver()
            case _:
                pass

    def _accept(self, receiver: Receiver, header: Trajectories, payload: Frame) -> None:
        self.observer.accept(header, payload)
        if header.seq in self.behaviour.rejects:
            self.reject(RejectCode.INVALID_BATCH, "rejected by the test case", header.seq)
            receiver.finish(header.seq, Outcome.REJECTED)
        elif self.behaviour.ends:
            receiver.finish(header.seq, Outcome.CONSUMED)

    def _credit(self, receiver: Receiver) -> Credit | None:
        behaviour = self.behaviour
        if behaviour.window is None:
            return None
        return Credit(
            up_to=min(receiver.accepted + behaviour.window, behaviour.up_to),
            fragment_steps=behaviour.fragment_steps,
            fragment_s=behaviour.fragment_s,
            min_version=behaviour.min_version,
        )

    @property
    def _incarnation_of_actor(self) -> int:
        return self.observer.heard[0].incarnation
