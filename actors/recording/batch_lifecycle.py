"""When a batch ends, and whether it is worth sending."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headrace.actors.connection.client import BatchPermit, Client
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Purpose
from headrace.protocol.trajectory import TrajectoryBatch


@dataclass(frozen=True)
class OpenBatch:
    """A batch in the making: one policy version, within one grant.

    Attributes:
        is_recorded: False for what is stepped only to get to the end of an episode.
    """

    permit: BatchPermit
    deadline_s: float
    is_recorded: bool = True

    @classmethod
    def begin(cls, permit: BatchPermit, now_s: float, *, is_recorded: bool = True) -> OpenBatch:
        """Begins one; without credit it has no deadline."""
        lasts_s = permit.credit.fragment_s if permit.credit is not None else float("inf")
        return cls(permit, now_s + lasts_s, is_recorded)

    def is_full(self, env_steps: int, now_s: float, newest: PolicyVersion | None) -> bool:
        """Returns whether a batch with credit ends now, with so many steps."""
        update, credit = self.permit.update, self.permit.credit
        if credit is None or not env_steps:
            return False
        cuts = update.policy.manifest.flow.cut_on_new_weights
        return (
            env_steps >= credit.fragment_steps
            or now_s >= self.deadline_s
            or (cuts and newest != update.version)
        )


class BatchDelivery:
    """Pushes finished batches, unless the broker says already that one would be stale.

    It never discards two in a row: all batches of a simulator that is slower than the learner's
    updates are stale, and that is to be seen at the broker.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._has_discarded = False

    def deliver(
        self,
        permit: BatchPermit,
        take: Callable[[], tuple[TrajectoryBatch, int]],
        discard: Callable[[], int],
        assigned: str | None,
    ) -> None:
        """Pushes what `take` returns, a batch and its env steps, or discards it.

        Args:
            assigned: the task that all of its episodes began under, None without one.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        purpose: Purpose = "train" if permit.task is None else "evaluate"
        if purpose == "train":
            is_outdated = self._client.is_outdated(permit.update.version)
            self._has_discarded = is_outdated and not self._has_discarded
            if self._has_discarded:
                self._client.count_unrecorded(discard())
                return
        trajectories, env_steps = take()
        task = permit.task or assigned
        self._client.push(trajectories, permit.update, env_steps, task=task, purpose=purpose)
