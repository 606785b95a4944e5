"""A process that attacks a broker without a key, or burns as much time and leaves it alone."""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import time
from collections import deque

import msgspec
from support.raw_zmtp import RawPeer

_HALF_OPEN = 500
_FLOOD_BYTES = 64 * 1024 * 1024


class StrangerPlan(msgspec.Struct, frozen=True):
    """What it does; its one command line argument, as JSON.

    Attributes:
        ports: of the broker; without any it only computes.
    """

    ports: list[int]
    seed: int
    lasts_s: float


def attack(plan: StrangerPlan) -> None:
    """Floods, sends rubbish, and holds half-open handshakes, at every endpoint in turn."""
    rng = random.Random(plan.seed)
    half_open: deque[socket.socket] = deque(maxlen=_HALF_OPEN)
    end_s = time.monotonic() + plan.lasts_s
    while time.monotonic() < end_s:
        port = rng.choice(plan.ports)
        with contextlib.suppress(OSError):
            match rng.randrange(3):
                case 0:
                    peer = RawPeer(f"tcp://127.0.0.1:{port}")
                    peer.greet("PUSH")
                    peer.flood(_FLOOD_BYTES)
                case 1:
                    with socket.create_connection(("127.0.0.1", port), timeout=1.0) as tcp:
                        tcp.sendall(rng.randbytes(100_000))
                case _:
                    half_open.append(socket.create_connection(("127.0.0.1", port), timeout=1.0))


def burn(plan: StrangerPlan) -> None:
    """Takes a core, as the attack would."""
    end_s = time.monotonic() + plan.lasts_s
    rng = random.Random(plan.seed)
    while time.monotonic() < end_s:
        rng.randbytes(100_000)


def main() -> None:
    plan = msgspec.json.decode(sys.argv[1], type=StrangerPlan)
    (attack if plan.ports else burn)(plan)


if __name__ == "__main__":
    main()
