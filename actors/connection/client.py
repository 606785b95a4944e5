"""The client through which a simulator talks to the broker."""

from __future__ import annotations

import contextlib
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable
from typing import Self

import zmq

from headrace.actors.connection.actor_ids import actor_id_of
from headrace.actors.connection.batch_encoding import encode_batch
from headrace.actors.connection.broker_client import BatchPermit, EvaluationPermit
from headrace.actors.connection.config import ClientConfig
from headrace.actors.connection.loop import ClientLoop
from headrace.actors.connection.session import ActorSession, PolicyUpdate
from headrace.actors.connection.sockets import ClientSockets
from headrace.protocol.endpoints import DEFAULT_ADDRESS, BrokerAddress
from headrace.protocol.errors import (
    HeadraceError,
    LocalProtocolError,
)
from headrace.protocol.identity import MAX_SAFE_INTEGER, PolicyVersion
from headrace.protocol.invitation import Invitation
from headrace.protocol.messages import Assignment, Purpose, Totals
from headrace.protocol.trajectory import TrajectoryBatch
from headrace.protocol.zeromq.client_socket import Context
from headrace.protocol.zeromq.wake_pair import WakePair

Clock = Callable[[], float]


class Client:
    """Connects a simulator to a broker; safe to use from one thread while another closes it.

    A daemon thread owns the sockets, so the actor stays alive to the broker while the simulator
    computes. The broker need not be running yet, and may go away and come back. Each client uses
    seven sockets of its `context`, which allows 1,023 unless `zmq.MAX_SOCKETS` was set on it.

    `begin` a batch, act with the policy that it returns, close the batch at `credit.fragment_steps`
    env steps or after `credit.fragment_s` seconds, and `push` it; `Agent` does all of this. A
    simulator that cannot wait calls `may_begin`, steps without recording while it is False, and
    reports those steps to `count_unrecorded`.

    A broker with keys requires an `invitation` (`load_invitation`), which contains its address.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        actor: str | None = None,
        invitation: Invitation | None = None,
        config: ClientConfig = ClientConfig(),
        context: Context | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._config = config
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._session = _make_session(actor_id_of(actor, invitation), config)
        context = context or zmq.Context.instance()
        address = address or (invitation.address if invitation else DEFAULT_ADDRESS)
        sockets = ClientSockets(
            context, BrokerAddress.parse(address), self._session.actor, invitation
        )
        self._loop = ClientLoop(self._session, sockets, WakePair(context), self._changed, clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def actor(self) -> str:
        """The actor id."""
        return self._session.actor

    @property
    def newest_version(self) -> PolicyVersion | None:
        """The newest policy version that has arrived; cheap enough to read at every step."""
        return self._session.newest_version

    @property
    def assignment(self) -> Assignment | None:
        """The learner's assignment for episodes that begin now, None without one.

        Cheap enough to read at every step. `push` such episodes with the assignment's task.
        """
        return self._session.assignment

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._stopping.is_set()

    @property
    def unaccepted(self) -> int:
        """Batches that the broker does not have yet."""
        return self._session.unaccepted

    @property
    def unacknowledged(self) -> int:
        """Batches whose outcome the broker has not reported; lost if this process dies."""
        return self._session.sender.held

    @property
    def totals(self) -> Totals:
        """How the acknowledged batches ended: consumed, stale, rejected or dropped."""
        return self._session.sender.totals

    def begin(
        self, timeout_s: float | None = None, *, until_evaluation: bool = False
    ) -> BatchPermit | None:
        """Waits for permission to begin a batch; returns None on timeout or close.

        Args:
            until_evaluation: also return None as soon as an evaluation episode is wanted.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        session = self._session

        def is_over() -> bool:
            return session.may_begin() or (until_evaluation and self.evaluation_is_wanted)

        with self._changed:
            self._wait(is_over, timeout_s)
            update, credit = session.policy_update(), session.credit
            if not session.may_begin() or update is None or credit is None:
                return None
            return BatchPermit(update, credit)

    def offer_evaluation(self) -> None:
        """Declares that this actor runs evaluation episodes.

        Check `evaluation_is_wanted` before each episode. An evaluation is one whole episode in
        which the policy acts greedily, pushed as its own batch.
        """
        with self._changed:
            self._session.evaluates = True

    def begin_evaluation(self) -> EvaluationPermit | None:
        """Takes on an evaluation episode, to push or give back; None if none is wanted."""
        session = self._session
        with self._changed:
            task, update = session.task_to_begin(), session.policy_update()
            if not session.evaluates or task is None or update is None:
                return None
            session.begin_evaluation(task)
            return EvaluationPermit(update, task)

    def give_back_evaluation(self, task: str) -> None:
        """Reports that an evaluation episode was not finished, so that another one is wanted."""
        with self._changed:
            self._session.give_back_evaluation(task)

    @property
    def evaluation_is_wanted(self) -> bool:
        """Whether the next episode should be an evaluation; cheap enough to read at every step."""
        return self._session.evaluates and self._session.task_to_begin() is not None

    def policy_update(self, timeout_s: float | None = None) -> PolicyUpdate | None:
        """Returns the newest policy; waits for the first one, and returns None on timeout.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        return self.policy_update_after(None, timeout_s)

    def policy_update_after(
        self, version: PolicyVersion | None, timeout_s: float | None = None
    ) -> PolicyUpdate | None:
        """Returns the newest policy once its version is not `version`; None on timeout or close.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        session = self._session

        def is_newer() -> bool:  # and the broker is known, which also reports the assignment
            has_newer = session.newest_version not in (None, version)
            return has_newer and session.sender.broker is not None

        with self._changed:
            return session.policy_update() if self._wait(is_newer, timeout_s) else None

    def may_begin(self) -> bool:
        """Returns whether a batch may be begun now, with the newest weights.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        with self._changed:
            self._raise_refusal()
            return self._session.may_begin()

    def push(
        self,
        batch: TrajectoryBatch,
        update: PolicyUpdate,
        env_steps: int,
        *,
        task: str | None = None,
        purpose: Purpose = "train",
    ) -> int:
        """Queues a finished batch for delivery, and returns its sequence number.

        The client keeps the batch until it is acknowledged. The arrays may be reused at once.

        Args:
            update: the only policy that acted.
            env_steps: env steps in the batch; with one agent, the sum of the chunk lengths.
            task: the permit's task, if it has one; else that of the assignment under which all of
                the batch's episodes began, if there was one.
            purpose: "evaluate" if the permit has a task.

        Raises:
            LocalProtocolError: the batch cannot be encoded or was begun without credit, or the
                client is closed.
            RefusedError: the broker will not serve this actor.
        """
        pushed = encode_batch(
            batch, update, env_steps, task=task, purpose=purpose, limits=self._config.limits
        )
        with self._changed:
            self._raise_refusal()
            if self._stopping.is_set():
                raise LocalProtocolError("the client is closed")
            seq = self._session.push(pushed)
            self._loop.send_due()
            return seq

    def is_outdated(self, version: PolicyVersion) -> bool:
        """Returns whether a batch of that version would be stale on arrival."""
        with self._changed:
            return self._session.is_outdated(version)

    def count_unrecorded(self, env_steps: int) -> None:
        """Counts env steps that were taken without credit and not recorded."""
        with self._changed:
            self._session.unrecorded_env_steps += env_steps

    def count_broken(self, episodes: int, env_steps: int) -> None:
        """Counts episodes that a simulator lost, and their env steps that were not delivered."""
        with self._changed:
            self._session.broken_episodes += episodes
            self._session.unrecorded_env_steps += env_steps

    def close(self) -> None:
        """Delivers finished batches for at most `flush_s`, says goodbye and disconnects."""
        if self._stopping.is_set():
            return
        with self._changed:
            with contextlib.suppress(HeadraceError):  # a refused actor cannot deliver
                self._wait(lambda: self._session.unaccepted == 0, self._config.flush_s)
            self._stopping.set()
            self._loop.stop()
            self._changed.notify_all()
        self._loop.join()

    def _wait(self, condition: Callable[[], bool], timeout_s: float | None) -> bool:
        self._changed.wait_for(
            lambda: (
                condition()
                or self._session.refusal is not None
                or self._loop.failure is not None
                or self._stopping.is_set()
            ),
            timeout_s,
        )
        self._raise_refusal()
        return condition()

    def _raise_refusal(self) -> None:
        if self._session.refusal is not None:
            raise self._session.refusal
        if self._loop.failure is not None:
            raise HeadraceError("the client's thread ended") from self._loop.failure


def _make_session(actor: str, config: ClientConfig) -> ActorSession:
    incarnation = secrets.randbelow(MAX_SAFE_INTEGER) + 1
    rng = random.Random(secrets.randbits(64))
    return ActorSession(actor, incarnation, socket.gethostname(), config, rng)
