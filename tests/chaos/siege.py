"""An honest fleet under attack, against the same fleet while the attackers only use CPU time."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from chaos.diary import Entry
from chaos.report import Report
from chaos.stage import Part, Stage, judge
from chaos.throughput import Throughput

BOUND_MIB = 300
"""The bound of the broker's memory."""
_LEAST_SHARE = 0.8
_CALM_S = 1.0
_MIB = 1024 * 1024


@dataclass(frozen=True)
class SiegePlan:
    """The number and length of the rounds of attack and control."""

    rounds: int
    lasts_s: float = 8.0
    actors: int = 8
    learners: int = 2
    is_timed: bool = True


@dataclass(frozen=True)
class Attackers:
    """Attacking processes and the functions that start them; all end without being stopped.

    Attributes:
        attack: starts round n.
        control: starts the control of round n, in which they only use the given CPU time, in all.
    """

    parts: Sequence[Part]
    attack: Callable[[int], None]
    control: Callable[[int, float], None]


def besiege(stage: Stage, attackers: Attackers, rounds: int) -> int:
    """Runs attack and control in turn; returns the broker's peak memory."""
    largest = 0
    pause = threading.Event()
    assert stage.broker.process is not None
    guard_or_broker = psutil.Process(stage.broker.process.pid)

    def watch(name: str) -> None:
        nonlocal largest
        stage.diary.write("begins", name)
        while not all([part.has_ended for part in attackers.parts]):
            pause.wait(0.02)
            largest = max(largest, _resident_bytes(guard_or_broker))
        stage.diary.write("ends", name)
        pause.wait(_CALM_S)

    for number in range(rounds):
        before_s = _cpu_s_of_the_ended()
        attackers.attack(number)
        watch("attack")
        attackers.control(number, _cpu_s_of_the_ended() - before_s)
        watch("control")
    return largest


def report_of(
    name: str,
    seed: int,
    entries: list[Entry],
    largest_bytes: int,
    *,
    bound_mib: int = BOUND_MIB,
    is_timed: bool,
    more: Mapping[str, int | float] | None = None,
) -> Report:
    """Returns a report of the rate that an honest fleet kept, and of the broker's peak memory."""
    findings = judge(entries)
    violations = list(findings.violations)
    rates = {phase: _rate(entries, phase) for phase in ("attack", "control")}
    share = rates["attack"] / rates["control"]
    if is_timed and share < _LEAST_SHARE:
        violations.append(f"the honest fleet kept {share:.0%} of its rate")
    if largest_bytes > 1.1 * bound_mib * _MIB:
        violations.append(f"the broker took {largest_bytes // _MIB} MiB")
    figures = {
        **(more or {}),
        "batches/s attacked": round(rates["attack"]),
        "batches/s control": round(rates["control"]),
        "kept": round(share, 2),
        "largest MiB": largest_bytes // _MIB,
    }
    return Report(name, seed, findings, figures, violations)


def _cpu_s_of_the_ended() -> float:
    """Returns the CPU time of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _resident_bytes(process: psutil.Process) -> int:
    try:
        parts = [process, *process.children()]
        return max(int(part.memory_info().rss) for part in parts)
    except psutil.NoSuchProcess:  # killed by its guard just now
        return 0


def _rate(entries: Sequence[Entry], name: str) -> float:
    throughput = Throughput(entries)
    begins = [e.at_s for e in entries if e.kind == "begins" and e.fields[0] == name]
    ends = [e.at_s for e in entries if e.kind == "ends" and e.fields[0] == name]
    rates = [throughput.between(begin, end) for begin, end in zip(begins, ends, strict=True)]
    return sum(rates) / len(rates)
