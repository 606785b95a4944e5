"""What a run records while it trains, also on a disk that takes nothing more."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.learner.training.records import RunRecords
from headrace.learner.training.run_folder import (
    CheckpointState,
    IterationMetrics,
    RunFolder,
    Summary,
)
from headrace.protocol.messages import Ledger

STATE = CheckpointState(iteration=1, env_steps=1000, wall_s=1.0, epoch=1)


def metrics(iteration: int) -> IterationMetrics:
    return IterationMetrics(
        iteration=iteration,
        env_steps=1000 * iteration,
        wall_s=float(iteration),
        episode_return_mean=20.0,
        episode_len_mean=20.0,
        policy_lag_mean=0.5,
        queue_env_steps=0,
        wait_s=0.0,
        update_s=0.0,
        batches=Ledger(produced=4, consumed=4),
    )


def summary(stopped_by: str = "running") -> Summary:
    return Summary(
        name="run",
        episode_return_mean=20.0,
        env_steps=1000,
        wall_s=1.0,
        policy_lag_mean=0.5,
        policy_lag_p99=1,
        waiting_share=0.0,
        batches=Ledger(),
        stopped_by=stopped_by,
    )


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run", resume=False)
    folder.open()
    return folder


def clock_of(times_s: list[float]) -> Callable[[], float]:
    return lambda: times_s[0]


def test_rllibs_numbers_and_the_ledger_are_recorded(folder: RunFolder) -> None:
    records = RunRecords(folder, "run", clock_of([0.0]))
    records.add(metrics(1), {"learners/default_policy/entropy": 0.5}, summary)
    folder.close()
    line = json.loads((folder.path / "metrics.jsonl").read_text())
    assert line["rllib"] == {"learners/default_policy/entropy": 0.5}
    assert line["batches"]["consumed"] == 4
    [events] = (folder.path / "tensorboard").glob("events.*")
    written = events.read_bytes()
    for tag in (b"rllib/learners/default_policy/entropy", b"headrace/batches/consumed"):
        assert tag in written


def test_curve_and_summary_are_kept_up_to_date_during_the_run(folder: RunFolder) -> None:
    now_s = [0.0]
    records = RunRecords(folder, "run", clock_of(now_s))
    records.add(metrics(1), {}, summary)
    curve = folder.path / "curve.png"
    assert json.loads((folder.path / "summary.json").read_text())["stopped_by"] == "running"
    first = curve.stat().st_mtime_ns
    now_s[0] = 14.0
    records.add(metrics(2), {}, summary)
    assert curve.stat().st_mtime_ns == first, "drawing takes a while"
    now_s[0] = 15.0
    records.add(metrics(3), {}, summary)
    assert curve.stat().st_mtime_ns > first


def test_a_file_that_cannot_be_written_is_logged_ever_more_rarely_and_ends_nothing(
    folder: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    (folder.path / "metrics.jsonl").symlink_to(folder.path / "unplugged" / "metrics.jsonl")
    records = RunRecords(folder, "run", clock_of([0.0]))
    for iteration in range(1, 9):
        records.add(metrics(iteration), {}, summary)
    lines = [record.getMessage() for record in caplog.records]
    assert "cannot write the metrics of the run; training goes on without" in lines[0]
    assert len(lines) <= 5


def test_a_checkpoint_that_cannot_be_written_is_reported(
    folder: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    records = RunRecords(folder, "run", clock_of([0.0]))

    def fail(path: Path) -> None:
        (path / "weights").symlink_to("/dev/full")
        (path / "weights").write_bytes(bytes(10_000))

    assert not records.checkpoint(STATE, fail)
    assert "cannot write the checkpoint of the run" in caplog.text
    assert "No space left on device" in caplog.text
    assert folder.newest_checkpoint() is None
    assert records.checkpoint(STATE, lambda path: None)
    assert folder.newest_checkpoint() is not None
