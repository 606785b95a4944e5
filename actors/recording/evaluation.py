"""One evaluation episode of an actor, from its permit to its delivery."""

from __future__ import annotations

from headrace.actors.connection.broker_client import BrokerClient, EvaluationPermit
from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.actors.recording.batch_lifecycle import (
    BatchLifecycle,
    BatchSource,
    UsePolicy,
    can_use,
)
from headrace.protocol.batch_sizes import most_env_steps
from headrace.protocol.errors import LocalProtocolError


class Evaluation:
    """An evaluation episode in progress: `deliver` it once it has ended, or give it back.

    Credit is for sequence numbers, and an evaluation uses one although it needs no credit. So an
    open training batch has to be delivered before an evaluation.
    """

    def __init__(
        self, client: BrokerClient, batches: BatchLifecycle, permit: EvaluationPermit
    ) -> None:
        self._client = client
        self._batches = batches
        self._permit = permit
        self._max_env_steps_of_part = most_env_steps(
            permit.update.policy.manifest, permit.max_payload_bytes
        )

    @property
    def max_env_steps(self) -> int | None:
        """The env steps at which the episode is truncated; None for no limit."""
        return self._permit.max_env_steps

    def is_complete(self, env_steps: int) -> bool:
        """Returns whether an episode with this many env steps is truncated now."""
        limit = self._permit.max_env_steps
        return limit is not None and env_steps >= limit

    def is_part_full(self, env_steps: int) -> bool:
        """Returns whether to deliver a part of the episode now, since a payload holds no more."""
        return env_steps >= self._max_env_steps_of_part

    @property
    def update(self) -> PolicyUpdate:
        """The policy to act with, greedily."""
        return self._permit.update

    @classmethod
    def begin(
        cls, client: BrokerClient, batches: BatchLifecycle, use: UsePolicy
    ) -> Evaluation | None:
        """Takes on an episode, if one is wanted and its policy is usable.

        Args:
            batches: the training batches of the same client.
        """
        permit = client.begin_evaluation()
        if permit is None:
            return None
        begun = cls(client, batches, permit)
        if can_use(permit.update, use):
            return begun
        begun.give_back()
        return None

    def deliver(self, source: BatchSource, *, more: bool = False) -> None:
        """Pushes the whole episode, or the rest of it.

        Args:
            more: push what was recorded so far; the episode continues.

        Raises:
            LocalProtocolError: a training batch is open.
            RefusedError: the broker will not serve this actor.
        """
        if self._batches.is_open:
            raise LocalProtocolError("deliver the open batch before an evaluation")
        trajectories, env_steps = source.take_batch()
        self._client.push(
            trajectories,
            self._permit.update,
            env_steps,
            task=self._permit.task,
            purpose="evaluate",
            more=more,
        )

    def give_back(self) -> None:
        """Reports that the episode was not finished, so that another one replaces it."""
        self._client.give_back_evaluation(self._permit.task)
