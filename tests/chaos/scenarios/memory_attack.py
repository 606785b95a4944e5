"""A peer sends an endless message to a broker whose memory is bounded."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from support.raw_zmtp import RawPeer

from chaos.report import Report
from chaos.stage import Stage, judge
from chaos.throughput import Throughput, percentile
from headrace.protocol.endpoints import BrokerAddress

_MIB = 1024 * 1024
_BOUND_MIB = 300
_BACK_WITHIN_S = 2.0


@dataclass(frozen=True)
class Plan:
    """The number of attacks, and the pause between them."""

    attacks: int
    calm_s: float = 4.0
    actors: int = 8
    learners: int = 2
    is_timed: bool = True


SHORT = Plan(attacks=3, is_timed=False)
LONG = Plan(attacks=30)


class Watch:
    """Records the peak memory of the guard's child processes."""

    def __init__(self, guard: psutil.Process) -> None:
        self._guard = guard
        self._stopping = threading.Event()
        self.largest_bytes = 0
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self.thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(0.005):
            try:
                sizes = [child.memory_info().rss for child in self._guard.children()]
            except psutil.NoSuchProcess:
                continue
            self.largest_bytes = max([self.largest_bytes, *sizes])


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Attacks; the broker must be killed in time and restarted, and nothing may be lost."""
    pause = threading.Event()
    with Stage(folder, actors=plan.actors, actors_per_process=4, learners=plan.learners) as stage:
        stage.broker_options = ["--max-memory-mib", str(_BOUND_MIB)]
        stage.start_all(actor={}, learner={})
        assert stage.broker.process is not None
        watch = Watch(psutil.Process(stage.broker.process.pid))
        try:
            for _ in range(plan.attacks):
                pause.wait(plan.calm_s)
                ended_at_s = _attack(stage.address)
                stage.diary.write("fault", "memory", stage.broker.name)
                stage.diary.write("attacked", ended_at_s)
            pause.wait(plan.calm_s)
        finally:
            watch.stop()
        entries = stage.finish()
    findings = judge(entries)
    violations = list(findings.violations)
    if findings.handed_twice:
        violations.append(f"{findings.handed_twice} batches were handed to training twice")
    if findings.sent_twice > findings.open_at_faults:
        violations.append("more batches were sent again than were unacknowledged at the kills")
    largest_mib = watch.largest_bytes / _MIB
    if largest_mib > 1.1 * _BOUND_MIB:
        violations.append(f"the broker took {largest_mib:.0f} MiB")
    back_s = [
        Throughput(entries).recovery_s(entry.fields[0], float("inf"), 1.0)
        for entry in entries
        if entry.kind == "attacked"
    ]
    if plan.is_timed and max(back_s) > _BACK_WITHIN_S:
        violations.append(f"it took {max(back_s):.1f} s until training was fed again")
    figures = {
        "attacks": plan.attacks,
        "largest MiB": round(largest_mib),
        "fed again p50 s": round(percentile(back_s, 0.5), 2),
        "slowest s": round(max(back_s), 2),
    }
    return Report("memory_attack", seed, findings, figures, violations)


def _attack(address: str) -> float:
    """Sends parts until the connection ends; returns the time of its end."""
    peer = RawPeer(BrokerAddress.parse(address).ingest)
    peer.greet()
    assert peer.flood(max_bytes=100_000 * _MIB), "100 GB did not end the connection"
    return time.monotonic()
