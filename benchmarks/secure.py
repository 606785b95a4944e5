"""Throughput of a broker with keys, against PUSH connected directly to PULL with CURVE.

Any intermediary must decrypt and encrypt, which takes as much time again as both ends do:
libzmq's own proxy shows the most that this machine can reach.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import zmq

from benchmarks.broker import (
    pull_megabytes_per_s,
    push_when_asked,
    serve_encrypted,
    take_megabytes_per_s,
    through_broker,
    through_proxy,
)
from benchmarks.cartpole import make_batch
from benchmarks.pairs import Row, compare
from benchmarks.processes import pipe, running
from headrace.broker.access.key_folder import KeyFolder, ServerKey
from headrace.protocol.invitation import Invitation
from headrace.protocol.trajectory import pack_batch

_CASES = (("4 KiB", 3, 20), ("64 KiB", 71, 20), ("1 MiB", 58, 400))
_BYTES = 64 * 1024 * 1024
_SMALL_BYTES = 8 * 1024 * 1024


def run() -> list[Row]:
    """Measures each size, through the broker and through a proxy."""
    rows: list[Row] = []
    for name, episodes, steps in _CASES:
        rows += _compare(name, pack_batch(make_batch(episodes, steps)), episodes * steps)
    return rows


def _compare(case: str, payload: bytes, env_steps: int) -> list[Row]:
    total = _BYTES if len(payload) > 8192 else _SMALL_BYTES
    count = max(8, total // len(payload))
    with tempfile.TemporaryDirectory() as folder:
        keys = KeyFolder(Path(folder) / "keys")
        key = keys.create()
        peer = keys.invite("actor", "raw", "tcp://127.0.0.1:1")
        with (
            through_broker(payload, env_steps, keys=keys) as path,
            through_proxy(payload, key, peer) as proxied,
            _raw(payload, key, peer) as raw,
        ):
            return [
                compare(
                    case,
                    "MB/s",
                    lambda: take_megabytes_per_s(path.link, payload, env_steps, count),
                    lambda: pull_megabytes_per_s(*raw, payload, count),
                ),
                compare(
                    f"{case}, libzmq's proxy",
                    "MB/s",
                    lambda: pull_megabytes_per_s(*proxied, payload, count),
                    lambda: pull_megabytes_per_s(*raw, payload, count),
                ),
            ]


@contextmanager
def _raw(
    payload: bytes, key: ServerKey, peer: Invitation
) -> Generator[tuple[Connection, zmq.Socket[bytes]]]:
    to_child, to_parent = pipe()
    source: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PULL)
    serve_encrypted(source, key)
    port = source.bind_to_random_port("tcp://127.0.0.1")
    with running(push_when_asked, f"tcp://127.0.0.1:{port}", payload, to_parent, peer):
        try:
            yield to_child, source
        finally:
            source.close(linger=0)
