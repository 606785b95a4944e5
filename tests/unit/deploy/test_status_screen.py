"""What `headrace status` shows at 80 columns; the screens are kept in `screens/`.

To see or to change them: `HEADRACE_WRITE_SCREENS=1 pytest tests/unit/deploy/test_status_screen.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from support.statuses import make_actor, make_silent, make_status

from headrace.broker.access.policing import QuarantineStatus
from headrace.broker.routing.status import BrokerStatus
from headrace.deploy.merged_status import BrokerPart, merged_status
from headrace.deploy.status_screen import Screen, Selection, Sort, status_lines
from headrace.protocol.messages import Ledger

SCREENS = Path(__file__).parent / "screens"
TERMINAL = Screen(80, 24)


def rejects() -> BrokerStatus:
    reason = "column 'rewards' holds a value that is not finite"
    failing = "its simulator failed and 3 episodes were dropped; see its log"
    return make_status(
        [
            make_actor(0),
            make_actor(1, rejected=4, last_reject=reason),
            make_actor(
                2, rejected=31, last_reject="column 'obs' has dtype float64, the manifest wants"
            ),
            make_actor(3, broken_episodes=3, advice=failing),
            make_actor(4, broken_episodes=3, advice=failing),
            make_actor(5, actor="a-simulator-with-a-very-long-name-on-host-17-4711-a3f2c1"),
        ],
        rejects={"invalid_batch": 35, "malformed": 2},
        quarantined=[QuarantineStatus(name="stranger", left_s=41.0, times=1)],
        task="level-3",
    )


CASES: dict[str, Callable[[], BrokerStatus]] = {
    "5": lambda: make_status([make_actor(n) for n in range(4)] + [make_silent(4, 75.0)]),
    "45": lambda: make_status(
        [make_actor(n) for n in range(40)] + [make_silent(n, n) for n in range(40, 45)]
    ),
    "300": lambda: make_status(
        [make_actor(n) for n in range(280)] + [make_silent(n, n) for n in range(280, 300)]
    ),
    "rejects": rejects,
    "nobody": lambda: make_status([], learners=[], run=None, version=None, ledger=Ledger()),
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


def test_several_brokers_have_a_line_each_and_a_column() -> None:
    fleets = [make_status([make_actor(n) for n in range(first, first + 3)]) for first in (0, 3)]
    fleets[1] = msgspec.structs.replace(fleets[1], version="1.183")
    parts = [
        BrokerPart("1", "10.0.0.1:5560", fleets[0]),
        BrokerPart("2", "10.0.0.2:5560", fleets[1]),
        BrokerPart("3", "10.0.0.3:5560", None),
    ]
    shown = status_lines(merged_status(parts), Selection(), TERMINAL, parts)
    lines = [line.text for line in shown]
    assert all(len(line) <= 80 for line in lines)
    path = SCREENS / "several-brokers.txt"
    if "HEADRACE_WRITE_SCREENS" in os.environ:
        path.write_text("\n".join(lines) + "\n")
    assert "\n".join(lines) + "\n" == path.read_text()


@pytest.mark.parametrize("sort", ["id", "steps", "lag", "produced", "rejected", "silent", "host"])
def test_actors_are_sorted_with_the_live_ones_first(sort: Sort) -> None:
    actors = [make_actor(n, rejected=n % 4) for n in range(12)] + [make_silent(12, 5.0)]
    lines = status_lines(make_status(actors), Selection(sort, "all"), Screen(80))
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
    bad = make_actor(
        1, actor=evil, host=evil, client=evil, rejected=1, last_reject=evil, advice=evil
    )
    quarantined = [QuarantineStatus(name=evil, left_s=1.0, times=1)]
    shown = make_status([bad], run=evil, task=evil, rejects={"other": 1}, quarantined=quarantined)
    for line in status_lines(shown, Selection(), Screen(200)):
        assert "\x1b" not in line.text
