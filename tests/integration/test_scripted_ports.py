"""The ports of the conformance kit's scripted broker."""

from __future__ import annotations

import random
from typing import Any

import pytest
from support.running import Context

from headrace.broker.transport.sockets import bind_sockets
from headrace.deploy.conformance import ports
from headrace.deploy.conformance.ports import Ports


def test_no_other_scripted_broker_takes_the_ports_of_one_that_rebinds(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = random.SystemRandom().randrange(20_000, 29_000)
    print(f"first port {start}")
    rebinding = Ports(context, start)
    number = int(rebinding.address.rpartition(":")[2])
    others: list[Ports] = []

    def bind_after_others(*arguments: Any) -> Any:
        monkeypatch.undo()
        others.extend(Ports(context, number + shift) for shift in range(-3, 4))
        return bind_sockets(*arguments)

    monkeypatch.setattr(ports, "bind_sockets", bind_after_others)
    rebinding.rebind()
    assert len(others) == 7
    for each in (rebinding, *others):
        each.close()
