"""The commands as a person starts them: separate processes, any order, kill and restart."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from support import survivors
from support.commands import LEARNER, Commands, children_of, versions_in, wait_for_end
from support.running import wait_until

from headrace.deploy.cores import usable_cores
from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.status_view import fetch_status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

TRAINED_S = 240.0
"""Time for a learner to start, train a little and stop, on a busy machine."""


def test_a_broker_serves_until_sigterm(commands: Commands) -> None:
    broker, _, url = commands.start_broker()
    status = subprocess.run(
        [sys.executable, "-m", "headrace.deploy", "status", "--http", url, "--json"],
        capture_output=True,
    )
    assert status.returncode == ExitCode.OK
    assert json.loads(status.stdout)["actors"] == []
    plain = subprocess.run(
        [sys.executable, "-m", "headrace.deploy", "status", "--http", url], capture_output=True
    )
    assert b"none is connected" in plain.stdout
    broker.send_signal(signal.SIGTERM)
    assert broker.wait(10) == ExitCode.OK
    assert "stopped" in commands.text("broker")


def test_a_second_broker_at_an_address_fails_with_a_clear_error(commands: Commands) -> None:
    _, address, _ = commands.start_broker()
    second = commands.start("second", "broker", "--address", address, "--http", "")
    assert second.wait(20) == ExitCode.CONFIG
    assert "another broker" in commands.text("second")


def test_a_mistake_in_the_run_file_is_reported_at_once(commands: Commands) -> None:
    commands.write_run("episode_return = 100")
    learner = commands.start("learner", "learner", "run.toml")
    assert learner.wait(20) == ExitCode.CONFIG
    assert "did you mean 'episode_return_mean'?" in commands.text("learner")


def test_an_actor_reports_an_unknown_environment(commands: Commands) -> None:
    actor = commands.start("actor", "actor", "--env", "NoSuchThing-v0")
    assert actor.wait(20) == ExitCode.CONFIG
    assert "NoSuchThing-v0" in commands.text("actor")


SLOW_RESET = """
import pathlib, time
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

class Slow(CartPoleEnv):
    def reset(self, **given):
        pathlib.Path("resetting").touch()
        {wait}

gymnasium.register("Slow-v0", Slow)
"""
WAITS = {
    "asleep": "time.sleep(300)",
    "in-c": "import threading; lock = threading.Lock(); lock.acquire(); [x for x in iter(int, 1)]",
    "deaf": """
        while True:
            try:
                time.sleep(300)
            except BaseException:
                pass
