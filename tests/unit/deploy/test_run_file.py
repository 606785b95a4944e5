from __future__ import annotations

from pathlib import Path

import pytest

from headrace.deploy.commands.learner import plan_of
from headrace.deploy.run_file import read_run_file
from headrace.learner.training.run_sections import BoxSpace
from headrace.protocol.errors import ConfigError

ROOT = Path(__file__).parents[3]
RUN = """
[run]
name = "try"
seed = 3
[environment]
id = "CartPole-v1"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").rglob("*.toml")), ids=lambda path: path.name
)
def test_every_shipped_run_file_is_valid(path: Path) -> None:
    assert read_run_file(path).run.name


def test_omitted_keys_have_defaults(tmp_path: Path) -> None:
    run = read_run_file(write(tmp_path, RUN))
    assert (run.learner.algorithm, run.actors.count) == ("PPO", 1)
    assert run.broker.address == "tcp://127.0.0.1:5555"


def test_an_editors_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert read_run_file(write(tmp_path, "\ufeff" + RUN)).run.name == "try"


def test_spaces_may_stand_in_for_an_environment(tmp_path: Path) -> None:
    text = RUN.replace(
        'id = "CartPole-v1"',
        'observation_space = { type = "box", shape = [4] }\n'
        'action_space = { type = "discrete", n = 2 }',
    )
    assert read_run_file(write(tmp_path, text)).environment.observation_space == BoxSpace((4,))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("[actor]\ncount = 2", r"unknown key 'actor'; did you mean 'actors'\?"),
        ("[actors]\ncout = 2", r"\[actors\]: unknown key 'cout'; did you mean 'count'\?"),
        ("[run.stop]\nreturn = 3", r"\[run\] \[stop\]: unknown key 'return'"),
        ("[actors]\ncount = 'two'", r"\[actors\] count: Expected `int`"),
        ("[broken", "cannot read"),
    ],
)
def test_a_mistake_is_reported_with_a_correction(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_run_file(write(tmp_path, RUN + more))


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "", ".hidden", "with space"])
def test_a_runs_name_must_be_a_folder_name_within_runs(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"\[run\] name"):
        read_run_file(write(tmp_path, RUN.replace('"try"', f'"{name}"')))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        read_run_file(tmp_path / "none.toml")


def test_command_line_options_override_the_run_file(tmp_path: Path) -> None:
    run = read_run_file(write(tmp_path, RUN))
    others = ("tcp://other:1", "tcp://other:9")
    plan = plan_of(run, others, 9, Path("runs"), resume=True)
    assert (plan.addresses, plan.run.seed, plan.folder) == (others, 9, "runs/try")
    assert plan_of(run, [",".join(others)], 9, Path("runs"), resume=True).addresses == others
    assert plan_of(run, (), None, Path("runs"), resume=False).run.seed == 3
