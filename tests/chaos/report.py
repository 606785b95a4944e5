"""What a scenario showed, for people and for CI."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from chaos.referee import Findings


@dataclass(frozen=True)
class Report:
    """One run of one scenario; it has passed if nothing was violated."""

    scenario: str
    seed: int
    findings: Findings
    figures: Mapping[str, float]
    violations: list[str]

    def __str__(self) -> str:
        ledger = dataclasses.asdict(self.findings.ledger)
        lines = [
            f"{self.scenario} (seed {self.seed}): {'FAILED' if self.violations else 'passed'}",
            "  " + ", ".join(f"{name} {count:,}" for name, count in ledger.items()),
            f"  handed twice {self.findings.handed_twice} (unexcused {self.findings.unexcused}), "
            f"out of order {self.findings.out_of_order}, sent again {self.findings.sent_twice} "
            f"(open at faults {self.findings.open_at_faults})",
        ]
        if self.figures:
            lines.append(
                "  " + ", ".join(f"{name} {value}" for name, value in self.figures.items())
            )
        return "\n".join([*lines, *(f"  VIOLATION: {text}" for text in self.violations)])
