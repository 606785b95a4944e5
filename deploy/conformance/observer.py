"""Checks every message of an actor against what the broker sent it before."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from headrace.deploy.conformance.episodes import EpisodeWatch
from headrace.deploy.conformance.violations import Section, fail
from headrace.protocol.errors import RemoteProtocolError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.manifest import Manifest
from headrace.protocol.messages import (
    ActorMessage,
    Credit,
    Delivery,
    Goodbye,
    Presence,
    Trajectories,
)
from headrace.protocol.messages.headers import Frame, ingest_decoder
from headrace.protocol.trajectory import unpack_batch
from headrace.protocol.validation import find_batch_fault


class Observer:
    """The messages from and to one incarnation of an actor.

    Attributes:
        heard: its messages, in order.
        newest_seq: the highest seq of its batches.
        may_miss: whether messages may have been lost, as with a connection.
    """

    def __init__(self) -> None:
        self.heard: list[ActorMessage] = []
        self.newest_seq = 0
        self.may_miss = False
        self._decode = ingest_decoder().decode
        self._manifests: dict[str, Manifest] = {}
        self._published: set[tuple[str, PolicyVersion]] = set()
        self._grants: list[Credit] = []
        self._acknowledged = 0
        self._contents: dict[int, bytes] = {}
        self._watched_up_to = 0
        self._episodes = EpisodeWatch()

    # ---------------------------------------------------------------- to the actor

    def publish(self, manifest: Manifest, version: PolicyVersion) -> None:
        """Records weights that were sent to the actor."""
        self._manifests[manifest.run] = manifest
        self._published.add((manifest.run, version))

    def note_delivery(self, delivery: Delivery) -> None:
        """Records a delivery that was sent to the actor."""
        self._acknowledged = max(self._acknowledged, delivery.acknowledged)
        if delivery.credit is not None:
            self._grants.append(delivery.credit)

    # ---------------------------------------------------------------- from the actor

    def check(self, frames: Sequence[Frame]) -> tuple[ActorMessage, Sequence[Frame]]:
        """Decodes and checks a message of the actor.

        Raises:
            Violation: the protocol forbids the message here.
        """
        try:
            message, payloads = self._decode(frames)
        except RemoteProtocolError as error:
            fail(Section.FRAMES, f"sent a message that cannot be decoded: {error}")
        self._check_sender(message)
        match message:
            case Presence():
                self._check_presence(message)
            case Trajectories():
                self._check_batch(message, payloads[0])
            case Goodbye() if message.last_seq < self.newest_seq:
                fail(
                    Section.MESSAGES,
                    f"said goodbye with last_seq {message.last_seq} after batch {self.newest_seq}",
                )
            case _:
                pass
        self.heard.append(message)
        return message, payloads

    def _check_sender(self, message: ActorMessage) -> None:
        if not self.heard:
            return
        first, last = self.heard[0], self.heard[-1]
        if message.actor != first.actor:
            fail(
                Section.DELIVERY,
                f"changed its actor id from {first.actor!r} to {message.actor!r}",
            )
        if message.incarnation != first.incarnation:
            fail(Section.DELIVERY, "changed its incarnation: it is drawn once per process")
        if not message.incarnation:
            fail(Section.MESSAGES, "has incarnation 0: draw it from 1 to 2^53 - 1")
        if isinstance(last, Goodbye):
            fail(Section.DELIVERY, "sent a message after its goodbye")

    def _check_presence(self, presence: Presence) -> None:
        if presence.last_seq < self.newest_seq:
            fail(
                Section.MESSAGES,
                f"reported last_seq {presence.last_seq} after sending batch {self.newest_seq}",
            )
        if presence.acknowledged > self._acknowledged:
            fail(
                Section.DELIVERY,
                f"reports batches up to {presence.acknowledged} as acknowledged, "
                f"although the broker acknowledged {self._acknowledged}",
            )
        missing = self._episodes.missing_env_steps
        if presence.unrecorded_env_steps < missing:
            fail(
                Section.DELIVERY,
                f"reports {presence.unrecorded_env_steps} unrecorded env steps, although {missing} "
                "are missing between the chunks of its episodes",
            )
        ended = presence.totals.ended
        if ended != presence.acknowledged:
            fail(
                Section.MESSAGES,
                f"reports totals of {ended} batches, but {presence.acknowledged} acknowledged",
            )

    def _check_batch(self, header: Trajectories, payload: Frame) -> None:
        self._check_number(header)
        content = hashlib.sha256(payload).digest()
        if self._contents.setdefault(header.seq, content) != content:
            fail(Section.DELIVERY, f"sent batch {header.seq} again with different content")
        if header.purpose == "train":
            self._check_credit(header)
        if (header.run, header.version) not in self._published:
            fail(
                Section.MESSAGES,
                f"sent batch {header.seq} of run {header.run!r}, version {header.version}, "
                "which was never published",
            )

    def _check_number(self, header: Trajectories) -> None:
        seq, is_new = header.seq, header.seq not in self._contents
        if not is_new and not header.sent_before:
            fail(Section.DELIVERY, f"sent batch {seq} again without sent_before")
        if self.may_miss:
            pass
        elif is_new and seq != self.newest_seq + 1:
            fail(
                Section.DELIVERY,
                f"sent batch {seq} after batch {self.newest_seq}: seqs must have no gaps",
            )
        elif is_new and header.sent_before:
            fail(Section.DELIVERY, f"set sent_before on batch {seq}, which was new")
        self.newest_seq = max(self.newest_seq, seq)

    def _check_credit(self, header: Trajectories) -> None:
        """A batch may be finished under later credit than it was begun with."""
        grants = [grant for grant in self._grants if header.seq <= grant.up_to]
        if not grants:
            fail(Section.DELIVERY, f"began batch {header.seq} without credit for it")
        if not any(grant.min_version <= header.version for grant in grants):
            fail(
                Section.DELIVERY,
                f"began batch {header.seq} with weights {header.version}, although its credit "
                f"requires at least {min(grant.min_version for grant in grants)}",
            )
        longest = max(grant.fragment_steps for grant in grants)
        if header.env_steps > longest:
            fail(
                Section.DELIVERY,
                f"closed batch {header.seq} after {header.env_steps} env steps; "
                f"fragment_steps was {longest}",
            )

    # ---------------------------------------------------------------- content of its batches

    def accept(self, header: Trajectories, payload: Frame) -> None:
        """Checks the content of the next batch in order; skips one that was already checked.

        Raises:
            Violation: it contradicts itself, the manifest or the batches before it.
        """
        if header.seq <= self._watched_up_to:
            return
        self._watched_up_to = header.seq
        manifest = self._manifests[header.run]
        try:
            batch = unpack_batch(payload)
        except RemoteProtocolError as error:
            fail(Section.TRAJECTORIES, f"sent batch {header.seq}, which cannot be decoded: {error}")
        found = find_batch_fault(batch, manifest, header.env_steps)
        if found is not None:
            fail(Section.TRAJECTORIES, f"sent batch {header.seq}, which is invalid: {found}")
        if header.purpose == "train":
            self._episodes.watch(batch, manifest)
