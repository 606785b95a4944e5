"""An earlier run is replaced only once the new one has begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.deploy.former_run import FormerRun, make_folder
from headrace.protocol.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    (made / "summary.json").write_text("former")
    return made


def begin(folder: Path, *, has_begun: bool) -> FormerRun:
    former = FormerRun.set_aside(folder)
    assert former is not None
    make_folder(folder / "logs")
    if has_begun:
        (folder / "config.json").touch()
    return former


def test_it_comes_back_if_the_new_one_has_not_begun(folder: Path) -> None:
    begin(folder, has_begun=False).settle()
    assert (folder / "summary.json").read_text() == "former"
    assert not (folder / "logs").exists()
    assert list(folder.parent.iterdir()) == [folder]


def test_it_goes_once_the_new_one_has_begun(folder: Path) -> None:
    begin(folder, has_begun=True).settle()
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "logs"]
    assert list(folder.parent.iterdir()) == [folder]


def test_it_outlives_runs_that_were_killed_before_they_began(folder: Path) -> None:
    begin(folder, has_begun=False)
    begin(folder, has_begun=False).settle()
    assert (folder / "summary.json").read_text() == "former"


def test_one_that_was_left_behind_goes_with_the_next(folder: Path) -> None:
    begin(folder, has_begun=True)
    begin(folder, has_begun=False).settle()
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "logs"]
    assert list(folder.parent.iterdir()) == [folder]


def test_a_file_in_its_place_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "run"
    file.write_text("no folder")
    begin(file, has_begun=True).settle()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_without_an_earlier_run_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert FormerRun.set_aside(tmp_path / "run") is None


def test_a_folder_that_cannot_be_made_is_an_error(folder: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write the run folder"):
        make_folder(folder / "summary.json" / "logs")
