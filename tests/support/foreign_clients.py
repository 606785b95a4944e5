"""Helpers for the tests of clients in all other languages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from chaos.foreign import ForeignStage
from chaos.referee import Findings
from chaos.stage import judge

from headrace.broker.access.key_folder import KeyFolder
from headrace.protocol.invitation import Invitation
from headrace.protocol.manifest import ColumnSpec, Manifest
from support.examples import make_manifest, make_module
from support.running import BrokerThread

_KILLS = 5
_BETWEEN_KILLS_S = 2.0


def cart_pole_manifest(lookback: int = 3) -> Manifest:
    """Returns the manifest of a run that actors record without a policy graph."""
    columns = (
        ColumnSpec("obs", "float32", (4,)),
        ColumnSpec("actions", "int64", (), 0.0, 1.0),
        ColumnSpec("rewards", "float32", ()),
    )
    return make_manifest(batch=200, module=make_module(columns=columns, lookback=lookback))


def start_guarded(
    start_broker: Callable[..., BrokerThread], folder: Path
) -> tuple[BrokerThread, Invitation, Path]:
    """Returns a broker with keys, a learner's invitation, and `walker`'s invitation file."""
    keys = KeyFolder(folder / "keys")
    keys.create()
    broker = start_broker(keys=keys)
    file = folder / "walker.join"
    file.touch(mode=0o600)
    file.write_text(keys.invite("actor", "walker", broker.address).to_line())
    return broker, keys.invite("learner", "trainer", broker.address), file


def assert_that_broker_kills_cost_nothing(command: Sequence[str], folder: Path) -> None:
    """Kills the broker of two scripted actors five times, and asks the referee."""
    pause = threading.Event()
    with ForeignStage(folder, tuple(command), actors=2) as stage:
        stage.start_all(actor={"pause_s": 0.005}, learner={})
        for _ in range(_KILLS):
            pause.wait(_BETWEEN_KILLS_S)
            stage.broker.kill()
            stage.start_broker()
        pause.wait(_BETWEEN_KILLS_S)
        findings: Findings = judge(stage.finish())
    assert findings.ledger.produced > 100
    assert findings.ledger.lost == 0
    assert findings.handed_twice == 0
    assert findings.sent_twice <= findings.open_at_faults
    assert findings.violations == []
