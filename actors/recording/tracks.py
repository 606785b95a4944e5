"""Episodes, and each agent's track through one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.actors.recording.step_result import Columns
from headrace.protocol.ended_episodes import AgentTotals
from headrace.protocol.errors import LocalProtocolError
from headrace.protocol.trajectory import EPISODE_ID_BYTES, INFOS


@dataclass
class Step:
    """One step of an agent: observations, outputs of the policy, and the reward so far."""

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
        is_broken: whether a value in it was not finite, or its simulator failed.
        task: that of the assignment under which it began, None without one.
        env_t: number of env steps begun.
    """

    def __init__(
        self, started_at_s: float, *, is_recorded: bool = True, task: str | None = None
    ) -> None:
        # Not from a seeded generator: two actors with the same seed would share episode ids.
        self.episode_id = secrets.token_bytes(EPISODE_ID_BYTES)
        self.started_at_s = started_at_s
        self.is_recorded = is_recorded
        self.is_broken = False
        self.task = task
        self.env_t = 0
        self._left: dict[tuple[str, str], AgentTotals] = {}

    def begin_again(self, started_at_s: float) -> None:
        """Becomes another episode of a simulator that continues."""
        self.episode_id = secrets.token_bytes(EPISODE_ID_BYTES)
        self.started_at_s = started_at_s
        self.env_t = 0
        self._left = {}

    def leave(self, track: Track) -> None:
        """Adds to the totals of an agent that leaves; if it returns, it is the same agent."""
        key = (track.agent, track.module)
        before = self._left.get(key, AgentTotals(*key, 0, 0.0))
        self._left[key] = AgentTotals(
            *key, before.steps + track.t, before.episode_return + track.total_reward
        )

    @property
    def totals(self) -> tuple[AgentTotals, ...]:
        """The totals of all agents that have left."""
        return tuple(self._left.values())


class Track:
    """One agent's track through an episode: `observe`, `act`, `reward`, and `observe` again.

    Attributes:
        state: the policy's state after its last action; empty at the start.
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
        self.in_progress: Step | None = None
        self.last_observations: Columns = {}
        self.state: Columns = {}

    @property
    def last_reward(self) -> float:
        """The reward of the last action so far; 0 at the start of an episode."""
        return self._completed_reward if self.in_progress is None else self.in_progress.reward

    def stop_recording(self) -> None:
        """Forgets the steps that have not been cut into a chunk, and that in progress."""
        self.steps, self.kept = [], 0
        if self.in_progress is not None:
            self.in_progress.is_recorded = False

    def complete(self) -> Step | None:
        """Ends the step in progress, if any, and returns it."""
        step, self.in_progress = self.in_progress, None
        if step is not None:
            self.t += 1
            self._completed_reward = step.reward
            self.total_reward += step.reward
        return step

    def reward(self, reward: float) -> None:
        """Adds to the reward of the step in progress.

        Raises:
            LocalProtocolError: no step is in progress.
        """
        if self.in_progress is None:
            raise LocalProtocolError(f"a reward for agent {self.agent!r} before its first action")
        self.in_progress.reward += reward

    def inform(self, infos: Mapping[str, float]) -> None:
        """Records infos of the step in progress.

        Raises:
            LocalProtocolError: no step is in progress.
        """
        if self.in_progress is None:
            raise LocalProtocolError(f"an info for agent {self.agent!r} before its first action")
        for key, number in infos.items():
            column = self.in_progress.outputs.get(f"{INFOS}/{key}")
            if column is not None:  # else the step began before this key was wanted
                column[0] = number
