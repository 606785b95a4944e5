"""Recovery of a journal after a crash at any point, damage anywhere, or a full disk."""

from __future__ import annotations

import random

import pytest
from support.crashing_files import MemoryFiles, crash_points, make_queued

from headrace.broker.journal.segments import read_segment
from headrace.broker.journal.writer import JournalFullError, JournalWriter
from headrace.broker.state.batch import QueuedBatch

SEED = 4


def recovered(files: MemoryFiles) -> list[QueuedBatch]:
    return JournalWriter(files).recover()[0]


def arrivals(files: MemoryFiles) -> list[int]:
    return [batch.arrival for batch in recovered(files)]


def copy(files: MemoryFiles) -> MemoryFiles:
    return MemoryFiles({name: bytes(data) for name, data in files.content.items()})


@pytest.fixture
def files() -> MemoryFiles:
    return MemoryFiles()


def test_open_batches_are_recovered_in_order(files: MemoryFiles) -> None:
    writer = JournalWriter(files)
    writer.write([make_queued(1, b"one"), make_queued(2, b"two")], [])
    writer.write([make_queued(3, b"three")], [1])
    batches = recovered(copy(files))
    assert [(batch.arrival, bytes(batch.payload)) for batch in batches] == [
        (2, b"two"),
        (3, b"three"),
    ]
    assert all(batch.is_recovered for batch in batches)


def test_numbering_resumes_after_the_highest_number_ever_used(files: MemoryFiles) -> None:
    JournalWriter(files).write([make_queued(41), make_queued(42)], [])
    writer = JournalWriter(files)
    writer.recover()
    writer.write([], [41, 42])
    batches, newest = JournalWriter(copy(files)).recover()
    assert (batches, newest) == ([], 42)


def test_the_oldest_segments_are_deleted_once_all_their_batches_have_ended(
    files: MemoryFiles,
) -> None:
    writer = JournalWriter(files, segment_bytes=1)
    for arrival in range(1, 5):
        writer.write([make_queued(arrival)], [])
    writer.write([], [2])
    assert len(files.names()) == 4
    writer.write([], [1])
    assert files.names()[0].startswith("0000000000000003")
    assert arrivals(copy(files)) == [3, 4]


def test_a_full_journal_accepts_no_batches_until_some_have_ended(files: MemoryFiles) -> None:
    writer = JournalWriter(files, max_bytes=800, segment_bytes=1)
    for arrival in (1, 2, 3):
        writer.write([make_queued(arrival, bytes(50))], [])
    next_one = [make_queued(4, bytes(50))]
    with pytest.raises(JournalFullError):
        writer.write(next_one, [])
    assert writer.size_bytes <= 800
    with pytest.raises(JournalFullError):
        writer.write(next_one, [2])  # which is not in the oldest segment
    writer.write(next_one, [1])
    assert arrivals(copy(files)) == [3, 4]


def test_a_partial_write_is_truncated_and_retried(files: MemoryFiles) -> None:
    writer = JournalWriter(files)
    writer.write([make_queued(1), make_queued(2)], [])
    files.fails = OSError("no space")
    with pytest.raises(OSError, match="no space"):
        writer.write([make_queued(3)], [1])
    assert arrivals(copy(files)) == [1, 2]
    writer.write([make_queued(3)], [])
    assert arrivals(copy(files)) == [2, 3], "the end that could not be written was kept"
    assert files.set_aside_names == []


def write_a_sequence(files: MemoryFiles) -> list[tuple[int, set[int]]]:
    """Writes batches and ends at random.

    Returns, for each completed write, the number of operations so far and the open batches.
    """
    rng = random.Random(SEED)
    writer = JournalWriter(files, segment_bytes=900)
    is_open: set[int] = set()
    states = [(0, is_open)]
    newest = 0
    for _ in range(60):
        arriving = range(newest + 1, newest + 1 + rng.randrange(1, 5))
        newest = arriving[-1]
        ended = [arrival for arrival in sorted(is_open) if rng.random() < 0.4]
        batches = [make_queued(arrival, rng.randbytes(rng.randrange(200))) for arrival in arriving]
        writer.write(batches, ended)
        is_open = is_open - set(ended) | set(arriving)
        states.append((len(files.operations), is_open))
    return states


@pytest.mark.slow
def test_a_crash_at_any_point_loses_no_committed_batch(files: MemoryFiles) -> None:
    states = write_a_sequence(files)
    points = reached = 0
    for count, content in crash_points(files.operations):
        while reached + 1 < len(states) and states[reached + 1][0] <= count:
            reached += 1
        before = states[reached][1]
        after = states[min(reached + 1, len(states) - 1)][1]
        found = set(arrivals(MemoryFiles({name: bytes(data) for name, data in content.items()})))
        where = f"seed {SEED}, after {count} operations"
        assert before & after <= found <= before | after, where
        points += 1
    assert points >= 10_000


def test_a_flipped_bit_is_detected_anywhere(files: MemoryFiles) -> None:
    write_a_sequence(files)
    rng = random.Random(SEED)
    places = 0
    for name in files.names() * 3:
        data = files.read(name)
        for _ in range(4000 // len(files.names())):
            flipped = bytearray(data)
            flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            segment = read_segment(name, bytes(flipped))
            assert segment.damaged_bytes > 0
            places += 1
    assert places >= 2_000


def test_a_damaged_segment_is_set_aside_and_the_rest_recovered(
    files: MemoryFiles, caplog: pytest.LogCaptureFixture
) -> None:
    writer = JournalWriter(files, segment_bytes=150)
    for arrival in range(1, 7):
        writer.write([make_queued(arrival)], [])
    first = files.names()[0]
    files.content[first][-3] ^= 1
    left = arrivals(files)
    assert len(left) == 5
    assert files.set_aside_names == [first]
    assert "is damaged" in caplog.text
    assert arrivals(files) == left, "the rewritten file is intact"
