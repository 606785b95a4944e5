"""Episodes, and each agent's way through one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.protocol.arrays import Array
from headrace.protocol.ended_episodes import AgentTotals
from headrace.protocol.errors import LocalProtocolError
from headrace.protocol.trajectory import EPISODE_ID_BYTES, INFOS

Columns = Mapping[str, Array]
"""Arrays with one row, by column name."""


@dataclass
class Step:
    """What was acted on and with, and since then came of it."""

    observations: Columns
    outputs: Columns
    env_t: int
    is_recorded: bool
    generation: int
    reward: float = 0.0


class Episode:
    """One episode of a simulator, with one agent or many.

    Attributes:
        is_recorded: whether its steps may be trained on.
        task: of the assignment that it began under, None without one.
        env_t: env steps that it has begun.
    """

    def __init__(
        self, started_at_s: float, *, is_recorded: bool = True, task: str | None = None
    ) -> None:
        # Not from a seeded generator: two actors of one seed would share their episodes' names.
        self.episode_id = secrets.token_bytes(EPISODE_ID_BYTES)
        self.started_at_s = started_at_s
        self.is_recorded = is_recorded
        self.task = task
        self.env_t = 0
        self._left: dict[tuple[str, str], AgentTotals] = {}

    def leave(self, track: Track) -> None:
        """Notes what an agent did that leaves; one that comes back is counted as the same."""
        key = (track.agent, track.module)
        before = self._left.get(key, AgentTotals(*key, 0, 0.0))
        self._left[key] = AgentTotals(
            *key, before.steps + track.t, before.episode_return + track.total_reward
        )

    @property
    def totals(self) -> tuple[AgentTotals, ...]:
        """What all did that have left."""
        return tuple(self._left.values())


class Track:
    """One agent's way through an episode: `observe`, `act`, `reward`, and `observe` again.

    Attributes:
        state: what the policy's last action left for the next one; empty at the start.
    """

    def __init__(self, episode: Episode, agent: str, module: str) -> None:
        self.episode = episode
        self.agent = agent
        self.module = module
        self.total_reward = 0.0
        self._completed_reward = 0.0
        self.t = 0
        self.steps: list[Step] = []
        self.kept = 0
        self.under_way: Step | None = None
        self.last_observations: Columns = {}
        self.state: Columns = {}

    @property
    def last_reward(self) -> float:
        """What the last action has brought; an episode begins with 0."""
        return self._completed_reward if self.under_way is None else self.under_way.reward

    def complete(self) -> Step | None:
        """Ends the step under way, if there is one, and returns it."""
        step, self.under_way = self.under_way, None
        if step is not None:
            self.t += 1
            self._completed_reward = step.reward
            self.total_reward += step.reward
        return step

    def reward(self, reward: float) -> None:
        """Adds to what the step under way gave.

        Raises:
            LocalProtocolError: there is none.
        """
        if self.under_way is None:
            raise LocalProtocolError(f"a reward for agent {self.agent!r} before its first action")
        self.under_way.reward += reward

    def inform(self, infos: Mapping[str, float]) -> None:
        """Notes infos of the step under way.

        Raises:
            LocalProtocolError: there is none.
        """
        if self.under_way is None:
            raise LocalProtocolError(f"an info of agent {self.agent!r} before its first action")
        for key, number in infos.items():
            column = self.under_way.outputs.get(f"{INFOS}/{key}")
            if column is not None:  # else it was begun before this was wanted
                column[0] = number