""",
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_an_actor_is_stopped_in_the_middle_of_a_slow_reset(commands: Commands, wait: str) -> None:
    (commands.folder / "slow.py").write_text(SLOW_RESET.replace("{wait}", wait))
    actor = commands.start("actor", "actor", "--env", "slow:Slow-v0")
    wait_until(lambda: (commands.folder / "resetting").exists(), 60)
    actor.terminate()
    assert actor.wait(15) == ExitCode.OK, commands.text("actor")
    assert "Traceback" not in commands.text("actor")


def test_parts_started_by_hand_in_any_order_train(commands: Commands) -> None:
    commands.write_run("env_steps = 12_000")
    first, address, _ = commands.start_broker()
    first.terminate()
    first.wait(10)
    learner = commands.start("learner", "learner", "run.toml", "--broker", address)
    wait_until(lambda: "waiting for a broker" in commands.text("learner"), 60)
    first_actor_s = time.monotonic()
    commands.start("actor-1", "actor", "--broker", address, "--id", "one")
    _, again, url = commands.start_broker(address)
    assert again == address
    commands.start("actor-2", "actor", "--broker", address, "--env", "CartPole-v1")
    assert learner.wait(TRAINED_S) == ExitCode.OK
    summary = commands.summary
    assert 0 < summary["wall_s"] < time.monotonic() - first_actor_s, "it counts from the first data"
    batches = summary["batches"]
    ended = sum(batches[name] for name in ("consumed", "stale", "rejected", "dropped", "held"))
    assert batches["produced"] == ended > 0
    assert summary["env_steps"] >= 12_000
    assert summary["policy_lag_mean"] <= 1.5
    assert len(fetch_status(url).actors) == 2


def test_a_second_learner_is_refused_before_it_starts_ray(commands: Commands) -> None:
    commands.write_run("env_steps = 100_000_000")
    _, address, url = commands.start_broker()
    commands.start("first", "learner", "run.toml", "--broker", address)
    wait_until(lambda: fetch_status(url).learners, 60)
    commands.run_file.write_text(commands.run_file.read_text().replace('"try"', '"other"'))
    second = commands.start("second", "learner", "run.toml", "--broker", address)
    started: set[str] = set()
    while second.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            started |= {child.name() for child in children_of(second)}
    assert second.returncode == ExitCode.REFUSED
    assert "already trains run 'try'" in commands.text("second")
    assert not started & {"gcs_server", "raylet"}
    assert not list((commands.folder / "runs" / "other").glob("*"))


@pytest.mark.rllib
def test_actors_follow_the_next_run_into_another_environment(commands: Commands) -> None:
    _, address, url = commands.start_broker()

    def train(run: str, environment: str) -> int:
        commands.write_run("env_steps = 3000", environment=f'id = "{environment}"')
        commands.run_file.write_text(commands.run_file.read_text().replace('"try"', f'"{run}"'))
        return commands.start(run, "learner", "run.toml", "--broker", address).wait(TRAINED_S)

    def waits(actor: str) -> bool:
        return "waiting for a learner: the broker has none" in commands.text(actor)

    early = commands.start("early", "actor", "--broker", address)
    wait_until(lambda: waits("early"), 60)
    assert train("poles", "CartPole-v1") == ExitCode.OK
    late = commands.start("late", "actor", "--broker", address)
    wait_until(lambda: waits("late"), 60)
    assert train("links", "Acrobot-v1") == ExitCode.OK
    assert (early.poll(), late.poll()) == (None, None)
    rejected = [actor.rejected for actor in fetch_status(url).actors if actor.is_live]
    assert rejected == [0, 0]
    for name in ("early", "late"):
        assert versions_in(commands.text(name))[-1] >= (2, 0)


def test_a_run_continues_after_restarts_of_broker_and_learner(commands: Commands) -> None:
    commands.write_run("env_steps = 25_000")
    broker, address, url = commands.start_broker()
    actor = commands.start("actor", "actor", "-v", "--broker", address, "--env", "CartPole-v1")
    learner = commands.start("learner-1", "learner", "run.toml", "--broker", address)
    wait_until(lambda: fetch_status(url).ledger.consumed > 20, 60)
    broker.terminate()
    assert broker.wait(20) == ExitCode.OK
    broker, _, url = commands.start_broker(address)
    wait_until(lambda: fetch_status(url).ledger.consumed > 40, 60)
    learner.send_signal(signal.SIGTERM)
    assert learner.wait(60) == ExitCode.OK
    before = commands.summary
    assert before["stopped_by"] == "request"
    resumed = commands.start("learner-2", "learner", "run.toml", "--broker", address, "--resume")
    assert resumed.wait(TRAINED_S) == ExitCode.OK
    assert commands.summary["env_steps"] >= 25_000 > before["env_steps"]
    lines = (commands.folder / "runs" / "try" / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["env_steps"] for line in lines]
    assert steps == sorted(set(steps))
    iterations = [json.loads(line)["iteration"] for line in lines]
    assert iterations == list(range(1, len(lines) + 1))
    assert actor.poll() is None
    versions = versions_in(commands.text("actor"))
    assert versions == sorted(versions)
    epochs = {epoch for epoch, _ in versions}
    assert len(epochs) == 2
    restored = [number for epoch, number in versions if epoch == max(epochs)]
    assert min(restored) > 1, "an actor acted with initial weights after the restore"


REMOTE_PPO = (
    LEARNER
    + """
[learner.env_runners]
num_env_runners = 2

