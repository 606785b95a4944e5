"""A process of scripted actors: real clients whose simulators only number their batches."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import zmq

from chaos.batches import BatchId, make_marked_batch
from chaos.diary import Diary
from headrace.actors.connection.client import Client
from headrace.actors.connection.config import ClientConfig
from headrace.deploy.process import on_stop_signal
from headrace.protocol.zeromq.invitation_file import load_invitation

Context = zmq.Context[zmq.Socket[bytes]]


class ActorPlan(msgspec.Struct, frozen=True):
    """The parameters of a process of actors; its one command line argument, as JSON.

    Attributes:
        actors: their indices.
        join: the invitation file, if the broker has keys.
        life: the number of the process for these actors, from 0.
        pause_s: the time that recording a batch takes.
        drain_s: the time that all batches may take to end after SIGTERM.
    """

    address: str
    diary: str
    actors: list[int]
    life: int
    join: str = ""
    batch_env_steps: int = 20
    pause_s: float = 0.0
    drain_s: float = 60.0


def recording_context(diary: Diary, life: int) -> Context:
    """Returns a context whose sockets record each batch that they send."""

    class RecordingSocket(zmq.Socket[bytes]):
        def send_multipart(self, msg_parts: Any, *args: Any, **kwargs: Any) -> Any:
            sent = super().send_multipart(msg_parts, *args, **kwargs)
            header = msgspec.msgpack.decode(msg_parts[0])
            if header["kind"] == "trajectories":
                diary.write("transmitted", index_of(header["actor"]), life, header["seq"])
            return sent

    class RecordingContext(zmq.Context[zmq.Socket[bytes]]):
        _socket_class = RecordingSocket

    return RecordingContext()


def index_of(actor: str) -> int:
    """Returns an actor's index from its id."""
    return int(actor.rpartition("-")[2])


class ScriptedActor:
    """One client in a thread of its own."""

    def __init__(self, index: int, plan: ActorPlan, diary: Diary, context: Context) -> None:
        self._index = index
        self._plan = plan
        self._diary = diary
        self._stopping = threading.Event()
        self._acknowledged = 0
        invitation = load_invitation(Path(plan.join), "actor") if plan.join else None
        self._client = Client(
            plan.address,
            actor=f"actor-{index}" if invitation is None else f"{invitation.name}.actor-{index}",
            context=context,
            invitation=invitation,
            config=ClientConfig(client="headrace chaos"),
        )
        self._thread = threading.Thread(target=self._run, name=f"actor-{index}")
        self._thread.start()

    def stop(self) -> None:
        """Requests an orderly end; call `join` next."""
        self._stopping.set()

    def join(self) -> None:
        """Waits for the end."""
        self._thread.join()

    def _run(self) -> None:
        number = 0
        with self._client as client:
            while not self._stopping.is_set():
                permit = client.begin(0.2)
                self._note_acknowledged(number)
                if permit is None:
                    continue
                number += 1
                env_steps = min(self._plan.batch_env_steps, permit.credit.fragment_steps)
                if self._plan.pause_s:
                    self._stopping.wait(self._plan.pause_s)
                batch = BatchId(self._index, self._plan.life, number)
                self._diary.write("produced", self._index, self._plan.life, number)
                marked = make_marked_batch(batch, env_steps, permit.update.policy.manifest)
                seq = client.push(marked, permit.update, env_steps)
                assert seq == number, "an actor's batches are numbered without gaps"
            self._await_the_end_of_all_batches(number)
            totals = client.totals
            books = (totals.stale, totals.rejected, totals.dropped, client.unacknowledged)
            self._diary.write("ended", self._index, self._plan.life, *books)

    def _await_the_end_of_all_batches(self, number: int) -> None:
        pause = threading.Event()
        for _ in range(round(self._plan.drain_s * 10)):
            self._note_acknowledged(number)
            if not self._client.unacknowledged:
                return
            pause.wait(0.1)

    def _note_acknowledged(self, number: int) -> None:
        acknowledged = number - self._client.unacknowledged
        if acknowledged != self._acknowledged:
            self._acknowledged = acknowledged
            self._diary.write("acknowledged", self._index, self._plan.life, acknowledged)


def main() -> None:
    plan = msgspec.json.decode(sys.argv[1], type=ActorPlan)
    diary = Diary(Path(plan.diary))
    context = recording_context(diary, plan.life)
    actors = [ScriptedActor(index, plan, diary, context) for index in plan.actors]
    stopping = threading.Event()
    on_stop_signal(stopping.set)
    stopping.wait()
    for actor in actors:
        actor.stop()
    for actor in actors:
        actor.join()
    context.term()


if __name__ == "__main__":
    main()
