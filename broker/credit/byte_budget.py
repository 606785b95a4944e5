"""The bytes that credit may bring: what batches weigh, and how much the broker may hold."""

from __future__ import annotations

from headrace.broker.credit.averages import RecentValues
from headrace.protocol.batch_sizes import env_step_bytes, most_env_steps
from headrace.protocol.manifest import Manifest

_REMEMBERED_BATCHES = 32


class ByteBudget:
    """Weighs env steps in bytes.

    Attributes:
        max_held_bytes: what may be queued, leased and under way.
        most_env_steps: that one batch should have.
    """

    def __init__(self, max_held_bytes: float, manifest: Manifest) -> None:
        self.max_held_bytes = max_held_bytes
        self.adopt(manifest)

    def adopt(self, manifest: Manifest) -> None:
        """Switches to another manifest; batches of the former one say nothing of its own."""
        self.most_env_steps = most_env_steps(manifest)
        self._step_bytes = env_step_bytes(manifest)
        self._weighed = RecentValues(_REMEMBERED_BATCHES)

    def weigh(self, env_steps: int, size_bytes: int) -> None:
        """Records what a batch really weighed: compressed, and with its last observations."""
        self._weighed.add(size_bytes / env_steps)

    def expected_bytes(self, env_steps: int) -> int:
        """Returns what a batch will weigh: by the heaviest recent one, or by the manifest."""
        return round(env_steps * (self._weighed.largest or self._step_bytes))
