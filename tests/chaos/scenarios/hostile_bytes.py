"""Every decoder gets hostile bytes, a million times."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgpack_numpy
import msgspec
import psutil
from support.examples import make_manifest

from chaos.hostile import HostileBytes
from chaos.report import Report
from headrace.protocol.batch_layouts import BatchLayouts
from headrace.protocol.compression import decompress
from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.manifest import decode_policy
from headrace.protocol.messages.headers import (
    control_decoder,
    from_learner_decoder,
    ingest_decoder,
    to_learner_decoder,
    weights_decoder,
)
from headrace.protocol.payload import decode_payload
from headrace.protocol.trajectory import unpack_batch
from headrace.protocol.validation import find_batch_fault

_SLOWEST_S = 0.05
_MANIFEST = msgspec.structs.replace(make_manifest(), multi_agent=True)
"""With several agents, a header may claim any number of env steps up to that of the chunks."""
_GROWTH_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Plan:
    """The number of inputs; each goes to one header decoder and all payload decoders."""

    inputs: int


SHORT = Plan(inputs=100_000)
LONG = Plan(inputs=1_000_000)


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Decodes all inputs; the second half after RLlib's patch of msgpack."""
    source = HostileBytes(random.Random(seed))
    headers = (
        ingest_decoder().decode,
        control_decoder().decode,
        weights_decoder().decode,
        from_learner_decoder().decode,
        to_learner_decoder().decode,
    )
    violations: list[str] = []
    layouts = _taught(source.batches)
    read = accepted = 0
    slowest_s = 0.0
    before = after_warm_up = psutil.Process().memory_info().rss
    for number in range(plan.inputs):
        if number == plan.inputs // 10:
            after_warm_up = psutil.Process().memory_info().rss
        if number == plan.inputs // 2:
            msgpack_numpy.patch()
        frames = [source.frame() for _ in range(source.count())]
        begun_s = time.thread_time()
        read += _decode(headers[number % len(headers)], frames, violations)
        for decode in (decode_payload, unpack_batch, decode_policy, partial(decompress, "lz4")):
            read += _decode(decode, frames[0], violations)
        if layouts.accepts(frames[0], 0):
            accepted += 1
            if _decode(_check, frames[0], violations) == 0:
                violations.append(f"accepted by its layout, but invalid: {frames[0]!r:.200}")
        slowest_s = max(slowest_s, time.thread_time() - begun_s)
    growth = psutil.Process().memory_info().rss - after_warm_up
    if slowest_s > _SLOWEST_S:
        violations.append(f"an input took {slowest_s * 1000:.0f} ms")
    if growth > _GROWTH_BYTES:
        violations.append(f"memory grew by {growth / 2**20:.0f} MiB from {before / 2**20:.0f}")
    figures = {
        "inputs": plan.inputs,
        "read as legal": read,
        "accepted by layout": accepted,
        "slowest ms": round(slowest_s * 1000, 1),
        "grown MiB": round(growth / 2**20, 1),
    }
    return Report("hostile_bytes", seed, None, figures, violations)


def _taught(batches: Sequence[bytes]) -> BatchLayouts:
    """Returns the layouts of these batches, which most mutated ones share."""
    layouts = BatchLayouts(_MANIFEST)
    for payload in [*batches, *batches]:
        layouts.learn(payload, unpack_batch(payload))
    return layouts


def _check(payload: bytes) -> None:
    fault = find_batch_fault(unpack_batch(payload), _MANIFEST, 0)
    if fault is not None:
        raise RemoteProtocolError(RejectCode.INVALID_BATCH, fault)


def _decode(decode: Any, given: Any, violations: list[str]) -> int:
    try:
        decode(given)
    except RemoteProtocolError:
        return 0
    except BaseException as error:  # noqa: BLE001 - any other exception is a violation
        violations.append(f"{type(error).__name__}: {error} for {given!r:.200}")
        return 0
    return 1
