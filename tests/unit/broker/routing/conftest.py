from __future__ import annotations

import pytest
from support.conversation import FakeFleet

from headrace.broker.config import RouterConfig
from headrace.broker.routing.router import Router


@pytest.fixture
def fleet() -> FakeFleet:
    """A router that has heard nothing yet."""
    return FakeFleet(Router(RouterConfig(reclaim_s=1.0), incarnation=77, now_s=0.0))


@pytest.fixture
def running(fleet: FakeFleet) -> FakeFleet:
    """A published policy, and actor "a"."""
    fleet.publish()
    fleet.join("a")
    return fleet
