"""The result of a scenario, for readers and for CI."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from chaos.referee import Findings


@dataclass(frozen=True)
class Report:
    """One run of one scenario; it has passed if nothing was violated.

    Attributes:
        findings: the referee's; None without scripted actors.
    """

    scenario: str
    seed: int
    findings: Findings | None
    figures: Mapping[str, float]
    violations: list[str]

    def __str__(self) -> str:
        verdict = "FAILED" if self.violations else "passed"
        lines = [f"{self.scenario} (seed {self.seed}): {verdict}"]
        found = self.findings
        if found is not None:
            ledger = dataclasses.asdict(found.ledger)
            lines += [
                "  " + ", ".join(f"{name} {count:,}" for name, count in ledger.items()),
                f"  handed twice {found.handed_twice} (unexcused {found.unexcused}), "
                f"out of order {found.out_of_order} "
                f"(and {found.late_after_death} after a broker's death), "
                f"sent again {found.sent_twice} "
                f"(unacknowledged at faults {found.open_at_faults})",
            ]
        if self.figures:
            lines.append(
                "  " + ", ".join(f"{name} {value}" for name, value in self.figures.items())
            )
        return "\n".join([*lines, *(f"  VIOLATION: {text}" for text in self.violations)])
