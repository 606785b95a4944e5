"""The shell blocks of the documentation, typed as they stand."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.commands import Commands
from support.documents import ROOT, Snippet, snippets
from support.examples import RUN, make_payload
from support.shell_blocks import Shells, command_lines

from headrace.broker.journal.dead_letters import DeadLetter, DeadLetterFile
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Trajectories

SHELL = [snippet for snippet in snippets() if snippet.language == "sh"]
PAGES = sorted({snippet.page for snippet in SHELL if snippet.not_run is None})
MAKE_CONFIG = """
from ray.rllib.algorithms.ppo import PPOConfig


def make_config():
    return PPOConfig().environment("CartPole-v1")
"""


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    commands = Commands(tmp_path)
    yield commands
    commands.end()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the pages take for granted."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    shutil.copyfile(ROOT / "examples" / "cartpole.toml", tmp_path / "run.toml")
    (tmp_path / "my_module.py").write_text(MAKE_CONFIG)
    batch = Trajectories(
        actor="walker", incarnation=1, seq=1, run=RUN, version=PolicyVersion(1, 3), env_steps=5
    )
    letter = DeadLetter(batch, "three learners died", 1_800_000_000.0)
    DeadLetterFile(tmp_path / "headrace-dead-letters").add(letter, make_payload())
    return tmp_path


@pytest.mark.slow
@pytest.mark.rllib
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=() if page == "README.md" else pytest.mark.nightly)
        for page in PAGES
    ],
)
def test_the_commands_of_a_page_run(page: str, folder: Path, commands: Commands) -> None:
    lines = [
        words
        for snippet in SHELL
        if snippet.page == page and snippet.not_run is None
        for words in command_lines(snippet.code)
        if words[0] == "headrace"
    ]
    shells = Shells(commands)
    if lines and not any(words[1] == "broker" for words in lines):
        shells.run(["headrace", "broker"])
    for index, words in enumerate(lines):
        shells.run(words)
        following = lines[index + 1] if index + 1 < len(lines) else None
        if following is None or following[1] == "broker":
            shells.wait_until_served()
    shells.stop()


@pytest.mark.parametrize("snippet", SHELL, ids=lambda snippet: f"{snippet.page}-{snippet.number}")
def test_targets_and_extras_exist(snippet: Snippet) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for command, *words in command_lines(snippet.code):
        assert command in ("headrace", "make", "pip", ".ci/run", "export", "ray"), command
        if command == "make":
            assert {word for word in words if "=" not in word} <= targets
        if command == "pip":
            assert Requirement(words[-1]).extras <= set(extras)
