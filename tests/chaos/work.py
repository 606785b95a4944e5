"""Checks that training continues after the last fault."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.diary import Entry


def idle_learners(entries: Sequence[Entry], learners: int) -> list[str]:
    """Returns a sentence for each worker that was handed nothing after the last fault."""
    last_fault_s = max(entry.at_s for entry in entries if entry.kind == "fault")
    working = {
        entry.fields[0] for entry in entries if entry.kind == "handed" and entry.at_s > last_fault_s
    }
    return [
        f"learner {worker} got nothing after the last fault"
        for worker in range(learners)
        if worker not in working
    ]