[learner.evaluation]
evaluation_interval = 2
evaluation_duration = 2
"""
)
REMOTE_APPO = """
[learner]
algorithm = "APPO"
env_runners = { num_env_runners = 1, create_local_env_runner = false }
learners = { num_learners = 0 }
"""


@pytest.mark.nightly
@pytest.mark.parametrize(
    "learner",
    [
        pytest.param(REMOTE_PPO, id="ppo"),
        pytest.param(REMOTE_APPO, id="appo-without-local"),
    ],
)
def test_a_learner_with_remote_runners_trains_stops_while_it_waits_and_resumes(
    commands: Commands, learner: str
) -> None:
    commands.write_run("env_steps = 12_000", learner)
    sessions = 1 + (2 if learner == REMOTE_PPO else 1)
    _, address, url = commands.start_broker()
    actor = commands.start("actor", "actor", "--broker", address)
    first = commands.start("learner-1", "learner", "run.toml", "--broker", address)
    wait_until(lambda: fetch_status(url).ledger.consumed > 20, TRAINED_S)
    wait_until(lambda: len(fetch_status(url).learners) >= sessions, 60)
    actor.terminate()
    assert actor.wait(20) == ExitCode.OK
    wait_until(lambda: fetch_status(url).queue_env_steps < 500, TRAINED_S)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == ExitCode.OK
    assert commands.summary["stopped_by"] == "request"
    second = commands.start("learner-2", "learner", "run.toml", "--broker", address, "--resume")
    again = commands.start("actor-2", "actor", "-v", "--broker", address)
    assert second.wait(TRAINED_S) == ExitCode.OK
    assert commands.summary["env_steps"] >= 12_000
    assert again.poll() is None
    versions = versions_in(commands.text("actor-2"))
    assert versions == sorted(versions)
    assert len({epoch for epoch, _ in versions if epoch > 1}) == 1


@pytest.mark.nightly
def test_a_learner_whose_remote_runners_wait_stops_even_without_a_broker(
    commands: Commands,
) -> None:
    commands.write_run("env_steps = 100_000_000", REMOTE_APPO)
    broker, address, url = commands.start_broker()
    learner = commands.start("learner", "learner", "run.toml", "--broker", address)
    wait_until(lambda: len(fetch_status(url).learners) >= 1, TRAINED_S)
    runners = children_of(learner)
    broker.kill()
    learner.send_signal(signal.SIGTERM)
    assert learner.wait(60) == ExitCode.OK
    assert commands.summary["stopped_by"] == "request"
    wait_for_end(runners)


def test_a_broker_out_of_file_descriptors_keeps_its_peers_and_admits_others_later(
    commands: Commands, tmp_path: Path
) -> None:
    script = tmp_path / "few_files.sh"
    script.write_text('ulimit -n 150\nexec "$@"\n')
    commands.prefix = ["bash", str(script)]
    broker, address, url = commands.start_broker()
    commands.prefix = []
    actor = commands.start("actor", "actor", "--broker", address, "--id", "early")
    wait_until(lambda: len(fetch_status(url).actors) == 1, 60)
    ingest = address.split(",")[0].rpartition(":")[2]
    idle: list[socket.socket] = []

    def is_turned_away() -> bool:
        try:
            idle.append(socket.create_connection(("127.0.0.1", int(ingest)), timeout=0.5))
        except TimeoutError:
            return True
        return False

    wait_until(is_turned_away, 20)
    assert len(idle) > 50
    wait_until(lambda: "refusing new connections" in commands.text("broker"), 20)
    used_s = sum(psutil.Process(broker.pid).cpu_times()[:2])
    joined = commands.text("broker").count("joined")
    wait_until(lambda: "peers can connect again" in commands.text("broker"), 30)
    assert sum(psutil.Process(broker.pid).cpu_times()[:2]) - used_s < 3, "the broker spins"
    assert commands.text("broker").count("joined") == joined, "the broker dropped a connected peer"
    assert fetch_status(url).actors[0].is_live
    assert actor.poll() is None
    for connection in idle:
        connection.close()


def test_up_trains_and_leaves_a_complete_folder_and_no_process(commands: Commands) -> None:
    commands.write_run("env_steps = 8_000")
    up = commands.start("up", "up", "run.toml", "--seed", "2")
    wait_until(lambda: len(children_of(up)) >= 4, 60)
    children = children_of(up)
    assert up.wait(TRAINED_S) == ExitCode.OK
    wait_for_end(children)
    folder = commands.folder / "runs" / "try"
    for name in ("config.json", "metrics.jsonl", "curve.png", "summary.json"):
        assert (folder / name).stat().st_size > 0
    assert list((folder / "tensorboard").glob("events*"))
    assert list((folder / "checkpoints").iterdir())
    assert json.loads((folder / "config.json").read_text())["run"]["seed"] == 2
    assert "try: stopped by env_steps after" in commands.text("up")
    again = commands.start("again", "up", "run.toml")
    assert again.wait(60) == ExitCode.CONFIG
    assert "--resume" in commands.text("again")


def test_up_stops_cleanly_when_interrupted(commands: Commands) -> None:
    commands.write_run("env_steps = 100_000_000")
    up = commands.start("up", "up", "run.toml")
    metrics = commands.folder / "runs" / "try" / "metrics.jsonl"
    wait_until(metrics.exists, 60)
    children = children_of(up)
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == ExitCode.OK
    wait_for_end(children)
    assert commands.summary["stopped_by"] == "request"


def test_up_restarts_an_actor_and_fails_with_the_last_lines_of_a_broker_that_died(
    commands: Commands,
) -> None:
    commands.write_run("env_steps = 100_000_000")
    up = commands.start("up", "up", "run.toml")
    log = commands.folder / "runs" / "try" / "logs" / "actor-1.log"
    wait_until(lambda: log.exists() and "acting with" in log.read_text(), 60)
    [actor] = [child for child in children_of(up) if "try-1" in child.cmdline()]
    assert 1 <= int(actor.environ()["OMP_NUM_THREADS"]) <= usable_cores()
    before = len(log.read_text())
    actor.kill()
    wait_until(lambda: "acting with" in log.read_text()[before:], 60)
    assert "actor-1 ended with status -9: restarting it" in commands.text("up")
    children = children_of(up)
    [broker] = [child for child in children if "broker" in child.cmdline()]
    broker.kill()
    assert up.wait(60) == ExitCode.CHILD_DIED
    assert "broker ended with status -9" in commands.text("up")
    wait_for_end(children)


def test_a_run_that_misses_its_goal_reports_it(commands: Commands) -> None:
    commands.write_run("episode_return_mean = 10_000, wall_s = 12")
    up = commands.start("up", "up", "run.toml", "--actors", "1")
    assert up.wait(TRAINED_S) == ExitCode.GOAL_MISSED
    assert commands.summary["stopped_by"] == "wall_s"


@pytest.mark.nightly
def test_up_trains_a_policy_that_only_rllib_can_run(commands: Commands) -> None:
    learner = LEARNER.replace('algorithm = "PPO"', 'algorithm = "PPO"\npolicy = "rllib"')
    commands.write_run("env_steps = 3_000", learner)
    up = commands.start("up", "up", "run.toml")
    assert up.wait(TRAINED_S) == ExitCode.OK, commands.text("up")
    assert commands.summary["env_steps"] >= 3_000


def test_an_actor_that_runs_rllib_needs_the_learners_config(commands: Commands) -> None:
    actor = commands.start("actor", "actor", "--policy", "rllib")
    assert actor.wait(20) == ExitCode.CONFIG
    assert "--rllib-config run.toml" in commands.text("actor")


def test_several_agents_train_with_a_module_each(commands: Commands) -> None:
    shutil.copy(str(survivors.__file__), commands.folder)
    commands.write_run(
        "env_steps = 4_000",
        LEARNER.replace("[learner]", '[learner]\nmodules = { mortal = ["b"], others = ["*"] }'),
        'multi_agent = "survivors:Survivors"',
    )
    up = commands.start("up", "up", "run.toml")
    assert up.wait(TRAINED_S) == ExitCode.OK
    assert commands.summary["batches"]["rejected"] == 0
    logged = (commands.folder / "runs" / "try" / "logs" / "learner.log").read_text()
    assert "policy graph of mortal" in logged
    assert "policy graph of others" in logged
    _, address, _ = commands.start_broker()
    commands.start("learner", "learner", "run.toml", "--broker", address, "--runs", "others")
    actor = commands.start("actor", "actor", "--broker", address)
    assert actor.wait(60) == ExitCode.CONFIG
    assert "--multi-agent module:function" in commands.text("actor")
