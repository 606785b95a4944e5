"""Batches that actors compress because the manifest says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from support.examples import make_batch, make_manifest, make_payload
from support.running import (
    DEADLINE_S,
    BrokerThread,
    Context,
    Learner,
    connect,
    first_policy,
    push,
    wait_until,
)

from headrace.protocol.manifest import Manifest


def make_compressing() -> Manifest:
    return msgspec.structs.replace(make_manifest(), compression="lz4")


def test_a_batch_is_sent_compressed_and_unpacked_by_the_learner(
    broker: BrokerThread, context: Context
) -> None:
    with Learner(context, broker.address) as learner, connect(broker, context, "a") as client:
        learner.publish(1, make_compressing())
        update = first_policy(client)
        push(client, update)
        [batch] = learner.take(5)
        assert batch.lease.compression == "lz4"
        assert len(batch.payload) < len(make_payload())
        for sent, taken in zip(make_batch(), batch.unpack(), strict=True):
            assert taken.columns.keys() == sent.columns.keys()
            for name, values in sent.columns.items():
                np.testing.assert_array_equal(taken.columns[name], values)
        assert broker.status.traffic.accepted_bytes == len(batch.payload)


def test_compressed_batches_survive_in_the_journal(
    start_broker: Callable[..., BrokerThread], context: Context, tmp_path: Path
) -> None:
    first = start_broker(journal=str(tmp_path))
    with Learner(context, first.address) as learner:
        learner.publish(1, make_compressing())
        with connect(first, context, "a") as client:
            push(client, first_policy(client))
            wait_until(lambda: client.totals.stored == 1)
        first.stop()
        start_broker(first.address, journal=str(tmp_path))
        [batch] = learner.take(5, DEADLINE_S)
        assert batch.lease.compression == "lz4"
        assert [chunk.length for chunk in batch.unpack()] == [3, 2]
