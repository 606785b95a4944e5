"""What `headrace status` shows at 80 columns; the screens are kept in `screens/`.

To see or to change them: `HEADRACE_WRITE_SCREENS=1 pytest tests/unit/deploy/test_status_screen.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.broker.access.policing import QuarantineStatus
from headrace.broker.routing.status import (
    ActorStatus,
    BrokerStatus,
    LearnerStatus,
    TrafficStatus,
)
from headrace.deploy.status_screen import Screen, Selection, Sort, status_lines
from headrace.protocol.messages import LearnerProgress, Ledger

SCREENS = Path(__file__).parent / "screens"
TERMINAL = Screen(80, 24)


def actor(number: int, **changed: Any) -> ActorStatus:
    settings: dict[str, Any] = {
        "actor": f"walker-{number}",
        "host": f"sim-{number % 3}",
        "client": "headrace python",
        "is_live": True,
        "silent_s": 0.4,
        "steps_per_s": 1000.0 + 37 * number,
        "env_steps": 81_920,
        "unrecorded_env_steps": 0,
        "broken_episodes": 0,
        "version": "1.184",
        "policy_lag": number % 2,
        "unarrived": 2,
        "produced": 320 + number,
        "accepted": 320,
        "acknowledged": 318,
        "rejected": 0,
        "stale": 0,
        "last_reject": "",
        "advice": "",
        **changed,
    }
    return ActorStatus(**settings)


def silent(number: int, silent_s: float) -> ActorStatus:
    advice = "silent; check that its process runs and can reach the ingest endpoint"
    return actor(number, is_live=False, silent_s=silent_s, steps_per_s=0.0, advice=advice)


def status(actors: list[ActorStatus], **changed: Any) -> BrokerStatus:
    produced = sum(one.produced for one in actors)
    settings: dict[str, Any] = {
        "run": "walker-ppo",
        "version": "1.184",
        "task": None,
        "uptime_s": 4521.0,
        "queue_batches": 16,
        "queue_env_steps": 4000,
        "queue_bytes": 1 << 20,
        "reserved_env_steps": 8000,
        "fragment_steps": 250,
        "fragment_s": 0.125,
        "actors": actors,
        "learners": [
            LearnerStatus(0, "gpu-1", 0.1, 4000, 16, LearnerProgress(409_600, 100, 1234.5))
        ],
        "ledger": Ledger(produced=produced, consumed=produced - 48, held=48),
        "rejects": {},
        "duplicates": 0,
        "snapshots_sent": len(actors),
        "traffic": TrafficStatus(0, 0, 0, 0, 0.0, 0, 0.0),
        "quarantined": [],
        **changed,
    }
    return BrokerStatus(**settings)


def rejects() -> BrokerStatus:
    reason = "column 'rewards' holds a value that is not finite"
    failing = "its simulator failed and 3 episodes were dropped; see its log"
    return status(
        [
            actor(0),
            actor(1, rejected=4, last_reject=reason),
            actor(2, rejected=31, last_reject="column 'obs' has dtype float64, the manifest wants"),
            actor(3, broken_episodes=3, advice=failing),
            actor(4, broken_episodes=3, advice=failing),
            actor(5, actor="a-simulator-with-a-very-long-name-on-host-17-4711-a3f2c1"),
        ],
        rejects={"invalid_batch": 35, "malformed": 2},
        quarantined=[QuarantineStatus(name="stranger", left_s=41.0, times=1)],
        task="level-3",
    )


CASES: dict[str, Callable[[], BrokerStatus]] = {
    "5": lambda: status([actor(n) for n in range(4)] + [silent(4, 75.0)]),
    "45": lambda: status([actor(n) for n in range(40)] + [silent(n, n) for n in range(40, 45)]),
    "300": lambda: status([actor(n) for n in range(280)] + [silent(n, n) for n in range(280, 300)]),
    "rejects": rejects,
    "nobody": lambda: status([], learners=[], run=None, version=None, ledger=Ledger()),
}


@pytest.mark.parametrize("name", CASES)
def test_a_screen_of_80_columns_and_24_rows_is_as_it_is_kept(name: str) -> None:
    lines = [line.text for line in status_lines(CASES[name](), Selection(), TERMINAL)]
    assert all(len(line) <= 80 for line in lines)
    assert len(lines) < 24
    path = SCREENS / f"{name}.txt"
    if "HEADRACE_WRITE_SCREENS" in os.environ:
        path.write_text("\n".join(lines) + "\n")
    assert "\n".join(lines) + "\n" == path.read_text()


@pytest.mark.parametrize("sort", ["id", "steps", "lag", "produced", "rejected", "silent", "host"])
def test_actors_are_sorted_with_the_live_ones_first(sort: Sort) -> None:
    actors = [actor(n, rejected=n % 4) for n in range(12)] + [silent(12, 5.0)]
    lines = status_lines(status(actors), Selection(sort, "all"), Screen(80))
    names = [line.text.split()[0] for line in lines if line.text.startswith("walker")]
    assert names[-1] == "walker-12"
    first = {"id": 0, "steps": 11, "lag": 1, "produced": 11, "rejected": 3, "silent": 0, "host": 0}
    assert names[0] == f"walker-{first[sort]}"


def test_states_and_hosts_are_chosen() -> None:
    shown = CASES["45"]()
    by_state = {
        state: sum(
            line.text.startswith("walker")
            for line in status_lines(shown, Selection(state=state), Screen(80))
        )
        for state in ("live", "silent", "all")
    }
    assert by_state == {"live": 40, "silent": 5, "all": 45}
    on_one = status_lines(shown, Selection(host="sim-1"), Screen(80))
    assert sum(line.text.startswith("walker") for line in on_one) == 13


def test_rows_that_are_left_out_are_counted() -> None:
    limited = status_lines(CASES["45"](), Selection(limit=3), Screen(80))
    assert any(line.text.startswith("… and 37 more") for line in limited)
    everything = status_lines(CASES["300"](), Selection(), Screen(80))
    assert sum(line.text.startswith("walker") for line in everything) == 280
    assert not any("more" in line.text for line in everything)


def test_a_wide_terminal_shows_host_and_client_too() -> None:
    lines = status_lines(CASES["5"](), Selection(), Screen(160))
    [header] = [line.text for line in lines if line.text.startswith("actor")]
    assert header.split()[-5:] == ["unaccepted", "unrecorded", "broken", "host", "client"]


def test_a_peers_control_characters_do_not_reach_the_terminal() -> None:
    evil = "\x1b[2J"
    bad = actor(1, actor=evil, host=evil, client=evil, rejected=1, last_reject=evil, advice=evil)
    quarantined = [QuarantineStatus(name=evil, left_s=1.0, times=1)]
    shown = status([bad], run=evil, task=evil, rejects={"other": 1}, quarantined=quarantined)
    for line in status_lines(shown, Selection(), Screen(200)):
        assert "\x1b" not in line.text
