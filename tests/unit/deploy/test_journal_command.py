"""The `headrace journal` command."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.crashing_files import make_queued

from headrace.broker.journal.files import JournalFiles
from headrace.broker.journal.writer import JournalWriter
from headrace.deploy.commands.journal import command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = JournalFiles(tmp_path)
    writer = JournalWriter(files, segment_bytes=1)
    for arrival in (1, 2, 3):
        writer.write([make_queued(arrival)], [])
    writer.write([], [2])
    files.close()
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def test_verify_summarises_an_intact_journal(folder: Path) -> None:
    result = run("verify", str(folder))
    assert result.output == "3 segments, 3 batches, 2 of them open\n"
    assert result.exit_code == 0


def test_verify_reports_a_truncated_last_write_without_failing(folder: Path) -> None:
    newest = sorted(folder.iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    result = run("verify", str(folder))
    assert "a write that was cut off" in result.output
    assert result.exit_code == 0


def test_verify_names_a_damaged_segment(folder: Path) -> None:
    oldest = sorted(folder.iterdir())[0]
    oldest.write_bytes(oldest.read_bytes()[:-1] + b"x")
    result = run("verify", str(folder))
    assert f"{oldest.name}: DAMAGED" in result.output
    assert result.exit_code == 1


def test_print_shows_a_line_per_batch(folder: Path) -> None:
    opened = run("print", str(folder)).output.splitlines()
    assert len(opened) == 2
    assert opened[0].startswith("1  a/1  batch 1  run r  version 1.1  5 env steps  7 bytes  open")
    everything = run("print", "--all", str(folder)).output.splitlines()
    assert [line.rpartition("  ")[2] for line in everything] == ["open", "ended", "open"]


def test_a_folder_without_a_journal_is_an_error(tmp_path: Path) -> None:
    assert "holds no journal" in str(run("verify", str(tmp_path)).exception)
