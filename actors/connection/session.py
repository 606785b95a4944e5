"""The actor's side of a session with a broker, as a pure state machine.

Feed it what the two SUB sockets receive, and send what `next_presence` and `next_batch` return.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from headrace.actors.connection.config import ClientConfig
from headrace.actors.connection.endpoint_watch import EndpointWatch
from headrace.actors.connection.evaluation_tasks import EvaluationTasks
from headrace.actors.connection.newest_policy import NewestPolicy, PolicyUpdate
from headrace.actors.connection.presence_schedule import PresenceSchedule
from headrace.protocol.compression import Compression
from headrace.protocol.delivery import Sender
from headrace.protocol.errors import (
    LocalProtocolError,
    RefusedError,
    RejectCode,
    RemoteProtocolError,
)
from headrace.protocol.foreign_versions import ForeignVersions
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.limits import DecodeLimits
from headrace.protocol.messages import (
    Alive,
    Assignment,
    Beacon,
    Credit,
    Delivery,
    EvaluationTask,
    Goodbye,
    Hello,
    Purpose,
    Reject,
    Trajectories,
)
from headrace.protocol.messages.headers import (
    Frame,
    control_decoder,
    encode_header,
    weights_decoder,
)
from headrace.protocol.silence_warnings import SilenceWarnings

_FATAL = frozenset({RejectCode.SUPERSEDED, RejectCode.UNSUPPORTED_VERSION})


@dataclass(frozen=True)
class PushedBatch:
    """A finished batch, encoded once for all transmissions.

    Attributes:
        task: that of the evaluation, or of the assignment under which it was recorded.
        more: of an evaluation: its episode continues in the next batch.
    """

    version: PolicyVersion
    run: str
    env_steps: int
    payload: bytes
    purpose: Purpose = "train"
    task: str | None = None
    compression: Compression | msgspec.UnsetType = msgspec.UNSET
    more: bool = False


class ActorSession:
    """Delivery, presence and policy of one incarnation of an actor."""

    def __init__(
        self, actor: str, incarnation: int, host: str, config: ClientConfig, rng: random.Random
    ) -> None:
        self.actor = actor
        self.incarnation = incarnation
        self._host = host
        self._config = config
        self._sender: Sender[PushedBatch] = Sender(rng, config.resend)
        self._decode_control = control_decoder(config.limits).decode
        self._decode_weights = weights_decoder(config.limits).decode
        self._broker_heard: int | None = None
        # A batch may be begun under one broker's credit and finished under another's.
        self._permitted_up_to = 0
        self._presence = PresenceSchedule(config.presence_s)
        self._watch = EndpointWatch(config.silence_s)
        self._policy = NewestPolicy()
        self._foreign_versions = ForeignVersions()
        self.rejects: list[Reject] = []
        self.refusal: RefusedError | None = None
        self.env_steps = 0
        self.unrecorded_env_steps = 0
        self.broken_episodes = 0
        self.evaluates = False
        self.assignment: Assignment | None = None
        self.learner_is_connected: bool | None = None
        self.max_payload_bytes = config.limits.max_payload_bytes
        self.evaluations = EvaluationTasks()

    # ---------------------------------------------------------------- incoming messages

    def on_control(self, frames: Sequence[Frame], now_s: float) -> None:
        """Handles a message of the control endpoint, given without its topic.

        Raises:
            RemoteProtocolError: the message is invalid; drop it and continue.
        """
        try:
            message, _ = self._decode_control(frames)
        except RemoteProtocolError as error:
            self.refusal = self._foreign_versions.refusal(error, now_s)
            return
        self._foreign_versions.note_understood(now_s)
        self._watch.note_contact("control", now_s)
        match message:
            case Delivery(incarnation=self.incarnation):
                self._take_delivery(message, now_s)
            case Reject(incarnation=self.incarnation):
                self.rejects.append(message)
                if message.seq is None and message.code in _FATAL:
                    self.refusal = RefusedError(message.code, message.reason)
            case Beacon():
                self._take_beacon(message, now_s)
            case _:
                pass  # for an earlier incarnation of this actor

    def _take_delivery(self, message: Delivery, now_s: float) -> None:
        self._watch.note_contact("ingest", self._presence.silent_since(now_s))
        self._broker_heard = message.broker
        self._sender.receive(message, now_s)
        self.evaluations.task = message.task
        if message.credit is not None or message.assignment:
            # A broker that has just started grants no credit and knows no assignment yet.
            self.assignment = message.assignment or None
        if message.credit is not None:
            self._permitted_up_to = max(self._permitted_up_to, message.credit.up_to)

    def _take_beacon(self, message: Beacon, now_s: float) -> None:
        if not isinstance(message.learner, msgspec.UnsetType):
            self.learner_is_connected = message.learner
        if not isinstance(message.max_payload_bytes, msgspec.UnsetType):
            self.max_payload_bytes = message.max_payload_bytes
        self._presence.follow(message.presence_s or 1.0)
        if message.version in (None, self.newest_version):
            self._watch.note_contact("weights", now_s)
        if message.broker != self._broker_heard:
            self._broker_heard = message.broker
            self._presence.hasten(now_s)

    def on_weights(self, frames: Sequence[Frame]) -> None:
        """Handles a message of the weights endpoint, given without its topic.

        An older version than the newest one of its run is dropped.

        Raises:
            RemoteProtocolError: the message is invalid; drop it and continue.
        """
        message, payloads = self._decode_weights(frames)
        self._policy.receive(message, payloads)

    def on_disconnect(self, now_s: float) -> None:
        """Handles a lost connection to ingest: asks what arrived before sending more."""
        self._sender.lose_connection()
        self._presence.hasten(now_s)

    def take_silent_endpoints(self, now_s: float) -> list[str]:
        """Returns, once, the endpoints that look connected but are dead; reconnect them."""
        return self._watch.take_overdue(now_s)

    def silence_warnings(self, now_s: float) -> SilenceWarnings:
        """Returns when to warn that endpoints are silent."""
        return self._watch.warnings(now_s)

    # ---------------------------------------------------------------- for the simulator

    @property
    def run(self) -> str | None:
        """The run of the newest policy."""
        return self._policy.run

    @property
    def newest_version(self) -> PolicyVersion | None:
        """The newest policy version that has arrived."""
        return self._policy.version

    @property
    def credit(self) -> Credit | None:
        """The newest credit that the current broker has granted."""
        return self._sender.credit

    @property
    def unaccepted(self) -> int:
        """Batches that the broker does not have yet."""
        return self._sender.last_seq - self._sender.accepted

    @property
    def sender(self) -> Sender[PushedBatch]:
        """The delivery state, for inspection."""
        return self._sender

    @property
    def limits(self) -> DecodeLimits:
        """The limits of payloads, with the broker's own."""
        return dataclasses.replace(self._config.limits, max_payload_bytes=self.max_payload_bytes)

    def may_begin(self) -> bool:
        """Returns whether a batch may be begun with the newest weights."""
        version = self.newest_version
        return version is not None and self._sender.may_begin(version)

    def is_outdated(self, version: PolicyVersion) -> bool:
        """Returns whether a batch of that version would be stale on arrival."""
        credit = self.credit
        return credit is not None and version < credit.min_version

    def task_to_begin(self) -> EvaluationTask | None:
        """Returns the task of an evaluation episode to run now, None if there is none."""
        return self.evaluations.to_begin(self.newest_version)

    def policy_update(self) -> PolicyUpdate | None:
        """Returns the newest policy, decoded once, or None before the first snapshot.

        Raises:
            RemoteProtocolError: the weights cannot be decoded.
        """
        return self._policy.update(self.limits)

    def push(self, batch: PushedBatch) -> int:
        """Queues a finished batch, and returns its sequence number.

        Raises:
            LocalProtocolError: a training batch without credit; check `may_begin` before beginning
                one. Evaluations need none.
        """
        if batch.purpose == "train" and self._sender.last_seq >= self._permitted_up_to:
            raise LocalProtocolError("this batch was begun without credit")
        self.env_steps += batch.env_steps
        return self._sender.enter(batch)

    # ---------------------------------------------------------------- outgoing messages

    def next_presence(self, now_s: float) -> list[bytes] | None:
        """Returns a hello when due, or an alive once the current broker has answered a hello."""
        if now_s < self._presence.due_s:
            return None
        sender = self._sender
        presence: dict[str, Any] = {
            "actor": self.actor,
            "incarnation": self.incarnation,
            "version": self.newest_version,
            "policy_digest": self._policy.digest,
            "last_seq": sender.last_seq,
            "acknowledged": sender.acknowledged,
            "totals": sender.totals,
            "env_steps": self.env_steps,
            "unrecorded_env_steps": self.unrecorded_env_steps,
            "evaluates": self.evaluates,
            "broken_episodes": self.broken_episodes or msgspec.UNSET,
        }
        is_hello = sender.broker is None or sender.broker != self._broker_heard
        self._presence.note_sent(now_s, is_hello=is_hello)
        if not is_hello:
            return [encode_header(Alive(**presence))]
        return [encode_header(Hello(**presence, client=self._config.client, host=self._host))]

    def next_batch(self, now_s: float) -> tuple[int, list[bytes]] | None:
        """Returns the seq and frames of the next batch to transmit; then call `mark_sent`."""
        due = self._sender.next_due(now_s)
        if due is None:
            return None
        header = Trajectories(
            actor=self.actor,
            incarnation=self.incarnation,
            seq=due.seq,
            run=due.item.run,
            version=due.item.version,
            env_steps=due.item.env_steps,
            purpose=due.item.purpose,
            task=due.item.task,
            sent_before=due.sent_before,
            compression=due.item.compression,
            more=due.item.more or msgspec.UNSET,
        )
        return due.seq, [encode_header(header), due.item.payload]

    def mark_sent(self, seq: int, now_s: float) -> None:
        """Records that a batch from `next_batch` was sent."""
        self._sender.mark_sent(seq, now_s)

    def goodbye(self) -> list[bytes]:
        """Returns the message that ends this incarnation."""
        message = Goodbye(
            actor=self.actor, incarnation=self.incarnation, last_seq=self._sender.last_seq
        )
        return [encode_header(message)]

    def next_event_at_s(self) -> float:
        """Returns when something next becomes due by time alone."""
        return min(self._presence.due_s, self._sender.next_event_at_s)
