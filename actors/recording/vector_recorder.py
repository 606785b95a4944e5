"""Assembles columnar trajectory batches from environments that step together."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from headrace.actors.recording.chunk_tables import ChunkRow, WholeEpisode, make_chunk_table
from headrace.actors.recording.step_result import Columns, StepResult
from headrace.protocol.arrays import Array
from headrace.protocol.errors import LocalProtocolError
from headrace.protocol.manifest import DEFAULT_MODULE
from headrace.protocol.trajectory import (
    DEFAULT_AGENT,
    EPISODE_ID_BYTES,
    REWARDS,
    ModuleTrajectories,
    TrajectoryBatch,
)

Clock = Callable[[], float]


@dataclass(frozen=True)
class _Row:
    """One step as the recorder keeps it."""

    observations: Columns
    outputs: Columns
    rewards: Array


@dataclass
class _Episode:
    episode_id: bytes
    started_at_s: float
    t: int = 0
    total_reward: float = 0.0


@dataclass(frozen=True)
class _Segment:
    """A chunk in the making: rows [start, stop) of one environment, and its lookback."""

    environment: int
    start: int
    stop: int
    lookback: int
    episode: _Episode
    t_started: int
    terminated: bool
    truncated: bool
    seconds: float
    final: Mapping[str, Array] | None


class VectorRecorder:
    """Records steps of n environments and cuts them into batches of chunks.

    Arrays are kept, not copied: do not reuse them before their batch is taken.

    Call `record` after each step, and `take_batch` whenever a batch should end; episodes continue
    across batches. Every chunk includes up to `lookback` earlier steps of its episode.
    """

    def __init__(self, environments: int, clock: Clock, lookback: int = 0) -> None:
        self._clock = clock
        self._lookback = lookback
        self._rows: list[_Row] = []
        self._segments: list[_Segment] = []
        # Rows at which each environment's next chunk, and its episode, begin; the latter row may
        # already be gone.
        self._starts = [0] * environments
        self._episode_starts = [0] * environments
        self._episodes = [self._new_episode() for _ in range(environments)]
        self.env_steps = 0

    def record(self, acted_on: Columns, outputs: Columns, step: StepResult) -> None:
        """Records one step of all environments.

        Args:
            acted_on: the observations that were acted on, in recorded form, [n, …] each.
            outputs: the other recorded columns, [n, …] each: `actions`, `action_logp`, ….
            step: the result; its final observations in recorded form.
        """
        row = len(self._rows)
        self._rows.append(_Row(acted_on, outputs, step.rewards))
        rewards = step.rewards.tolist()
        terminated, truncated = step.terminated.tolist(), step.truncated.tolist()
        for index, episode in enumerate(self._episodes):
            if step.is_reset_step is not None and step.is_reset_step[index]:
                self._starts[index] = self._episode_starts[index] = row + 1
                continue
            episode.t += 1
            episode.total_reward += rewards[index]
            self.env_steps += 1
            if terminated[index] or truncated[index]:
                self._end_episode(index, row + 1, step)

    def is_at_start(self, index: int) -> bool:
        """Returns whether an environment's next step is the first of its episode."""
        return self._episodes[index].t == 0

    def steps_of(self, index: int) -> int:
        """Returns how many steps an environment's open episode has."""
        return self._episodes[index].t

    def begin_episode(self, index: int) -> None:
        """Begins an episode, with its clock, in an environment that is at the start of one."""
        self._episodes[index] = self._new_episode()

    def abandon(self) -> None:
        """Forgets all episodes and the batch; the next step starts new episodes."""
        count = len(self._episodes)
        self._rows, self._segments, self.env_steps = [], [], 0
        self._starts, self._episode_starts = [0] * count, [0] * count
        self._episodes = [self._new_episode() for _ in range(count)]

    def drop_episode(self, index: int) -> int:
        """Forgets an open episode's steps since the last batch, and returns its env steps.

        The environment's next step starts a new episode; episodes that ended stay in the batch.
        """
        row = len(self._rows)
        dropped = row - self._starts[index]
        self.env_steps -= dropped
        self._starts[index] = self._episode_starts[index] = row
        self._episodes[index] = self._new_episode()
        return dropped

    def drop_episodes(self) -> int:
        """Does what `drop_episode` does for all environments."""
        return sum(self.drop_episode(index) for index in range(len(self._episodes)))

    def take_batch(self, observations: Columns) -> tuple[TrajectoryBatch, int]:
        """Returns what was recorded since the last batch, and its env steps.

        Args:
            observations: the ones that the next step acts on, in recorded form, [n, …] each.

        Raises:
            LocalProtocolError: nothing was recorded.
        """
        if not self.env_steps:
            raise LocalProtocolError("a batch needs at least one step")
        row = len(self._rows)
        segments = list(self._segments)
        for index, episode in enumerate(self._episodes):
            if self._starts[index] < row:
                segments.append(self._segment(index, row, episode))
        batch = TrajectoryBatch(
            {
                DEFAULT_MODULE: ModuleTrajectories(
                    make_chunk_table([_chunk_row(segment) for segment in segments]),
                    self._columns(segments, observations),
                )
            }
        )
        return batch, self.discard_batch()

    def ending_with(self, observations: Columns) -> EndingBatch:
        """Returns the batch as a source for `BatchLifecycle.deliver`; see `take_batch`."""
        return EndingBatch(self, observations)

    def discard_batch(self) -> int:
        """Forgets what was recorded since the last batch, and returns its env steps.

        Episodes continue: their next chunk begins later than the last one ended.
        """
        row, env_steps = len(self._rows), self.env_steps
        self._segments = []
        kept = min(self._lookback, row)
        self._rows = self._rows[row - kept :]
        self._starts = [kept] * len(self._starts)
        self._episode_starts = [start - row + kept for start in self._episode_starts]
        self.env_steps = 0
        return env_steps

    def _end_episode(self, index: int, stop: int, step: StepResult) -> None:
        self._segments.append(
            self._segment(
                index,
                stop,
                self._episodes[index],
                terminated=bool(step.terminated[index]),
                truncated=bool(step.truncated[index]),
                final=step.final_observations.get(index),
            )
        )
        self._starts[index] = self._episode_starts[index] = stop
        self._episodes[index] = self._new_episode()

    def _segment(
        self,
        index: int,
        stop: int,
        episode: _Episode,
        *,
        terminated: bool = False,
        truncated: bool = False,
        final: Mapping[str, Array] | None = None,
    ) -> _Segment:
        start = self._starts[index]
        return _Segment(
            index,
            start,
            stop,
            min(self._lookback, start - max(self._episode_starts[index], 0)),
            episode,
            t_started=episode.t - (stop - start),
            terminated=terminated,
            truncated=truncated,
            seconds=self._clock() - episode.started_at_s,
            final=final,
        )

    def _columns(self, segments: list[_Segment], last: Columns) -> dict[str, Array]:
        columns: dict[str, Array] = {}
        for name in last:
            values = np.stack([*(row.observations[name] for row in self._rows), last[name]])
            pieces: list[Array] = []
            for segment in segments:
                first = segment.start - segment.lookback
                rows = values[first : segment.stop + 1, segment.environment]
                if segment.final is not None:
                    rows = np.concatenate([rows[:-1], segment.final[name][None]])
                pieces.append(rows)
            columns[name] = np.concatenate(pieces)
        for name in self._rows[0].outputs:
            columns[name] = _cut(np.stack([row.outputs[name] for row in self._rows]), segments)
        rewards = np.stack([row.rewards for row in self._rows]).astype(np.float32)
        columns[REWARDS] = _cut(rewards, segments)
        return columns

    def _new_episode(self) -> _Episode:
        # Not from a seeded generator: two actors with the same seed would share episode ids.
        return _Episode(secrets.token_bytes(EPISODE_ID_BYTES), self._clock())


