"""The dead-letter file, and the command that shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from support.examples import RUN, make_payload

from headrace.broker.journal.dead_letters import DeadLetter, DeadLetterFile, read_dead_letters
from headrace.deploy.commands.dead_letters import command
from headrace.protocol.errors import ConfigError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Trajectories


def make_letter(seq: int = 1) -> DeadLetter:
    batch = Trajectories(
        actor="walker-7",
        incarnation=1,
        seq=seq,
        run=RUN,
        version=PolicyVersion(1, 3),
        env_steps=5,
    )
    return DeadLetter(batch, "three learners died", 1_800_000_000.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "letters"


def test_letters_are_read_back_as_written(path: Path) -> None:
    file = DeadLetterFile(path)
    file.add(make_letter(1), b"one")
    file.add(make_letter(2), b"two")
    kept = read_dead_letters(path)
    assert [letter.letter for letter in kept] == [make_letter(1), make_letter(2)]
    assert [bytes(letter.payload) for letter in kept] == [b"one", b"two"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_unwritable_file_only_counts_the_letter_as_lost(tmp_path: Path) -> None:
    file = DeadLetterFile(tmp_path / "missing" / "letters")
    file.add(make_letter(), b"")
    assert file.lost == 1


def test_a_file_stays_within_its_size_limit(path: Path) -> None:
    file = DeadLetterFile(path, max_bytes=1000)
    for seq in range(1, 6):
        file.add(make_letter(seq), bytes(200))
    kept = read_dead_letters(path)
    assert file.lost == 5 - len(kept) > 0
    assert path.stat().st_size <= 1000


def test_any_other_file_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_dead_letters(path)
    path.write_bytes(b"something else")
    with pytest.raises(ConfigError, match="not a dead-letter file"):
        read_dead_letters(path)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, env={"COLUMNS": "200"})


def test_the_command_lists_and_shows_letters(path: Path) -> None:
    file = DeadLetterFile(path)
    rewards = np.array([0.5, 1, 2, 3, 4], np.float32)
    file.add(make_letter(), make_payload(rewards=rewards))
    file.add(make_letter(2), b"rubbish")
    listed = invoke("list", str(path)).output
    assert "walker-7" in listed
    assert "three learners died" in listed
    shown = invoke("show", str(path), "1").output
    assert "batch 1 of actor walker-7" in shown
    assert "chunks of [3, 2] steps" in shown
    assert "0.5" in shown
    assert "cannot be decoded" in invoke("show", str(path), "2").output
    assert "there is no number 3" in str(invoke("show", str(path), "3").exception)
