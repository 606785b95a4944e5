"""The JavaScript client: its own tests, the vectors, and its actors beside real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.foreign_clients import (
    assert_that_broker_kills_cost_nothing,
    cart_pole_manifest,
    start_guarded,
)
from support.mute_server import MuteServer
from support.running import BrokerThread, Context, Learner, wait_until
from support.serving import ServerThread, chunks_of, one_module, publish
from support.tasks import (
    assert_that_tasks_are_true,
    assert_that_tasks_are_true_or_mixed,
    take_until,
)

from headrace.deploy.conformance.cases import CASES
from headrace.protocol.messages import Assignment

ROOT = Path(__file__).parents[2]
RUNTIME = "onnxruntime-node@1.24.3"
INSTALL_S = 300.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a copy of the client outside the tree, with its dependencies."""
    if shutil.which("npm") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("npm is not installed")
        pytest.skip("npm is not installed")
    root = tmp_path_factory.mktemp("js")
    copy = root / "actors" / "js"
    shutil.copytree(ROOT / "actors" / "js", copy, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(ROOT / "protocol" / "vectors", root / "protocol" / "vectors")
    npm(copy, "ci")
    return copy


@pytest.fixture(scope="session")
def package_with_runtime(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with ONNX Runtime, which runs policies."""
    copy = tmp_path_factory.mktemp("js-onnx") / "js"
    shutil.copytree(package, copy, symlinks=True)
    npm(copy, "install", "--save-dev", RUNTIME)  # as an optional peer it would be left out
    return copy


@pytest.fixture
def start(package: Path) -> Iterator[Start]:
    """Starts programs of the package, and kills those that still run."""
    started: list[subprocess.Popen[str]] = []

    def run(program: str, *arguments: str, folder: Path = package) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["node", program, *arguments], cwd=folder, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def learner(broker: BrokerThread, context: Context) -> Iterator[Learner]:
    with Learner(context, broker.address) as learner:
        yield learner


def npm(folder: Path, *arguments: str) -> None:
    # Their install scripts would fetch or build files that the packages contain already.
    options = ["--ignore-scripts", "--no-audit", "--no-fund"]
    run(folder, "npm", *arguments, *options)


def run(folder: Path, *command: str) -> str:
    """Returns the output of a command; fails with it if the command fails."""
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_command_of_the_readme_installs_all_that_a_simulator_imports(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    readme = (ROOT / "actors" / "js" / "README.md").read_text()
    lines = [line for line in readme.splitlines() if line.startswith("    ")]
    [command] = [line.split("#")[0].split() for line in lines if "npm install" in line]
    variable, npm_command, *arguments = command
    assert (variable, npm_command) == ("ONNXRUNTIME_NODE_INSTALL=skip", "npm")
    ignored = shutil.ignore_patterns("node_modules")
    shutil.copytree(ROOT / "actors" / "js", tmp_path / "actors" / "js", ignore=ignored)
    pinned = [RUNTIME if argument == "onnxruntime-node" else argument for argument in arguments]
    npm(tmp_path, *pinned)
    script = (
        "await import('onnxruntime-node'); console.log(typeof (await import('headrace')).Agent)"
    )
    assert run(tmp_path, "node", "--input-type=module", "-e", script) == "function\n"


def test_its_own_tests_pass(package: Path) -> None:
    run(package, "npm", "test")


def test_its_types_hold(package: Path) -> None:
    run(package, "npm", "run", "check")


def test_it_reads_and_writes_the_vectors_byte_for_byte(package: Path) -> None:
    printed = run(package, "node", "tests/vectors.js", str(ROOT / "protocol" / "vectors"))
    assert "25 same, 0 differ" in printed


def test_it_conforms(package: Path) -> None:
    played = run(
        package,
        *(sys.executable, "-m", "headrace.deploy", "conformance", "--"),
        *("node", "tests/random-actor.js", "--address", "{broker}", "--seed", "1"),
    )
    assert f"{len(CASES)} of {len(CASES)} cases passed" in played


def test_no_batch_is_lost_or_trained_on_twice_when_brokers_are_killed(
    package: Path, tmp_path: Path
) -> None:
    command = ("node", str(package / "tests" / "scripted-actor.js"))
    assert_that_broker_kills_cost_nothing(command, tmp_path / "stage")


def test_recorded_batches_are_accepted_and_a_stopped_actor_says_goodbye(
    broker: BrokerThread, learner: Learner, start: Start
) -> None:
    learner.publish(1, cart_pole_manifest(lookback=0))
    actor = start("tests/random-actor.js", "--address", broker.address, "--seed", "1")
    chunks = chunks_of(learner, 600)
    actor.send_signal(signal.SIGTERM)
    assert actor.wait(15) == 0
    assert broker.status.ledger.rejected == 0
    assert all((chunk.columns["rewards"] == 1.0).all() for chunk in chunks)
    ended = [chunk for chunk in chunks if chunk.is_done]
    assert ended
    assert all(chunk.episode_return == chunk.episode_length for chunk in ended)


def test_an_actor_that_is_superseded_ends_with_exit_status_3(
    broker: BrokerThread, learner: Learner, start: Start
) -> None:
    learner.publish(1, cart_pole_manifest(lookback=0))
    arguments = ("tests/random-actor.js", "--address", broker.address, "--actor", "twin")
    former = start(*arguments)
    wait_until(lambda: any(actor.env_steps for actor in broker.status.actors))
    start(*arguments)
    assert former.wait(15) == 3


def test_an_actor_that_was_invited_delivers_to_a_broker_with_keys(
    tmp_path: Path, start_broker: Callable[..., BrokerThread], context: Context, start: Start
) -> None:
    broker, trainer, join = start_guarded(start_broker, tmp_path)
    with Learner(context, broker.address, invitation=trainer) as learner:
        learner.publish(1, cart_pole_manifest(lookback=0))
        actor = start("tests/random-actor.js", "--join", str(join))
        assert chunks_of(learner, 100)
        actor.send_signal(signal.SIGTERM)
        assert actor.wait(15) == 0


@pytest.mark.rllib
def test_a_policy_server_acts_for_a_thin_simulator_and_records_it(
    broker: BrokerThread, learner: Learner, start: Start
) -> None:
    publish(learner, one_module())
    with ServerThread(broker.address) as server:
        played = ended_well(start("tests/thin-simulator.js", "--endpoint", server.endpoint))
    chunks = chunks_of(learner, 30)
    recorded = [int(action) for chunk in chunks for action in chunk.columns["actions"]]
    assert recorded == played["actions"][: len(recorded)]
    ended = [chunk for chunk in chunks if chunk.is_done]
    assert {(chunk.episode_return, chunk.terminated) for chunk in ended} == {(15.0, True)}


@pytest.mark.rllib
def test_a_thin_simulator_begins_another_episode_after_a_restart_of_the_server(
    broker: BrokerThread, learner: Learner, start: Start
) -> None:
    publish(learner, one_module())
    pace = ("--episodes", "1", "--length", "40", "--pause-s", "0.05")
    with ServerThread(broker.address, actor="first") as server:
        simulator = start("tests/thin-simulator.js", "--endpoint", server.endpoint, *pace)
        wait_until(lambda: any(actor.env_steps for actor in broker.status.actors))
    with ServerThread(broker.address, actor="second", endpoint=server.endpoint):
        played = ended_well(simulator)
    assert played["restarts"] == 1
    assert len(played["actions"]) == 40


def ended_well(process: subprocess.Popen[str]) -> Any:
    """Returns the JSON that it printed."""
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return json.loads(output)


@pytest.mark.rllib
def test_an_agent_acts_with_the_learners_graph_and_delivers_what_it_records(
    package_with_runtime: Path, broker: BrokerThread, learner: Learner, start: Start
) -> None:
    publish(learner, one_module())
    arguments = ("--address", broker.address, "--length", "5")
    program = "tests/counting-simulator.js"
    actor = start(program, *arguments, folder=package_with_runtime)
    chunks = chunks_of(learner, 160)
    actor.send_signal(signal.SIGTERM)
    assert actor.wait(15) == 0
    assert broker.status.ledger.rejected == 0
    assert {int(action) for chunk in chunks for action in chunk.columns["actions"]} == {0, 1}
    ended = [chunk for chunk in chunks if chunk.is_done]
    assert {(chunk.episode_return, chunk.terminated) for chunk in ended} == {(15.0, True)}
    assert all(chunk.columns["obs"][-1, 0] == 5.0 for chunk in ended)


@pytest.mark.rllib
def test_an_agent_names_mistakes_of_a_simulator_and_records_what_it_does_right(
    package_with_runtime: Path, broker: BrokerThread, learner: Learner, start: Start
) -> None:
    publish(learner, one_module())
    program = "tests/mistaken-simulator.js"
    actor = start(program, "--address", broker.address, folder=package_with_runtime)
    chunks = chunks_of(learner, 60)
    wait_until(lambda: [status.broken_episodes for status in broker.status.actors] == [1])
    actor.send_signal(signal.SIGTERM)
    errors = ended_well(actor)
    for error, part in zip(
        errors,
        (
            "ConfigError: the simulator's 'obs' is a value of \"0\"",
            "ConfigError: the simulator's 'obs' contains NaN",
            "LocalProtocolError: act() twice",
            "ConfigError: the simulator's reward is null",
            "ConfigError: the simulator's 'terminated' is [false,false]",
            "ConfigError: the simulator's 'obs' is of shape [3]",
        ),
        strict=True,
    ):
        assert error.startswith(part), error
    assert broker.status.ledger.rejected == 0
    ended = [chunk for chunk in chunks if chunk.is_done]
    assert {(chunk.episode_return, chunk.terminated) for chunk in ended} == {(5.0, True)}


def assert_that_the_seed_came_once(resets: list[dict[str, Any]]) -> None:
    """Checks the resets: to level-3 without a seed, then to level-7 with one."""
    tasks = [reset["task"] for reset in resets]
    first = tasks.index("level-7")
    assert tasks == ["level-3"] * first + ["level-7"] * (len(tasks) - first)
    assert [number for number, reset in enumerate(resets) if reset.get("seed") == 5] == [first]
    assert [reset["seed"] for reset in resets if "seed" in reset] == [5]


@pytest.mark.rllib
def test_an_agents_batches_name_the_task_of_their_simulators_resets(
    package_with_runtime: Path, broker: BrokerThread, learner: Learner, start: Start
) -> None:
    learner.link.assign(Assignment(1, "level-3", {"level": 3}))
    publish(learner, one_module())
    program = "tests/levels-simulator.js"
    actor = start(program, "--address", broker.address, folder=package_with_runtime)
    taken = take_until(learner, "level-3")
    learner.link.assign(Assignment(2, "level-7", {"level": 7}, seed=5))
    taken += take_until(learner, "level-7")
    actor.send_signal(signal.SIGTERM)
    assert_that_the_seed_came_once(ended_well(actor))
    assert {batch.lease.task for batch in taken} == {"level-3", "level-7"}
    assert_that_tasks_are_true(taken)
    assert broker.status.ledger.rejected == 0


@pytest.mark.rllib
def test_a_thin_simulator_gets_its_assignment_and_names_the_task(
    broker: BrokerThread, learner: Learner, start: Start
) -> None:
    learner.link.assign(Assignment(1, "level-3", {"level": 3}))
    publish(learner, one_module())
    with ServerThread(broker.address) as server:
        simulator = start(
            *("tests/levels-simulator.js", "--endpoint", server.endpoint),
            *("--until", "level-7", "--episodes", "12"),
        )
        taken = take_until(learner, "level-3")
        learner.link.assign(Assignment(2, "level-7", {"level": 7}, seed=5))
        taken += take_until(learner, "level-7")

        def has_ended() -> bool:
            taken.extend(learner.take(5, timeout_s=0.0))
            return simulator.poll() is not None

        wait_until(has_ended)
        assert_that_the_seed_came_once(ended_well(simulator))
    assert_that_tasks_are_true_or_mixed(taken, 3.0, 7.0)


def test_a_thin_simulator_that_finds_no_policy_in_time_continues_without_one(
    context: Context, start: Start
) -> None:
    nobody = ("--endpoint", "tcp://127.0.0.1:1", "--patience-s", "0.2")
    assert ended_well(start("tests/levels-simulator.js", *nobody)) == []
    with MuteServer(context) as server:
        waits = ("--patience-s", "0.5", "--waits", "8")
        simulator = start("tests/levels-simulator.js", "--endpoint", server.endpoint, *waits)
        assert ended_well(simulator) == []
        assert server.connections > 1, "short waits in a row make another connection"
