from __future__ import annotations

from typing import Any

import msgspec
from rich.console import Console
from support.conversation import FakeFleet

from headrace.broker.config import RouterConfig
from headrace.broker.routing.router import Router
from headrace.broker.routing.status import BrokerStatus
from headrace.deploy.status_view import render_status
from headrace.protocol.messages import LearnerProgress, Pull


def draw(status: BrokerStatus) -> str:
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(render_status(status))
    return console.export_text()


def make_fleet() -> FakeFleet:
    fleet = FakeFleet(Router(RouterConfig(), 1, 0.0))
    fleet.publish()
    fleet.join("sim-1")
    return fleet


def test_actors_learner_and_ledger_are_shown() -> None:
    fleet = make_fleet()
    fleet.push("sim-1", 1)
    progress = LearnerProgress(12_000, 3, 101.5)
    fleet.learner(Pull(session=1, lease_up_to_steps=0, confirmed=0, progress=progress))
    text = draw(fleet.router.status(1.0))
    for part in ("sim-1", "policy 1.1", "iteration 3", "return 101.5", "1 produced = 0 consumed"):
        assert part in text


def test_a_missing_learner_is_shown() -> None:
    text = draw(Router(RouterConfig(), 1, 0.0).status(0.0))
    assert "none is connected" in text


def test_rejects_and_advice_are_shown() -> None:
    fleet = make_fleet()
    fleet.push("sim-1", 1, payload=b"\xc1")
    fleet.pass_time(6.0)
    text = draw(fleet.router.status(fleet.now_s))
    assert "rejects  malformed 1" in text
    assert "sim-1: silent" in text


def test_a_large_fleet_is_truncated() -> None:
    fleet = make_fleet()
    for index in range(50):
        fleet.join(f"more-{index}")
    assert "… and 11 more" in draw(fleet.router.status(0.0))


def test_a_peers_control_characters_do_not_reach_the_terminal() -> None:
    status = make_fleet().router.status(0.0)
    [actor] = status.actors
    evil: Any = msgspec.structs.replace(actor, last_reject="\x1b[2J")
    assert "\x1b[2J" not in draw(msgspec.structs.replace(status, actors=[evil]))
