from __future__ import annotations

import logging
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.running import DEADLINE_S

from headrace.deploy import process
from headrace.deploy.cli import exit_code_of, headrace
from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.loopback import require_loopback
from headrace.deploy.progress import LiveProgress, describe, make_progress_view
from headrace.learner.training.run_folder import IterationMetrics
from headrace.protocol.errors import ConfigError, HeadraceError, RefusedError, RejectCode
from headrace.protocol.messages import Ledger

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


def test_help_lists_every_command_with_examples() -> None:
    text = CliRunner().invoke(headrace, ["--help"]).output
    for name in ("broker", "learner", "actor", "status", "up", "Examples"):
        assert name in text


@pytest.mark.parametrize("name", ["broker", "learner", "actor", "status", "up"])
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(headrace, [name, "--help"])
    assert result.exit_code == ExitCode.OK
    assert "--help" in result.output


def test_environments_of_the_present_folder_are_found(tmp_path: Path) -> None:
    (tmp_path / "here.py").write_text("")
    (tmp_path / "click.py").write_text("raise RuntimeError('not this one')")
    command = Path(sys.executable).parent / "headrace"
    ended = subprocess.run(
        [command, "actor", "--env", "here:Missing-v0"], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == ExitCode.CONFIG
    assert "`Missing` doesn't exist" in ended.stderr


def test_a_mistyped_command_is_answered_with_the_nearest() -> None:
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
def test_an_address_that_others_can_reach_needs_a_word(address: str, is_refused: bool) -> None:
    result = CliRunner().invoke(headrace, ["broker", "--address", address])
    assert isinstance(result.exception, ConfigError) is is_refused
    assert "--insecure" in str(result.exception)


@pytest.mark.parametrize(
    "endpoint", ["tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1", "ipc:///tmp/x"]
)
def test_an_address_of_this_machine_needs_none(endpoint: str) -> None:
    require_loopback([endpoint])


@pytest.mark.parametrize("text", ["{", "3", "[1]"])
def test_environment_settings_have_to_be_a_json_object(text: str) -> None:
    result = CliRunner().invoke(headrace, ["actor", "--env", "X", "--env-config", text])
    assert isinstance(result.exception, ConfigError)


@pytest.mark.usefixtures("signals")
def test_a_signal_stops_what_was_asked_to_stop() -> None:
    stopped: queue.SimpleQueue[int] = queue.SimpleQueue()
    process.on_stop_signal(lambda: stopped.put(1))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.raise_signal(number)
        assert stopped.get(timeout=DEADLINE_S) == 1


@pytest.mark.usefixtures("signals")
def test_a_signal_may_come_while_somebody_begins_to_wait_for_what_it_sets() -> None:
    stop = threading.Event()
    process.on_stop_signal(stop.set)
    with stop._cond:  # type: ignore[attr-defined] # as `wait` holds it for a moment
        signal.raise_signal(signal.SIGTERM)
    assert stop.wait(DEADLINE_S)


def test_status_says_when_no_broker_answers() -> None:
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
