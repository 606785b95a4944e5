"""The processes of a scenario, and the faults that can be injected into them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
from support.running import wait_until

from chaos.actor import ActorPlan
from chaos.diary import Diary, Entry, read_diaries
from chaos.learner import LearnerPlan
from chaos.referee import Findings, Referee
from headrace.broker.access.key_folder import KeyFolder
from headrace.protocol.invitation import Role

_TESTS = Path(__file__).parent.parent
_START_S = 30.0


class Part:
    """Successive processes with the same part; the name is that of its diary and its log.

    Attributes:
        prefix: of the command line, for a process on a virtual host.
        dials: the address that it uses, if not that of all brokers.
    """

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.prefix: Sequence[str] = ()
        self.dials = ""
        self.name = name
        self.life = -1
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        """Starts the next process of this part, in Python."""
        self.launch(sys.executable, *arguments)

    def launch(self, *command: str) -> None:
        """Starts the next process of this part."""
        assert self.process is None, f"{self.name} is already running"
        self.life += 1
        with (self.stage.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(_TESTS)},
            )

    def play(self, module: str, plan: msgspec.Struct) -> None:
        """Starts a module of these tests as the next process of this part, with its plan."""
        self.start("-m", module, msgspec.json.encode(plan).decode())

    def kill(self) -> None:
        """Ends the process with SIGKILL, as a power failure would."""
        self._send(signal.SIGKILL)
        self._wait()
        self.stage.diary.write("fault", "kill", self.target)

    def freeze(self) -> None:
        """Freezes the process with SIGSTOP."""
        self._send(signal.SIGSTOP)
        self.stage.diary.write("fault", "freeze", self.target)

    def thaw(self) -> None:
        """Resumes a frozen process."""
        self._send(signal.SIGCONT)
        self.stage.diary.write("healed", self.target)

    def stop(self, timeout_s: float) -> None:
        """Asks the process to end, and asserts that it exits with 0."""
        self._send(signal.SIGTERM)
        code = self._wait(timeout_s)
        assert code == 0, f"{self.name} ended with {code}; see {self.name}.log"

    def end(self) -> None:
        """Kills the process if it still runs."""
        if self.process is not None:
            self.process.kill()
            self._wait()

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended on its own; another may be started then."""
        if self.process is not None and self.process.poll() is not None:
            assert self._wait() == 0, f"{self.name} failed; see {self.name}.log"
        return self.process is None

    @property
    def target(self) -> str:
        """The current process's name in the diary."""
        return f"{self.name}.{self.life}"

    def _send(self, number: int) -> None:
        assert self.process is not None, f"{self.name} is not running"
        assert self.process.poll() is None, f"{self.name} has died; see {self.name}.log"
        self.process.send_signal(number)

    def _wait(self, timeout_s: float = _START_S) -> int:
        assert self.process is not None
        code = self.process.wait(timeout_s)
        self.process = None
        return code


class BrokerPart(Part):
    """A broker; the first process chooses its ports, which later ones reuse.

    Attributes:
        address, http: once it has started.
    """

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(stage, name)
        self.address = "tcp://127.0.0.1:0"
        self.http = "127.0.0.1:0"

    def start_broker(self, *options: str) -> None:
        """Starts `headrace broker`, and waits until it listens."""
        announced = self.stage.folder / f"{self.name}.json"
        announced.unlink(missing_ok=True)
        arguments = ["--address", self.address, "--http", self.http, "--drain-s", "0"]
        arguments += ["--insecure"] if self.prefix else []
        arguments += options
        self.start("-m", "headrace.deploy", "broker", *arguments, "--announce", str(announced))
        wait_until(announced.exists, _START_S)
        found = json.loads(announced.read_text())
        self.address, self.http = found["address"], found["http"].removeprefix("http://")


