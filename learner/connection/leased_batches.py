"""The batches leased to one session that training has not taken, and what else it asks for."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from headrace.protocol.limits import DEFAULT_LIMITS, DecodeLimits
from headrace.protocol.messages import Lease
from headrace.protocol.messages.headers import Frame
from headrace.protocol.trajectory import TrajectoryBatch, unpack_batch


@dataclass(frozen=True)
class LeasedBatch:
    """A batch leased to this session for training or evaluation."""

    lease: Lease
    payload: Frame
    limits: DecodeLimits = DEFAULT_LIMITS

    def unpack(self) -> TrajectoryBatch:
        """Returns the trajectories.

        Raises:
            RemoteProtocolError: the payload is not a batch.
        """
        return unpack_batch(self.payload, compression=self.lease.compression, limits=self.limits)


class LeasedBatches:
    """First in, first out.

    Attributes:
        ready_env_steps: of the batches that `take` would return.
    """

    def __init__(self) -> None:
        self._ready: deque[LeasedBatch] = deque()
        self._wanted_steps = 0
        self._leased_steps = 0
        self.ready_env_steps = 0

    def __len__(self) -> int:
        return len(self._ready)

    def begin_session(self) -> None:
        """Counts from zero what is leased to another session."""
        self._leased_steps = 0

    def want(self, env_steps: int) -> None:
        """Sets how many env steps should be ready or in flight."""
        self._wanted_steps = env_steps

    @property
    def asked_steps(self) -> int:
        """Env steps that are asked for and not ready."""
        return max(0, self._wanted_steps - self.ready_env_steps)

    def lease_up_to_steps(self, asked_steps: int) -> int:
        """Returns the session's cumulative limit, which allows `asked_steps` more."""
        return self._leased_steps + asked_steps

    def add(self, batch: LeasedBatch, *, is_new: bool) -> None:
        """Counts a lease; its batch becomes ready unless the process had it already."""
        self._leased_steps += batch.lease.env_steps
        if is_new:
            self._ready.append(batch)
            self.ready_env_steps += batch.lease.env_steps

    def take(self) -> LeasedBatch | None:
        """Returns the next ready batch, None if there is none."""
        if not self._ready:
            return None
        batch = self._ready.popleft()
        self.ready_env_steps -= batch.lease.env_steps
        self._wanted_steps = max(0, self._wanted_steps - batch.lease.env_steps)
        return batch
