"""Actors that break the rules of the wire, each in one way.

python -m support.broken_clients NAME ADDRESS
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from headrace.actors.connection import session
from headrace.actors.connection.client import Client
from headrace.actors.connection.newest_policy import NewestPolicy
from headrace.actors.connection.session import ActorSession
from headrace.actors.recording.vector_recorder import VectorRecorder
from headrace.actors.simulators.collector import Collector
from headrace.actors.simulators.environments import make_environment
from headrace.deploy.process import on_stop_signal
from headrace.protocol.delivery import Outgoing, Sender
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Snapshot, Weights


def forget_lost_batches() -> None:
    """Assumes that sent batches are delivered."""
    _replace(Sender, "_arm", lambda sender, now_s: None)


def ignore_credit() -> None:
    """Begins a batch whenever there are weights."""

    def may_begin(sender: Sender[Any], version: PolicyVersion) -> bool:
        return sender.credit is not None and version >= sender.credit.min_version

    _replace(Sender, "may_begin", may_begin)
    everything = property(lambda session: 2**40, lambda session, up_to: None)
    _replace(ActorSession, "_permitted_up_to", everything)


def forget_epochs() -> None:
    """Compares only the numbers of versions."""

    def take_higher_numbers(
        newest: NewestPolicy, policy: Any, message: Snapshot | Weights, frame: Any
    ) -> None:
        if newest.version is None or message.version.number > newest.version.number:
            take_weights(newest, policy, message, frame)

    take_weights = _replace(NewestPolicy, "_take", take_higher_numbers)


def forget_lookback() -> None:
    """Sends chunks without their lookback."""

    def begin_without(recorder: VectorRecorder, environments: int, clock: Any, _: int = 0) -> None:
        begin(recorder, environments, clock)

    begin = _replace(VectorRecorder, "__init__", begin_without)


def live_on_when_superseded() -> None:
    """Ignores that another process has taken the actor id."""
    _replace(session, "_FATAL", frozenset())


def repeat_blindly() -> None:
    """Repeats batches as if they had never been sent."""

    def forget_that_it_was_sent(sender: Sender[Any], now_s: float) -> Outgoing[Any] | None:
        due = next_due(sender, now_s)
        return replace(due, sent_before=False) if due is not None else None

    next_due = _replace(Sender, "next_due", forget_that_it_was_sent)


def _replace(owner: Any, name: str, value: Any) -> Any:
    """Returns the replaced value, if any."""
    before = getattr(owner, name, None)
    setattr(owner, name, value)
    return before


DEFECTS: tuple[Callable[[], None], ...] = (
    forget_lost_batches,
    ignore_credit,
    forget_epochs,
    forget_lookback,
    live_on_when_superseded,
    repeat_blindly,
)


def main(name: str, address: str) -> None:
    {defect.__name__: defect for defect in DEFECTS}[name]()
    stop = threading.Event()
    on_stop_signal(stop.set)
    with Client(address) as client:
        Collector(client, make_environment("CartPole-v1", 1, {})).run(stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
