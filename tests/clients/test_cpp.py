"""The C++ client, built and run against real brokers, learners and policy servers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium
import msgspec
import numpy as np
import pytest
from support.examples import RUN
from support.foreign_clients import (
    assert_that_broker_kills_cost_nothing,
    cart_pole_manifest,
    start_guarded,
)
from support.mute_server import MuteServer
from support.running import BrokerThread, Context, Learner, wait_until
from support.serving import ServerThread, chunks_of, one_module, publish
from support.tasks import assert_that_tasks_are_true, take_until

from headrace.deploy.conformance.cases import CASES
from headrace.protocol.messages import Assignment
from headrace.protocol.trajectory import pack_batch, unpack_batch
from headrace.protocol.validation import find_batch_fault

pytestmark = [pytest.mark.rllib, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "actors" / "cpp"
VECTORS = ROOT / "protocol" / "vectors"
REFUSED = 3
CANNOT_RECORD = 2
NO_POLICY = 4


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
    )


def require_toolchain() -> None:
    missing = [tool for tool in ("cmake", "g++", "pkg-config") if shutil.which(tool) is None]
    if not missing and run("pkg-config", "--exists", "libzmq").returncode:
        missing.append("libzmq3-dev")
    if (
        not missing
        and run("g++", "-E", "-x", "c++", "-", input="#include <msgpack.hpp>").returncode
    ):
        missing.append("libmsgpack-cxx-dev")
    if not missing and run("pkg-config", "--exists", "liblz4").returncode:
        missing.append("liblz4-dev")
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"the C++ client cannot be built without {', '.join(missing)}")
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the built client."""
    require_toolchain()
    folder = tmp_path_factory.mktemp("cpp")
    for command in (
        ("cmake", "-S", str(CLIENT), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Debug"),
        ("cmake", "--build", str(folder), "--parallel", "2"),
    ):
        made = run(*command)
        assert made.returncode == 0, made.stdout[-10_000:]
    return folder


@pytest.fixture
def programs(built: Path) -> Path:
    return built / "tests"


@contextmanager
def running(*command: str | Path) -> Generator[subprocess.Popen[str]]:
    """A process that ends with the block, in any case."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


# ------------------------------------------------------------------ by itself


def test_its_own_unit_tests_pass(built: Path) -> None:
    passed = run("ctest", "--test-dir", built, "--output-on-failure")
    assert passed.returncode == 0, passed.stdout


def test_it_writes_the_vectors_byte_for_byte(programs: Path) -> None:
    compared = run(programs / "vectors", VECTORS)
    assert compared.returncode == 0, compared.stdout
    assert "25 of 25 vectors are the same, of 16 of 16 kinds" in compared.stdout


def test_its_cart_pole_moves_like_gymnasiums(programs: Path) -> None:
    rng = np.random.default_rng(1)
    states = rng.uniform(-1.0, 1.0, (500, 4)) * (2.6, 3.0, 0.25, 3.0)
    actions = rng.integers(2, size=500)
    lines = [f"{' '.join(map(repr, s))} {a}" for s, a in zip(states.tolist(), actions, strict=True)]
    traced = run(programs / "cart_pole_trace", input="\n".join(lines)).stdout.splitlines()
    simulator: Any = gymnasium.make("CartPole-v1").unwrapped
    for state, action, line in zip(states, actions, traced, strict=True):
        simulator.reset()
        simulator.state = state
        _, _, terminated, _, _ = simulator.step(int(action))
        *moved, has_fallen = map(float, line.split())
        assert moved == pytest.approx(simulator.state.tolist(), rel=1e-12, abs=1e-14)
        assert bool(has_fallen) == terminated


# ------------------------------------------------------------------ as an actor


def test_it_conforms(programs: Path) -> None:
    command = (programs / "random_actor", "--address", "{broker}", "--seed", "1")
    played = run(sys.executable, "-m", "headrace.deploy", "conformance", "--", *command)
    assert played.returncode == 0, played.stdout
    assert f"{len(CASES)} of {len(CASES)} cases passed" in played.stdout


def test_it_records_batches_that_a_broker_and_a_learner_accept(
    programs: Path, broker: BrokerThread, context: Context
) -> None:
    manifest = cart_pole_manifest()
    with Learner(context, broker.address) as learner:
        learner.publish(1, manifest)
        with running(programs / "random_actor", "--address", broker.address) as actor:
            taken = [batch for _ in range(5) for batch in learner.take(200)]
            learner.confirm()
            actor.send_signal(signal.SIGTERM)
            assert actor.wait(20) == 0
    assert broker.status.ledger.rejected == 0
    for batch in taken:
        trajectories = unpack_batch(batch.payload)
        assert find_batch_fault(trajectories, manifest, batch.lease.env_steps) is None
    assert_that_episodes_are_whole([c for b in taken for c in unpack_batch(b.payload)])


def assert_that_episodes_are_whole(chunks: list[Any]) -> None:
    next_t: dict[str, int] = {}
    for chunk in chunks:
        assert chunk.t_started == next_t.get(chunk.episode_id, 0)
        assert chunk.lookback == min(3, chunk.t_started)
        next_t[chunk.episode_id] = chunk.t_started + chunk.length
        if chunk.is_done:
            assert chunk.episode_return == chunk.episode_length == next_t[chunk.episode_id]


def test_it_compresses_if_the_learner_asks_for_it(
    programs: Path, broker: BrokerThread, context: Context
) -> None:
    manifest = msgspec.structs.replace(cart_pole_manifest(), compression="lz4")
    with Learner(context, broker.address) as learner:
        learner.publish(1, manifest)
        with running(programs / "random_actor", "--address", broker.address):
            taken = learner.take(200)
    assert {batch.lease.compression for batch in taken} == {"lz4"}
    for batch in taken:
        trajectories = batch.unpack()
        assert find_batch_fault(trajectories, manifest, batch.lease.env_steps) is None
        assert len(pack_batch(trajectories)) > len(batch.payload)


def test_it_gets_its_assignment_and_its_batches_name_the_task(
    programs: Path, broker: BrokerThread, context: Context
) -> None:
    with Learner(context, broker.address) as learner:
        learner.link.assign(Assignment(1, "level-3", {"level": 3}, seed=7))
        learner.publish(1, cart_pole_manifest())
        with running(programs / "random_actor", "--address", broker.address) as actor:
            take_until(learner, "level-3")
            learner.link.assign(Assignment(2, "level-4", {"level": 4}))
            later = take_until(learner, "level-4")
            assert {batch.lease.task for batch in learner.take(200)} == {"level-4"}
            actor.send_signal(signal.SIGTERM)
            printed, _ = actor.communicate(timeout=20)
    assert {batch.lease.task for batch in later} <= {"level-3", "level-4"}
    lines = printed.splitlines()
    assert lines[0] == "level-3 level=3 seed=7"
    assert lines[-1] == "level-4 level=4"
    assert set(lines[1:]) <= {"level-3 level=3", "level-4 level=4"}, "the seed came once"


def test_it_ends_when_a_later_process_uses_its_actor_id(
    programs: Path, broker: BrokerThread, context: Context
) -> None:
    command = (programs / "random_actor", "--address", broker.address, "--actor", "walker")
    with Learner(context, broker.address) as learner, running(*command) as first:
        learner.publish(1, cart_pole_manifest())
        wait_until(lambda: broker.status.ledger.produced > 0)
        with running(*command):
            assert first.wait(20) == REFUSED


def test_it_says_which_column_it_cannot_record(
    programs: Path, broker: BrokerThread, context: Context
) -> None:
    with Learner(context, broker.address) as learner:
        learner.publish(1)
        ended = run(programs / "random_actor", "--address", broker.address, timeout=20)
    assert ended.returncode == CANNOT_RECORD
    assert "action_logp" in ended.stdout


def test_it_joins_a_broker_that_requires_keys(
    programs: Path, context: Context, tmp_path: Path, start_broker: Callable[..., BrokerThread]
) -> None:
    guarded, trainer, file = start_guarded(start_broker, tmp_path)
    with Learner(context, guarded.address, invitation=trainer) as learner:
        learner.publish(1, cart_pole_manifest())
        with running(programs / "random_actor", "--join", file):
            assert learner.take(200)[0].lease.actor.startswith("walker.")


@pytest.mark.slow
def test_its_actors_lose_nothing_when_the_broker_is_killed(programs: Path, tmp_path: Path) -> None:
    command = (str(programs / "scripted_actor"),)
    assert_that_broker_kills_cost_nothing(command, tmp_path / "stage")


# ------------------------------------------------------------------ as a thin simulator


@pytest.fixture
def learner(broker: BrokerThread, context: Context) -> Iterator[Learner]:
    with Learner(context, broker.address, run=RUN) as learner:
        publish(learner, one_module())
        yield learner


@pytest.mark.parametrize("truncated", [False, True])
def test_a_policy_server_acts_for_it_and_records_it(
    programs: Path, broker: BrokerThread, learner: Learner, truncated: bool
) -> None:
    with ServerThread(broker.address) as server:
        options = ("--episodes", "8", "--length", "5", "--truncated", str(int(truncated)))
        played = run(
            programs / "thin_simulator", "--endpoint", server.endpoint, *options, timeout=60
        )
        chunks = chunks_of(learner, 30)
    assert played.returncode == 0, played.stdout
    actions = [int(line.split()[2]) for line in played.stdout.splitlines()]
    assert len(actions) == 40
    recorded = np.concatenate([chunk.columns["actions"] for chunk in chunks]).tolist()
    assert recorded == actions[: len(recorded)]
    ended = [chunk for chunk in chunks if chunk.is_done]
    assert {(chunk.episode_return, chunk.truncated) for chunk in ended} == {(5.0, truncated)}
    assert all(chunk.columns["obs"][-1, 0] == 5.0 for chunk in ended)


def test_its_simulator_is_reset_to_its_assignment(
    programs: Path, broker: BrokerThread, learner: Learner
) -> None:
    learner.link.assign(Assignment(1, "level-3", {"level": 3}))
    wait_until(lambda: broker.status.task == "level-3")
    with ServerThread(broker.address) as server:
        options = ("--endpoint", server.endpoint, "--episodes", "8")
        assert run(programs / "thin_simulator", *options, timeout=60).returncode == 0
        batches = learner.take(30)
    assert {batch.lease.task for batch in batches} == {"level-3"}
    assert_that_tasks_are_true(batches)


def test_it_waits_for_a_policy_until_its_patience_ends(programs: Path, context: Context) -> None:
    with MuteServer(context) as server:
        waits = ("--endpoint", server.endpoint, "--patience-s", "0.5", "--waits", "8")
        assert run(programs / "thin_simulator", *waits, timeout=60).returncode == NO_POLICY
        assert server.connections > 1, "short waits in a row make another connection"


def test_it_begins_another_episode_after_a_restart_of_the_server(
    programs: Path, broker: BrokerThread, learner: Learner
) -> None:
    with ServerThread(broker.address, actor="first") as server:
        options = ("--endpoint", server.endpoint, "--episodes", "2", "--length", "2000")
        simulator = subprocess.Popen(
            (programs / "thin_simulator", *options), stdout=subprocess.PIPE, text=True
        )
        assert simulator.stdout is not None
        assert simulator.stdout.readline().startswith("0 0 ")
    with ServerThread(broker.address, actor="second", endpoint=server.endpoint):
        takes_all = threading.Event()
        trainer = threading.Thread(target=_train, args=(learner, takes_all))
        trainer.start()
        played, _ = simulator.communicate(timeout=90)
        takes_all.set()
        trainer.join()
    assert simulator.returncode == 0
    lines = played.splitlines()
    assert "0 unknown" in lines
    assert lines[-1].startswith("1 1999 ")


def _train(learner: Learner, stopping: threading.Event) -> None:
    """Takes all batches, so that there is credit for more."""
    while not stopping.is_set():
        learner.take(160, 0.5)