class Stage:
    """Brokers, learners and actors in a folder; on exit it ends its processes, by pid.

    Attributes:
        groups: the indices of the actors in each process of actors.
        broker: the first of the brokers.
        broker_options: additional command line options of the brokers.
        reached_at: the address that the others use, if it differs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        actors: int,
        actors_per_process: int,
        learners: int,
        brokers: int = 1,
    ) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.diary = Diary(folder / "conductor.diary")
        names = ["broker"] if brokers == 1 else [f"broker-{n}" for n in range(brokers)]
        self.brokers = [BrokerPart(self, name) for name in names]
        self.broker = self.brokers[0]
        self.learners = [Part(self, f"learner-{index}") for index in range(learners)]
        self.groups = [
            list(range(first, min(first + actors_per_process, actors)))
            for first in range(0, actors, actors_per_process)
        ]
        self.actors = [Part(self, f"actors-{index}") for index in range(len(self.groups))]
        self.reached_at = ""
        self.broker_options: list[str] = []
        self._keys = KeyFolder(folder / "keys")
        self._joins = {"actor": "", "learner": ""}
        self._began_at_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for part in self.parts:
            part.end()

    # ---------------------------------------------------------------- starting

    @property
    def address(self) -> str:
        """The brokers' address, or their addresses separated by commas, once they have started."""
        return ",".join(broker.address for broker in self.brokers)

    def start_broker(self, number: int = 0) -> None:
        """Starts the next process of a broker."""
        self.brokers[number].start_broker(*self.broker_options)

    def start_learner(self, index: int, **plan: Any) -> None:
        """Starts the next process of a learner's worker."""
        part = self.learners[index]
        part.play(
            "chaos.learner",
            LearnerPlan(
                address=part.dials or self.reached_at or self.address,
                diary=str(self.folder / f"{part.name}.diary"),
                join=self._joins["learner"],
                worker_index=index,
                life=part.life + 1,
                began_at_s=self._began_at_s,
                **plan,
            ),
        )

    def start_actors(self, index: int, **plan: Any) -> None:
        """Starts the next process of a group of actors."""
        part = self.actors[index]
        part.play(
            "chaos.actor",
            ActorPlan(
                address=part.dials or self.reached_at or self.address,
                diary=str(self.folder / f"{part.name}.diary"),
                join=self._joins["actor"],
                actors=self.groups[index],
                life=part.life + 1,
                **plan,
            ),
        )

    def use_keys(self) -> None:
        """Makes keys, which all processes started from now on use."""
        self._keys.create()
        self.broker_options += ["--keys", str(self._keys.path)]
        roles: tuple[Role, ...] = ("actor", "learner")
        for role in roles:
            self._joins[role] = str(self.invite(role, f"{role}s"))

    def invite(self, role: Role, name: str) -> Path:
        """Returns the file of a new invitation."""
        file = self.folder / f"{name}.join"
        file.touch(mode=0o600)
        file.write_text(self._keys.invite(role, name, "tcp://127.0.0.1:1").to_line())
        return file

    def start_all(self, *, actor: dict[str, Any], learner: dict[str, Any]) -> None:
        """Starts all processes (brokers unless they run); waits until every actor delivers."""
        for number, broker in enumerate(self.brokers):
            if broker.process is None:
                self.start_broker(number)
        for index in range(len(self.learners)):
            self.start_learner(index, **learner)
        for index in range(len(self.actors)):
            self.start_actors(index, **actor)
        wait_until(lambda: len(self._delivering()) == sum(map(len, self.groups)), _START_S)

    def _delivering(self) -> set[int]:
        entries = read_diaries(self.folder)
        return {entry.fields[0] for entry in entries if entry.kind == "acknowledged"}

    # ---------------------------------------------------------------- ending

    @property
    def parts(self) -> list[Part]:
        """Brokers, learners and actors."""
        return [*self.brokers, *self.learners, *self.actors]

    def finish(self, drain_s: float = 60.0) -> list[Entry]:
        """Waits for every batch to end, stops all processes in order, and returns all diaries."""
        for part in self.actors:
            part.stop(drain_s + _START_S)
        for part in self.learners:
            part.stop(_START_S)
        for broker in self.brokers:
            broker.stop(_START_S)
        return read_diaries(self.folder)


def judge(entries: list[Entry]) -> Findings:
    """Returns the referee's findings on a scenario's diaries."""
    referee = Referee()
    referee.read(entries)
    return referee.findings()