@dataclass(frozen=True)
class EndingBatch:
    """A recorder's batch, with the observations after its last step."""

    recorder: VectorRecorder
    observations: Columns

    @property
    def env_steps(self) -> int:
        """Env steps recorded since the last batch."""
        return self.recorder.env_steps

    def take_batch(self) -> tuple[TrajectoryBatch, int]:
        """Returns the batch, and its env steps."""
        return self.recorder.take_batch(self.observations)

    def discard_batch(self) -> int:
        """Forgets the batch, and returns its env steps."""
        return self.recorder.discard_batch()


def _cut(values: Array, segments: list[_Segment]) -> Array:
    pieces = [values[part.start - part.lookback : part.stop, part.environment] for part in segments]
    cut: Array = np.concatenate(pieces)
    return cut


def _chunk_row(part: _Segment) -> ChunkRow:
    episode = part.episode
    return ChunkRow(
        episode_id=episode.episode_id,
        agent=DEFAULT_AGENT,
        env_t_started=part.t_started,
        t_started=part.t_started,
        length=part.stop - part.start,
        lookback=part.lookback,
        terminated=part.terminated,
        truncated=part.truncated,
        whole=(
            WholeEpisode(episode.t, episode.total_reward, part.seconds)
            if part.terminated or part.truncated
            else None
        ),
    )
