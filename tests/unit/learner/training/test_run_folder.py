from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.learner.training.learning_curve import draw_curve
from headrace.learner.training.run_folder import (
    CheckpointState,
    IterationMetrics,
    RunFolder,
    Summary,
)
from headrace.learner.training.run_sections import StopSection
from headrace.learner.training.training_loop import met_criterion
from headrace.protocol.errors import ConfigError, RefusedError, RejectCode
from headrace.protocol.messages import Ledger


def make_metrics(iteration: int = 1, returned: float | None = 20.0) -> IterationMetrics:
    return IterationMetrics(
        iteration=iteration,
        env_steps=1000 * iteration,
        wall_s=float(iteration),
        episode_return_mean=returned,
        episode_len_mean=returned,
        policy_lag_mean=0.5,
        queue_env_steps=0,
        wait_s=0.0,
        update_s=0.0,
        batches=Ledger(produced=1, held=1),
    )


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run", resume=False)
    folder.open()
    return folder


def test_metrics_are_read_back_and_drawn(folder: RunFolder) -> None:
    for iteration in (1, 2, 3):
        folder.add_metrics(make_metrics(iteration, None if iteration == 1 else 20.0), {})
    folder.close()
    assert [line.iteration for line in folder.read_metrics()] == [1, 2, 3]
    assert list((folder.path / "tensorboard").glob("events.*"))
    draw_curve("run", folder.read_metrics(), folder.path / "curve.png")
    assert (folder.path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_is_not_overwritten_by_accident(folder: RunFolder) -> None:
    assert folder.read_metrics() == []
    folder.add_metrics(make_metrics(), {})
    with pytest.raises(ConfigError, match="--resume"):
        RunFolder(folder.path, resume=False)


def test_the_newest_checkpoints_are_kept(folder: RunFolder) -> None:
    assert folder.newest_checkpoint() is None
    for iteration in range(1, 6):
        state = CheckpointState(iteration, 10 * iteration, 1.0, 2)
        folder.keep_checkpoint(*folder.new_checkpoint(state))
    names = sorted(path.name for path in (folder.path / "checkpoints").iterdir())
    assert names == ["000003", "000004", "000005"]
    newest = folder.newest_checkpoint()
    assert newest is not None
    assert newest[1] == CheckpointState(5, 50, 1.0, 2)


def test_the_best_checkpoint_is_kept_beside_the_newest(folder: RunFolder) -> None:
    for iteration, returned in enumerate([None, 5.0, 9.0, 9.0, None, 2.0, 1.0, 3.0], 1):
        state = CheckpointState(iteration, 10 * iteration, 1.0, 2, returned)
        folder.keep_checkpoint(*folder.new_checkpoint(state))
    names = sorted(path.name for path in (folder.path / "checkpoints").iterdir())
    assert names == ["000004", "000006", "000007", "000008"]
    best = folder.best_checkpoint()
    assert best is not None
    assert best[1].episode_return_mean == 9.0


@pytest.mark.parametrize("content", [None, b"{", b'{"iteration": 1}'])
def test_a_folder_that_is_no_checkpoint_is_named(folder: RunFolder, content: bytes | None) -> None:
    checkpoint = folder.path / "checkpoints" / "000001"
    checkpoint.mkdir(parents=True)
    if content is not None:
        (checkpoint / "headrace.json").write_bytes(content)
    with pytest.raises(ConfigError, match="000001 is not a checkpoint of `headrace learner`"):
        folder.newest_checkpoint()


def test_a_folder_is_not_written_before_it_is_opened(folder: RunFolder) -> None:
    folder.add_metrics(make_metrics(), {})
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    resumed = RunFolder(folder.path, resume=True)
    resumed.require_writable()
    assert {p: p.read_bytes() for p in folder.path.rglob("*") if p.is_file()} == before
    folder.add_metrics(make_metrics(2), {})


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = RunFolder(tmp_path / "file" / "run", resume=False)
    for write in (folder.require_writable, folder.open):
        with pytest.raises(ConfigError, match="cannot write the run folder"):
            write()


def test_an_unfinished_checkpoint_is_not_found(folder: RunFolder) -> None:
    folder.new_checkpoint(CheckpointState(1, 1, 1.0, 1))
    assert folder.newest_checkpoint() is None


def test_the_summary_has_the_documented_fields(folder: RunFolder) -> None:
    summary = Summary(
        name="run",
        episode_return_mean=451.0,
        env_steps=80_000,
        wall_s=20.0,
        policy_lag_mean=0.9,
        policy_lag_p99=1,
        waiting_share=0.01,
        batches=Ledger(produced=1, held=1),
        stopped_by="episode_return_mean",
    )
    folder.write_summary(summary)
    folder.write_config({"a": 1})
    written = json.loads((folder.path / "summary.json").read_text())
    assert written["batches"] == {
        "produced": 1,
        "consumed": 0,
        "stale": 0,
        "rejected": 0,
        "dropped": 0,
        "held": 1,
    }
    assert json.loads((folder.path / "config.json").read_text()) == {"a": 1}


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (StopSection(), None),
        (StopSection(episode_return_mean=20.0), "episode_return_mean"),
        (StopSection(episode_return_mean=21.0), None),
        (StopSection(env_steps=1000), "env_steps"),
        (StopSection(wall_s=0.5), "wall_s"),
    ],
)
def test_the_first_criterion_that_is_met_ends_the_run(
    stop: StopSection, reason: str | None
) -> None:
    assert met_criterion(stop, make_metrics()) == reason


def test_an_unknown_return_meets_no_criterion() -> None:
    assert met_criterion(StopSection(episode_return_mean=1.0), make_metrics(1, None)) is None


def test_a_resume_drops_metrics_after_the_checkpoint(folder: RunFolder) -> None:
    for iteration in (1, 2, 3):
        folder.add_metrics(make_metrics(iteration), {})
    with (folder.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"iteration":4,"env_')
    folder.keep_checkpoint(*folder.new_checkpoint(CheckpointState(2, 2000, 2.0, 1)))
    resumed = RunFolder(folder.path, resume=True)
    resumed.open()
    assert [line.iteration for line in resumed.read_metrics()] == [1, 2]


def test_a_superseded_process_cannot_write(folder: RunFolder) -> None:
    checkpoint = folder.new_checkpoint(CheckpointState(2, 2000, 2.0, 1))
    successor = RunFolder(folder.path, resume=True)
    successor.open()
    writes: list[Callable[[], None]] = [
        lambda: folder.add_metrics(make_metrics(1), {}),
        lambda: folder.keep_checkpoint(*checkpoint),
        lambda: folder.write_config({}),
    ]
    for write in writes:
        with pytest.raises(RefusedError, match=r"refused by the run folder .*resumed") as raised:
            write()
        assert raised.value.code is RejectCode.SUPERSEDED
    assert successor.newest_checkpoint() is None
    assert successor.read_metrics() == []
