"""The library object that a simulator talks to the broker with."""

from __future__ import annotations

import contextlib
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import zmq

from headrace.actors.connection.actor_ids import actor_id_of
from headrace.actors.connection.config import ClientConfig
from headrace.actors.connection.loop import ClientLoop
from headrace.actors.connection.session import ActorSession, PolicyUpdate, PushedBatch
from headrace.actors.connection.sockets import ClientSockets
from headrace.protocol.compression import compress
from headrace.protocol.endpoints import DEFAULT_ADDRESS, BrokerAddress
from headrace.protocol.errors import (
    HeadraceError,
    LocalProtocolError,
)
from headrace.protocol.identity import MAX_SAFE_INTEGER, PolicyVersion
from headrace.protocol.invitation import Invitation
from headrace.protocol.messages import Assignment, Credit, Purpose, Totals
from headrace.protocol.trajectory import TrajectoryBatch, pack_batch
from headrace.protocol.zeromq.client_socket import Context
from headrace.protocol.zeromq.wake_pair import WakePair

Clock = Callable[[], float]


@dataclass(frozen=True)
class BatchPermit:
    """What a batch may be begun with.

    Attributes:
        credit: how long the batch may be; None for an evaluation.
        task: the evaluation that it is for: act greedily for one whole episode, and push that.
    """

    update: PolicyUpdate
    credit: Credit | None
    task: str | None = None


class Client:
    """Connects a simulator to a broker; safe to use from one thread while another one closes it.

    A daemon thread owns the sockets, so the actor stays alive to the broker while the simulator
    computes. The broker need not be there yet, and may go away and come back. Each client takes
    seven of the sockets of its `context`, which has 1,023 unless `zmq.MAX_SOCKETS` was set on it.

    `begin` a batch, act with the policy that it returns, close the batch at `credit.fragment_steps`
    env steps or after `credit.fragment_s` seconds, and `push` it; `Agent` does all of this. A
    simulator that cannot wait calls `may_begin`, steps without recording while it is False, and
    tells `count_unrecorded`.

    A broker with keys asks for an `invitation` (`load_invitation`), which also says its address.
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
        self._session = ActorSession(
            actor_id_of(actor, invitation),
            secrets.randbelow(MAX_SAFE_INTEGER) + 1,
            socket.gethostname(),
            config,
            random.Random(secrets.randbits(64)),
        )
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

    # ---------------------------------------------------------------- for the simulator

    @property
    def actor(self) -> str:
        """The actor id."""
        return self._session.actor

    @property
    def newest_version(self) -> PolicyVersion | None:
        """The newest policy version that has arrived; cheap enough to ask at every step."""
        return self._session.newest_version

    @property
    def assignment(self) -> Assignment | None:
        """What the learner wants episodes to run that begin now; None for nothing special.

        Cheap enough to ask at every step. Name its task when you `push` what came of it.
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
        """Batches whose end the broker has not told yet; what dies with this process."""
        return self._session.sender.held

    @property
    def totals(self) -> Totals:
        """How the acknowledged batches ended: consumed, stale, rejected or dropped."""
        return self._session.sender.totals

    def begin(self, timeout_s: float | None = None) -> BatchPermit | None:
        """Waits until a batch may be begun; returns with what, None if time is up or it closes.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        with self._changed:
            if not self._wait(self._session.may_begin, timeout_s):
                return None
            update, credit = self._session.policy_update(), self._session.credit
            return (
                BatchPermit(update, credit) if update is not None and credit is not None else None
            )

    def offer_evaluation(self) -> None:
        """Says that this actor runs evaluation episodes, which `begin_or_evaluate` then returns."""
        with self._changed:
            self._session.evaluates = True

    def begin_or_evaluate(
        self, timeout_s: float | None = None, *, is_at_start: bool
    ) -> BatchPermit | None:
        """Waits as `begin` does, or until an evaluation is wanted.

        Args:
            is_at_start: whether an episode begins. In the midst of one a permit without credit and
                without task says: get to its end without recording.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        session = self._session
        with self._changed:
            if not self._wait(lambda: session.may_begin() or self.evaluation_is_wanted, timeout_s):
                return None
            task, update = session.task_to_begin(), session.policy_update()
            if update is None:
                return None
            if task is not None and is_at_start:
                session.begin_evaluation(task)
                return BatchPermit(update, None, task)
            return BatchPermit(update, session.credit if session.may_begin() else None)

    @property
    def evaluation_is_wanted(self) -> bool:
        """Whether the next episode should be an evaluation; cheap enough to ask at every step."""
        return self._session.evaluates and self._session.task_to_begin() is not None

    def policy_update(self, timeout_s: float | None = None) -> PolicyUpdate | None:
        """Returns the newest policy; waits for the first one, None if it does not come in time.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        return self.policy_update_after(None, timeout_s)

    def policy_update_after(
        self, version: PolicyVersion | None, timeout_s: float | None = None
    ) -> PolicyUpdate | None:
        """Returns the newest policy once it is another one than `version`.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        with self._changed:
            if not self._wait(
                lambda: (
                    self._session.newest_version not in (None, version)
                    and self._session.sender.broker is not None  # which tells what is assigned
                ),
                timeout_s,
            ):
                return None
            return self._session.policy_update()

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
        """Hands over a finished batch for delivery, and returns its sequence number.

        It is kept until the learner has consumed it. The arrays may be reused at once.

        Args:
            update: the one policy that acted.
            env_steps: env steps in the batch; with one agent the sum of the chunks' lengths.
            task: of the permit, where it has one; else of the assignment that all of its episodes
                began under, if there was one.
            purpose: "evaluate" where the permit has a task.

        Raises:
            LocalProtocolError: the batch cannot be encoded, or was begun without credit, or the
                client is closed.
            RefusedError: the broker will not serve this actor.
        """
        payload = pack_batch(batch)
        if len(payload) > self._config.limits.max_payload_bytes:
            raise LocalProtocolError(
                f"a batch of {len(payload)} bytes; the limit is "
                f"{self._config.limits.max_payload_bytes}: record fewer steps per batch"
            )
        manifest = update.policy.manifest
        compression, payload = compress(manifest.compression, payload)
        pushed = PushedBatch(
            update.version, manifest.run, env_steps, payload, purpose, task, compression
        )
        with self._changed:
            self._raise_refusal()
            if self._stopping.is_set():
                raise LocalProtocolError("the client is closed")
            seq = self._session.push(pushed)
            self._loop.send_due()
            return seq

    def is_outdated(self, version: PolicyVersion) -> bool:
        """Returns whether a batch of that version would be stale when it arrives."""
        with self._changed:
            return self._session.is_outdated(version)

    def count_unrecorded(self, env_steps: int) -> None:
        """Counts steps that were taken without credit and not recorded."""
        with self._changed:
            self._session.unrecorded_env_steps += env_steps

    def count_broken(self, episodes: int, env_steps: int) -> None:
        """Counts episodes that a simulator lost, and the steps of them that are not delivered."""
        with self._changed:
            self._session.broken_episodes += episodes
            self._session.unrecorded_env_steps += env_steps

    def close(self) -> None:
        """Delivers what is finished, for at most `flush_s`, says goodbye and disconnects."""
        if self._stopping.is_set():
            return
        with self._changed:
            with contextlib.suppress(HeadraceError):  # who is refused has nothing to deliver
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
