"""A broker with a journal: real sockets, real files, a real disk that gets full."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.examples import make_batch
from support.running import (
    BrokerThread,
    Context,
    Learner,
    connect,
    first_policy,
    push,
    wait_until,
)

from headrace.broker.journal.files import JournalFiles
from headrace.broker.journal.writer import JournalWriter
from headrace.protocol.messages import Ledger, Totals

Start = Callable[..., BrokerThread]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a file system cannot be mounted here")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def open_seqs(folder: Path) -> list[int]:
    """Returns the seqs that a broker starting now would recover."""
    batches, _ = JournalWriter(JournalFiles(folder)).recover()
    return [batch.header.seq for batch in batches]


def test_an_actor_may_leave_before_the_learner_takes_its_batches(
    tmp_path: Path, context: Context, start_broker: Start
) -> None:
    journal = str(tmp_path / "journal")
    broker = start_broker(journal=journal)
    with Learner(context, broker.address) as learner:
        learner.publish(1)
        with connect(broker, context, "a") as client:
            update = first_policy(client)
            for number in range(3):
                push(client, update, rewards=np.full(5, number, np.float32))
            wait_until(lambda: client.unacknowledged == 0)
            assert client.totals == Totals(stored=3)
    assert broker.status.ledger == Ledger(produced=3, held=3)
    broker.stop()
    broker = start_broker(broker.address, journal=journal)
    assert broker.status.ledger == Ledger(produced=3, held=3)
    with Learner(context, broker.address) as learner:
        learner.publish(1)
        assert [batch.lease.seq for batch in learner.take(15)] == [1, 2, 3]
        learner.confirm()
        wait_until(lambda: broker.status.ledger == Ledger(produced=3, consumed=3))
    broker.stop()
    assert open_seqs(tmp_path / "journal") == []


def test_an_actor_repeats_nothing_after_a_restart_of_the_broker(
    tmp_path: Path, context: Context, start_broker: Start
) -> None:
    journal = str(tmp_path / "journal")
    broker = start_broker(journal=journal)
    with Learner(context, broker.address) as learner, connect(broker, context, "a") as client:
        learner.publish(1)
        update = first_policy(client)
        for _ in range(3):
            push(client, update)
        wait_until(lambda: client.unacknowledged == 0)
        broker.stop()
        broker = start_broker(broker.address, journal=journal)
        push(client, update)
        assert len(learner.take(20)) == 4
        assert sorted(learner.seqs) == [("a", 1), ("a", 2), ("a", 3), ("a", 4)]
        learner.confirm()
        wait_until(lambda: broker.status.ledger.held == 0)
        assert broker.status.ledger.produced == broker.status.ledger.consumed


def test_a_full_disk_pauses_the_fleet_without_loss_until_there_is_space(
    small_disk: Path, context: Context, start_broker: Start
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1 << 20))
    folder = small_disk / "journal"
    broker = start_broker(journal=str(folder))
    payload = make_batch(rewards=np.zeros(5, np.float32))
    with Learner(context, broker.address) as learner, connect(broker, context, "a") as client:
        learner.publish(1)
        update = first_policy(client)
        (small_disk / "more").write_bytes(bytes(_free_bytes(small_disk) - 16_384))
        pushed = 0
        while client.begin(2.0) is not None:
            client.push(payload, update, env_steps=5)
            pushed += 1
        wait_until(lambda: client.unacknowledged > 0)
        assert broker.status.run == "test-run", "the broker does not serve"
        safe = pushed - client.unacknowledged
        assert open_seqs_of_copy(folder, small_disk) >= safe
        ballast.unlink()
        wait_until(lambda: client.unacknowledged == 0, 5.0)
        taken = learner.take(5 * pushed)
        assert [batch.lease.seq for batch in taken] == list(range(1, pushed + 1))


def _free_bytes(folder: Path) -> int:
    report = subprocess.run(
        ["df", "--output=avail", "--block-size=1", str(folder)],
        capture_output=True,
        check=True,
        text=True,
    )
    return int(report.stdout.split()[-1])


def open_seqs_of_copy(folder: Path, disk: Path) -> int:
    """Returns how many batches could be recovered while the broker runs; changes nothing."""
    from headrace.broker.journal.segments import open_batches, read_segment

    files = JournalFiles(folder)
    return len(open_batches(read_segment(name, files.read(name)) for name in files.names()))
