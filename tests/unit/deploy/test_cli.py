from __future__ import annotations

import logging
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from support.running import DEADLINE_S

from headrace.deploy import commands, process
from headrace.deploy.cli import exit_code_of, headrace
from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.loopback import require_loopback
from headrace.deploy.progress import LiveProgress, describe, make_progress_view
from headrace.learner.training.run_folder import IterationMetrics
from headrace.protocol.errors import ConfigError, HeadraceError, RefusedError, RejectCode
from headrace.protocol.messages import Ledger

FOLDER = Path(commands.__file__).parent

METRICS = IterationMetrics(
    iteration=3,
    env_steps=12_000,
    wall_s=9.5,
    episode_return_mean=101.26,
    episode_len_mean=101.0,
    policy_lag_mean=None,
    queue_env_steps=4000,
    wait_s=0.1,
    update_s=0.5,
    batches=Ledger(),
)


@pytest.fixture
def signals() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


COMMANDS = headrace.list_commands(click.Context(headrace))
MODULES = {path.stem.replace("_", "-") for path in FOLDER.glob("*.py")} - {"--init--"}


def test_help_lists_every_command_with_examples() -> None:
    text = CliRunner().invoke(headrace, ["--help"]).output
    assert set(COMMANDS) == MODULES
    for name in (*COMMANDS, "Examples:"):
        assert re.search(rf"^  {re.escape(name)}( |$)", text, re.MULTILINE), name


def subcommands(name: str) -> Iterator[click.Command]:
    command = headrace.get_command(click.Context(headrace), name)
    assert command is not None
    yield command
    if isinstance(command, click.Group):
        yield from command.commands.values()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_each_of_its_options(name: str) -> None:
    result = CliRunner().invoke(headrace, [name, "--help"], terminal_width=80)
    assert result.exit_code == ExitCode.OK
    assert max(map(len, result.output.splitlines())) <= 80
    for command in subcommands(name):
        assert command.help, command.name
        options = [option for option in command.params if isinstance(option, click.Option)]
        unexplained = [option.name for option in options if not option.help and not option.hidden]
        assert unexplained == []


def test_environments_in_the_current_folder_are_found(tmp_path: Path) -> None:
    (tmp_path / "here.py").write_text("")
    (tmp_path / "click.py").write_text("raise RuntimeError('not this one')")
    command = Path(sys.executable).parent / "headrace"
    ended = subprocess.run(
        [command, "actor", "--env", "here:Missing-v0"], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == ExitCode.CONFIG
    assert "`Missing` doesn't exist" in ended.stderr


def test_a_mistyped_command_suggests_the_nearest() -> None:
    result = CliRunner().invoke(headrace, ["brokr"])
    assert result.exit_code == ExitCode.USAGE
    assert "did you mean 'broker'?" in result.output


def test_every_error_has_a_named_exit_code() -> None:
    assert exit_code_of(ConfigError("x")) is ExitCode.CONFIG
    assert exit_code_of(HeadraceError("x")) is ExitCode.FAILED
    assert exit_code_of(RefusedError(RejectCode.SUPERSEDED, "x")) is ExitCode.SUPERSEDED
    assert exit_code_of(RefusedError(RejectCode.LEARNER_EXISTS, "x")) is ExitCode.REFUSED


@pytest.mark.parametrize(
    ("address", "is_refused"),
    [
        ("tcp://0.0.0.0:5555", True),
        ("tcp://192.168.1.5:5555", True),
        ("tcp://*:5555", True),
        ("tcp://example.org:5555", True),
    ],
)
def test_an_address_that_other_machines_can_reach_needs_insecure(
    address: str, is_refused: bool
) -> None:
    result = CliRunner().invoke(headrace, ["broker", "--address", address])
    assert isinstance(result.exception, ConfigError) is is_refused
    assert "--insecure" in str(result.exception)


@pytest.mark.parametrize(
    "endpoint", ["tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1", "ipc:///tmp/x"]
)
def test_a_loopback_address_needs_no_option(endpoint: str) -> None:
    require_loopback([endpoint])


@pytest.mark.parametrize("text", ["{", "3", "[1]"])
def test_env_config_must_be_a_json_object(text: str) -> None:
    result = CliRunner().invoke(headrace, ["actor", "--env", "X", "--env-config", text])
    assert isinstance(result.exception, ConfigError)


@pytest.mark.usefixtures("signals")
def test_a_signal_calls_stop() -> None:
    stopped: queue.SimpleQueue[int] = queue.SimpleQueue()
    process.on_stop_signal(lambda: stopped.put(1))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.raise_signal(number)
        assert stopped.get(timeout=DEADLINE_S) == 1


@pytest.mark.usefixtures("signals")
def test_a_signal_may_arrive_while_the_main_thread_holds_the_events_lock() -> None:
    stop = threading.Event()
    process.on_stop_signal(stop.set)
    with stop._cond:  # type: ignore[attr-defined] # as `wait` holds it for a moment
        signal.raise_signal(signal.SIGTERM)
    assert stop.wait(DEADLINE_S)


def test_status_reports_an_unreachable_broker() -> None:
    result = CliRunner().invoke(headrace, ["status", "--http", "127.0.0.1:1"])
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "is it running" in result.output


def test_progress_is_one_line() -> None:
    assert describe(METRICS) == "iteration 3  12,000 env steps  10 s  return 101.3  lag -"


def test_progress_is_logged_where_there_is_no_terminal(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "headrace.learner"), make_progress_view() as view:
        view.show(METRICS)
    assert "12,000 env steps" in caplog.text


def test_progress_is_drawn_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveProgress() as view:
        view.show(METRICS)
    assert capsys.readouterr().out == ""
