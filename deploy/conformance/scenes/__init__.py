"""What is played to a client; each scene with a new process of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headrace.deploy.conformance.scenes import (
    credit,
    delivery,
    leaving,
    policy,
    presence,
    recording,
    restarts,
)
from headrace.deploy.conformance.stage import Stage


@dataclass(frozen=True)
class Scene:
    """One thing that a client has to get right.

    Attributes:
        promise: what a client does that passes.
    """

    name: str
    promise: str
    play: Callable[[Stage], None]


SCENES = (
    Scene("handshake", "hello each second until answered, then alive", presence.handshake),
    Scene("rubbish", "reads past what it does not understand", presence.rubbish),
    Scene("superseded", "stops when another process has its id", presence.superseded),
    Scene("wire-version", "reads no other version, stops when told", presence.wire_version),
    Scene("late-weights", "waits for the first weights", policy.late_weights),
    Scene("newer-weights", "takes newer weights and no others", policy.newer_weights),
    Scene("lost-weights", "takes a snapshot for what was lost", policy.lost_weights),
    Scene("new-epoch", "orders versions by epoch first", policy.new_epoch),
    Scene("new-run", "takes another run whatever its version", policy.new_run),
    Scene("credit", "begins no batch without credit", credit.up_to),
    Scene("min-version", "waits for the weights that credit asks for", credit.min_version),
    Scene("fragments", "closes batches by steps and by time", credit.fragments),
    Scene("cut", "closes a batch when new weights come", credit.cut_on_new_weights),
    Scene("episodes", "records whole episodes over many batches", recording.episodes),
    Scene("evaluation", "runs the episodes of a task greedily", recording.evaluation),
    Scene("lost-batch", "repeats what was not accepted", delivery.lost_batch),
    Scene("gap", "sends again from a gap on", delivery.gap),
    Scene("full-broker", "keeps batches that are not accepted", delivery.full_broker),
    Scene("reject", "goes on after a rejected batch", delivery.reject),
    Scene("broker-restart", "gives a new broker what the old one had", restarts.broker_restart),
    Scene("other-broker", "greets another broker at its beacon", restarts.other_broker),
    Scene("lost-connection", "asks what arrived before it repeats", restarts.lost_connection),
    Scene("leaving", "delivers, says goodbye, and is silent", leaving.goodbye),
)
