"""The cases that a client is tested with, each in a new client process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headrace.deploy.conformance.cases import (
    credit,
    delivery,
    leaving,
    policy,
    presence,
    recording,
    restarts,
)
from headrace.deploy.conformance.harness import Harness


@dataclass(frozen=True)
class Case:
    """One aspect of the protocol that a client must get right.

    Attributes:
        promise: what a conforming client does.
    """

    name: str
    promise: str
    play: Callable[[Harness], None]


CASES = (
    Case("handshake", "sends hello each second until answered, then alive", presence.handshake),
    Case("rubbish", "ignores what it does not understand", presence.rubbish),
    Case("superseded", "stops when a later process uses its id", presence.superseded),
    Case("wire-version", "ignores other versions, stops if refused", presence.wire_version),
    Case("late-weights", "waits for the first weights", policy.late_weights),
    Case("newer-weights", "adopts newer weights and no others", policy.newer_weights),
    Case("lost-weights", "adopts a snapshot in place of lost weights", policy.lost_weights),
    Case("new-epoch", "orders versions by epoch first", policy.new_epoch),
    Case("new-run", "adopts another run whatever its version", policy.new_run),
    Case("credit", "begins no batch without credit", credit.up_to),
    Case("min-version", "waits for the version that credit requires", credit.min_version),
    Case("fragments", "closes batches by steps and by time", credit.fragments),
    Case("cut", "closes a batch when new weights arrive", credit.cut_on_new_weights),
    Case("episodes", "records whole episodes across many batches", recording.episodes),
    Case("evaluation", "runs the episodes of a task greedily", recording.evaluation),
    Case("lost-batch", "resends a batch that was not accepted", delivery.lost_batch),
    Case("gap", "resends from a gap on", delivery.gap),
    Case("full-broker", "keeps batches that are not accepted", delivery.full_broker),
    Case("reject", "continues after a rejected batch", delivery.reject),
    Case("broker-restart", "resends to a new broker what the old held", restarts.broker_restart),
    Case("other-broker", "says hello when a beacon names another broker", restarts.other_broker),
    Case("lost-connection", "asks what arrived before it resends", restarts.lost_connection),
    Case("leaving", "delivers, says goodbye, and is silent", leaving.goodbye),
)
