"""The client through which a simulator talks to the broker."""

from __future__ import annotations

import dataclasses
import random
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import zmq

from headrace.actors.connection.actor_ids import actor_id_of
from headrace.actors.connection.batch_encoding import encode_batch
from headrace.actors.connection.broker_client import BatchPermit, EvaluationPermit
from headrace.actors.connection.config import ClientConfig
from headrace.actors.connection.joining import broker_of, invitation_of
from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.actors.connection.session import ActorSession
from headrace.actors.connection.shared_session import SharedSession
from headrace.actors.connection.sockets import ClientSockets
from headrace.actors.connection.software import software
from headrace.protocol.errors import LocalProtocolError
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

    A broker with keys requires an invitation, which contains its address: `join` is its file.
    """

    def __init__(
        self,
        address: str | Sequence[str] | None = None,
        *,
        actor: str | None = None,
        invitation: Invitation | None = None,
        join: str | Path | None = None,
        config: ClientConfig = ClientConfig(),
        context: Context | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Connects; the broker need not be running yet.

        Args:
            address: the broker's; of several, as a list or separated by commas, the actor id
                chooses one.
            join: path of an invitation file, instead of `invitation`.

        Raises:
            ConfigError: the address, the actor id or the invitation is invalid.
        """
        invitation = invitation_of(invitation, join)
        self._config = config
        self._session = _make_session(actor_id_of(actor, invitation), config)
        context = context or zmq.Context.instance()
        broker = broker_of(address, invitation, self._session.actor)
        sockets = ClientSockets(context, broker, self._session.actor, invitation)
        self._shared = SharedSession(self._session, sockets, WakePair(context), clock)

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
    def learner_is_connected(self) -> bool | None:
        """Whether the broker has a learner; None if it has not said so yet.

        Without one, the newest policy may be that of a run that has ended.
        """
        return self._session.learner_is_connected

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._shared.is_closed

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

        with self._shared.held():
            self._shared.wait(is_over, timeout_s)
            update, credit = session.policy_update(), session.credit
            if not session.may_begin() or update is None or credit is None:
                return None
            return BatchPermit(update, credit, session.max_payload_bytes)

    def claim(self, owner: object) -> None:
        """Lets one agent use this client, for as long as the agent exists.

        Raises:
            LocalProtocolError: another one does.
        """
        self._shared.ownership.claim(owner)

    def offer_evaluation(self) -> None:
        """Declares that this actor runs evaluation episodes.

        Check `evaluation_is_wanted` before each episode. An evaluation is one whole episode in
        which the policy acts greedily, pushed as its own batch.
        """
        with self._shared.held():
            self._session.evaluates = True

    def begin_evaluation(self) -> EvaluationPermit | None:
        """Takes on an evaluation episode, to push or give back; None if none is wanted."""
        session = self._session
        with self._shared.held():
            task, update = session.task_to_begin(), session.policy_update()
            if not session.evaluates or task is None or update is None:
                return None
            session.evaluations.begin(task.task)
            return EvaluationPermit(
                update, task.task, task.max_env_steps or None, session.max_payload_bytes
            )

    def give_back_evaluation(self, task: str) -> None:
        """Reports that an evaluation episode was not finished, so that another one is wanted."""
        with self._shared.held():
            self._session.evaluations.give_back(task)

    @property
    def evaluation_is_wanted(self) -> bool:
        """Whether the next episode should be an evaluation; cheap enough to read at every step."""
        return self._session.evaluates and self._session.task_to_begin() is not None

    def policy_update(self, timeout_s: float | None = None) -> PolicyUpdate | None:
        """Returns the newest policy, as `policy_update_after` does; waits for the first one."""
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

        with self._shared.held():
            return session.policy_update() if self._shared.wait(is_newer, timeout_s) else None

    def may_begin(self) -> bool:
        """Returns whether a batch may be begun now, with the newest weights.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        with self._shared.held():
            self._shared.raise_refusal()
            return self._session.may_begin()

    def push(
        self,
        batch: TrajectoryBatch,
        update: PolicyUpdate,
        env_steps: int,
        *,
        task: str | None = None,
        purpose: Purpose = "train",
        more: bool = False,
    ) -> int:
        """Queues a finished batch for delivery, and returns its sequence number.

        The client keeps the batch until it is acknowledged. The arrays may be reused at once.

        Args:
            update: the only policy that acted.
            env_steps: env steps in the batch; with one agent, the sum of the chunk lengths.
            task: the permit's task, if it has one; else that of the assignment under which all of
                the batch's episodes began, if there was one.
            purpose: "evaluate" if the permit has a task.
            more: of an evaluation: its episode continues in the next batch.

        Raises:
            LocalProtocolError: the batch cannot be encoded or was begun without credit, or the
                client is closed.
            RefusedError: the broker will not serve this actor.
        """
        limits = self._session.limits
        pushed = encode_batch(
            batch, update, env_steps, task=task, purpose=purpose, more=more, limits=limits
        )
        with self._shared.held():
            self._shared.raise_refusal()
            if self._shared.is_closed:
                raise LocalProtocolError("the client is closed")
            seq = self._session.push(pushed)
            self._shared.send_due()
            return seq

    def is_outdated(self, version: PolicyVersion) -> bool:
        """Returns whether a batch of that version would be stale on arrival."""
        with self._shared.held():
            return self._session.is_outdated(version)

    def count_unrecorded(self, env_steps: int) -> None:
        """Counts env steps that were taken without credit and not recorded."""
        with self._shared.held():
            self._session.unrecorded_env_steps += env_steps

    def count_broken(self, episodes: int, env_steps: int) -> None:
        """Counts episodes that a simulator lost, and their env steps that were not delivered."""
        with self._shared.held():
            self._session.broken_episodes += episodes
            self._session.unrecorded_env_steps += env_steps

    def close(self) -> None:
        """Delivers finished batches for at most `flush_s`, says goodbye and disconnects."""
        self._shared.close(self._config.flush_s)


def _make_session(actor: str, config: ClientConfig) -> ActorSession:
    incarnation = secrets.randbelow(MAX_SAFE_INTEGER) + 1
    rng = random.Random(secrets.randbits(64))
    config = dataclasses.replace(config, client=config.client or software())
    return ActorSession(actor, incarnation, socket.gethostname(), config, rng)
