"""A process that attacks a broker without a key, or only uses as much CPU time."""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import threading
import time
from collections import deque

import msgspec
from support.raw_zmtp import RawPeer

_HALF_OPEN = 500
_FLOOD_BYTES = 64 * 1024 * 1024


class StrangerPlan(msgspec.Struct, frozen=True):
    """The process's parameters; its one command line argument, as JSON.

    Attributes:
        ports: of the broker; without any it only computes.
        cpu_s: CPU time that the computation uses.
    """

    ports: list[int]
    seed: int
    lasts_s: float
    cpu_s: float = 0.0


def attack(plan: StrangerPlan) -> None:
    """Floods, sends random bytes, and holds half-open handshakes, at random endpoints."""
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


def burn(lasts_s: float, cpu_s: float) -> None:
    """Uses `cpu_s` of a core over `lasts_s`, as an attack would."""
    pause = threading.Event()
    begun_s, rng = time.monotonic(), random.Random(0)
    while (passed_s := time.monotonic() - begun_s) < lasts_s:
        if time.process_time() < cpu_s * passed_s / lasts_s:
            rng.randbytes(10_000)
        else:
            pause.wait(0.002)


def main() -> None:
    plan = msgspec.json.decode(sys.argv[1], type=StrangerPlan)
    if plan.ports:
        attack(plan)
    else:
        burn(plan.lasts_s, plan.cpu_s)


if __name__ == "__main__":
    main()
