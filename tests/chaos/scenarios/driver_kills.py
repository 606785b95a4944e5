"""The driver of a real run is killed and resumed; its actors are never restarted."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil
from support.commands import Commands, children_of, versions_in
from support.running import wait_until

from chaos.report import Report
from headrace.deploy.exit_codes import ExitCode

_TRAINS_WITHIN_S = 120.0
_ACTORS = ("actor-1", "actor-2")
_LEARNER = """
[learner]
algorithm = "PPO"
training = { lr = 3e-4, train_batch_size_per_learner = 4000, minibatch_size = 256, \
num_epochs = 6, vf_loss_coeff = 0.01 }
"""


@dataclass(frozen=True)
class Plan:
    """The number of kills; the last driver but one is frozen instead, and resumed."""

    kills: int
    stop: str
    longest_life_s: float = 3.0
    brokers: int = 1


SHORT = Plan(kills=2, stop="env_steps = 30_000")
LONG = Plan(kills=5, stop="episode_return_mean = 450, wall_s = 600")


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Kills drivers; the run must finish, and no actor may go back to older weights."""
    folder.mkdir(parents=True)
    commands = Commands(folder)
    try:
        return _run(plan, commands, seed)
    finally:
        commands.end()


def _run(plan: Plan, commands: Commands, seed: int) -> Report:
    rng, pause = random.Random(seed), threading.Event()
    commands.write_run(plan.stop, _LEARNER)
    address = ",".join(commands.start_broker()[1] for _ in range(plan.brokers))
    actors = [commands.start(name, "actor", "-v", "--broker", address) for name in _ACTORS]
    driver = _start_driver(commands, address, 0)
    violations: list[str] = []
    for kill in range(1, plan.kills + 1):
        pause.wait(rng.uniform(0.0, plan.longest_life_s))
        assert driver.poll() is None, f"the run ended before its kill {kill}"
        if kill < plan.kills:
            _kill(driver)
            driver = _start_driver(commands, address, kill)
            continue
        driver.send_signal(signal.SIGSTOP)
        zombie, driver = driver, _start_driver(commands, address, kill)
        zombie.send_signal(signal.SIGCONT)
        if zombie.wait(_TRAINS_WITHIN_S) not in (ExitCode.REFUSED, ExitCode.SUPERSEDED):
            violations.append(f"the zombie ended with {zombie.returncode}, not refused")
    if driver.wait(900.0) != ExitCode.OK:
        violations.append(f"the last driver ended with {driver.returncode}")
    violations += [f"an actor died: {actor.args!r}" for actor in actors if actor.poll() is not None]
    violations += [fault for name in _ACTORS for fault in _faults(commands, name, plan.kills)]
    summary = commands.summary
    reached = summary["episode_return_mean"]
    if "episode_return_mean" in plan.stop and reached < 450:
        violations.append(f"a mean return of {reached:.0f}")
    figures = {"kills": plan.kills, "mean return": round(reached), "wall s": summary["wall_s"]}
    name = "driver_kills" if plan.brokers == 1 else "side_driver_kills"
    return Report(name, seed, None, figures, violations)


def _start_driver(commands: Commands, address: str, life: int) -> subprocess.Popen[bytes]:
    """Starts a driver, and waits until it has published and written a checkpoint."""
    checkpoints = commands.folder / "runs" / "try" / "checkpoints"
    before = set(checkpoints.glob("*"))
    resume = ["--resume"] if life else []
    name = f"driver-{life}"
    driver = commands.start(name, "learner", "run.toml", "--broker", address, *resume)
    wait_until(lambda: set(checkpoints.glob("*")) - before or driver.poll() is not None, 120.0)
    assert driver.poll() in (None, ExitCode.OK), f"{name} has died"
    return driver


def _kill(driver: subprocess.Popen[bytes]) -> None:
    """Kills the driver and its child processes, as a machine's failure does."""
    children = children_of(driver)
    driver.kill()
    driver.wait()
    for child in children:
        child.kill()
    psutil.wait_procs(children, timeout=10.0)


def _faults(commands: Commands, actor: str, kills: int) -> list[str]:
    versions = versions_in(commands.text(actor))
    epochs = sorted({epoch for epoch, _ in versions})
    found: list[str] = []
    if versions != sorted(versions):
        found.append(f"{actor} went back to an older version")
    if len(epochs) > kills + 1:
        found.append(f"{actor} saw {len(epochs)} epochs after {kills} kills")
    restored = [min(number for epoch, number in versions if epoch == e) for e in epochs[1:]]
    if 0 in restored:
        found.append(f"{actor} acted with initial weights after a restore")
    return found
