"""The lifecycle of a training batch: begun with credit, full, stale or delivered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from headrace.actors.connection.broker_client import BatchPermit, BrokerClient
from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.protocol.batch_sizes import most_env_steps
from headrace.protocol.errors import ConfigError, RemoteProtocolError
from headrace.protocol.trajectory import TrajectoryBatch

_LOG = logging.getLogger("headrace.actor")

Clock = Callable[[], float]
UsePolicy = Callable[[PolicyUpdate], None]
"""Switches to an update.

Raises RemoteProtocolError if the update is unusable: then the previous one stays in use, and the
caller waits for a later one.
"""


WithoutCredit = Literal["wait", "act"]
"""What an agent does while the learner wants no data: wait, or act without recording."""


def waits_without_credit(without_credit: WithoutCredit) -> bool:
    """Returns whether an agent waits for credit.

    Raises:
        ConfigError: the option is unknown.
    """
    if without_credit not in ("wait", "act"):
        raise ConfigError(f"without_credit is 'wait' or 'act', not {without_credit!r}")
    return without_credit == "wait"


class BatchSource(Protocol):
    """The part of a recorder that ends a batch."""

    @property
    def env_steps(self) -> int:
        """Env steps recorded since the last batch."""
        ...

    def take_batch(self) -> tuple[TrajectoryBatch, int]:
        """Returns what was recorded since the last batch, and its env steps."""
        ...

    def discard_batch(self) -> int:
        """Forgets what was recorded since the last batch, and returns its env steps."""
        ...


@dataclass(frozen=True)
class _OpenBatch:
    """One policy version, within one grant."""

    permit: BatchPermit
    deadline_s: float
    max_env_steps: int


class BatchLifecycle:
    """One batch after another: `begin`, record until it `is_full`, `deliver`.

    A batch that would be stale on arrival is discarded, but never two in a row: a simulator slower
    than the learner's updates has only stale batches, and the broker must see that.
    """

    def __init__(self, client: BrokerClient, clock: Clock) -> None:
        """Raises LocalProtocolError if another lifecycle uses the client."""
        client.claim(self)
        self._client = client
        self._clock = clock
        self._open: _OpenBatch | None = None
        self._has_discarded = False

    @property
    def is_open(self) -> bool:
        """Whether a batch is open."""
        return self._open is not None

    @property
    def permit(self) -> BatchPermit | None:
        """The permit of the open batch, None without one."""
        return self._open.permit if self._open is not None else None

    def begin(
        self, use: UsePolicy, timeout_s: float | None, *, until_evaluation: bool = False
    ) -> bool:
        """Waits for credit and a usable policy; returns whether a batch was begun.

        Args:
            until_evaluation: also return as soon as an evaluation episode is wanted.

        Raises:
            ConfigError: raised by `use`.
            RefusedError: the broker will not serve this actor.
        """
        client = self._client
        while (permit := client.begin(timeout_s, until_evaluation=until_evaluation)) is not None:
            if can_use(permit.update, use):
                deadline_s = self._clock() + permit.credit.fragment_s
                most = most_env_steps(permit.update.policy.manifest, permit.max_payload_bytes)
                self._open = _OpenBatch(permit, deadline_s, most)
                return True
            if client.policy_update_after(permit.update.version, timeout_s) is None:
                return False
        return False

    def prepare(
        self, use: UsePolicy, timeout_s: float | None, *, needs_batch: bool, waits: bool
    ) -> bool | None:
        """Gets a policy for a step, and begins a batch if needed and allowed.

        Returns False on timeout, and None if an evaluation is wanted first: begin it, and call
        again.

        Args:
            waits: whether to wait for credit; only while no evaluation is in progress or wanted.

        Raises:
            ConfigError: raised by `use`.
            RefusedError: the broker will not serve this actor.
        """
        if waits:
            if self.begin(use, timeout_s, until_evaluation=True):
                return True
            return None if self._client.evaluation_is_wanted else False
        # While a learner evaluates, it takes no training data and credit runs out. Episodes must
        # still be stepped to their ends, so that an evaluation can begin.
        if needs_batch and self._client.may_begin() and self.begin(use, 0.0):
            return True
        return self.wait_for_policy(use, timeout_s)

    def wait_for_policy(self, use: UsePolicy, timeout_s: float | None) -> bool:
        """Waits for a usable policy, to act without a batch; returns whether there is one.

        Raises:
            ConfigError: raised by `use`.
            RefusedError: the broker will not serve this actor.
        """
        update = self._client.policy_update(timeout_s)
        while update is not None and not can_use(update, use):
            update = self._client.policy_update_after(update.version, timeout_s)
        return update is not None

    def is_full(self, env_steps: int) -> bool:
        """Returns whether the open batch ends now, given the env steps recorded."""
        if self._open is None or not env_steps:
            return False
        credit = self._open.permit.credit
        return (
            env_steps >= min(credit.fragment_steps, self._open.max_env_steps)
            or self._clock() >= self._open.deadline_s
            or (self._cuts_on_new_weights and self.is_outdated)
        )

    @property
    def is_outdated(self) -> bool:
        """Whether a newer policy version than the open batch's has arrived."""
        if self._open is None:
            return False
        return self._client.newest_version != self._open.permit.update.version

    def deliver(
        self, source: BatchSource, task: str | None, acted: PolicyUpdate | None = None
    ) -> None:
        """Ends the open batch, if anything was recorded: pushes it, or discards it as stale.

        Args:
            task: that of the assignment under which all of its episodes began, None without one.
            acted: the policy that acted, if not the one that the batch was begun with.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        ended, self._open = self._open, None
        if ended is None or not source.env_steps:
            return
        update = acted or ended.permit.update
        is_stale = self._client.is_outdated(update.version)
        self._has_discarded = is_stale and not self._has_discarded
        if self._has_discarded:
            self._client.count_unrecorded(source.discard_batch())
            return
        trajectories, env_steps = source.take_batch()
        self._client.push(trajectories, update, env_steps, task=task)

    @property
    def _cuts_on_new_weights(self) -> bool:
        return self._open is not None and (
            self._open.permit.update.policy.manifest.flow.cut_on_new_weights
        )


def can_use(update: PolicyUpdate, use: UsePolicy) -> bool:
    """Switches to an update if it is usable; returns whether it is."""
    try:
        use(update)
    except RemoteProtocolError as error:
        _LOG.error("cannot act with policy version %s: %s", update.version, error)
        return False
    return True
