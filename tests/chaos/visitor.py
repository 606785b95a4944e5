"""A process that opens a number of connections, and sends nothing more."""

from __future__ import annotations

import contextlib
import sys
import threading
import time

import msgspec
from support.raw_zmtp import RawPeer

from chaos.stranger import burn
from headrace.deploy.process import raise_open_files_limit

_TYPES = {"ingest": "PUSH", "control": "SUB", "weights": "SUB", "learner": "DEALER"}


class VisitorPlan(msgspec.Struct, frozen=True):
    """The process's parameters; its one command line argument, as JSON.

    Attributes:
        endpoints: of the broker, by name; without any it only computes.
        cpu_s: CPU time that the computation uses.
    """

    endpoints: dict[str, str]
    connections: int
    lasts_s: float
    cpu_s: float = 0.0


def visit(plan: VisitorPlan) -> None:
    """Connects to all endpoints in turn, with a complete handshake, and stays connected."""
    raise_open_files_limit()
    end_s = time.monotonic() + plan.lasts_s
    peers: list[RawPeer] = []
    endpoints = list(plan.endpoints.items())
    pause = threading.Event()
    while time.monotonic() < end_s:
        if len(peers) == plan.connections:
            pause.wait(0.1)
            continue
        name, endpoint = endpoints[len(peers) % len(endpoints)]
        try:
            peer = RawPeer(endpoint)
        except OSError:  # the broker accepts no connections now
            pause.wait(0.1)
            continue
        peers.append(peer)
        with contextlib.suppress(OSError):
            peer.greet(_TYPES[name])
    print(f"{len(peers)} connections")
    for peer in peers:
        peer.close()


def main() -> None:
    plan = msgspec.json.decode(sys.argv[1], type=VisitorPlan)
    if plan.endpoints:
        visit(plan)
    else:
        burn(plan.lasts_s, plan.cpu_s)


if __name__ == "__main__":
    main()
