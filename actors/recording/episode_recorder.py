"""Assembles columnar trajectory batches from episodes that step independently."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from headrace.actors.recording.chunk_tables import ChunkRow, WholeEpisode, make_chunk_table
from headrace.actors.recording.step_result import Columns, Ending
from headrace.actors.recording.tracks import Episode, Step, Track
from headrace.protocol.arrays import Array
from headrace.protocol.ended_episodes import EndedEpisode
from headrace.protocol.errors import LocalProtocolError
from headrace.protocol.manifest import Manifest
from headrace.protocol.trajectory import (
    ENV_T,
    REWARDS,
    ModuleTrajectories,
    TrajectoryBatch,
)

Clock = Callable[[], float]


@dataclass(frozen=True)
class _Segment:
    """A chunk in the making: consecutive steps of one agent, and its observation after them."""

    track: Track
    steps: list[Step]
    lookback: int
    t_started: int
    last_observations: Columns
    ending: Ending | None
    seconds: float


class EpisodeRecorder:
    """Records completed steps, and cuts them into batches of chunks.

    A step in progress when a batch is taken goes into the next one. Arrays are kept, not copied:
    do not reuse them before their batch is taken.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lookbacks: Mapping[str, int] = {}
        self._tracks: dict[Track, None] = {}
        self._is_multi_agent = False
        self._timed: set[str] = set()
        """Modules that record the env step of each observation."""
        self._segments: list[_Segment] = []
        self._ended: dict[int, EndedEpisode] = {}
        """By index in `_segments`."""
        self._env_steps: set[tuple[bytes, int]] = set()
        self._generation = 0

    @property
    def env_steps(self) -> int:
        """Env steps in the batch so far; simultaneous steps of several agents count once."""
        return len(self._env_steps)

    @property
    def task(self) -> str | None:
        """The task under which all episodes in the batch began; None for none or several."""
        tasks = {part.track.episode.task for part in self._segments}
        tasks.update(track.episode.task for track in self._tracks if len(track.steps) > track.kept)
        return tasks.pop() if len(tasks) == 1 else None

    def adopt(self, manifest: Manifest) -> None:
        """Switches to another manifest, and forgets what was recorded so far."""
        self._generation += 1
        self._lookbacks = {name: module.lookback for name, module in manifest.modules.items()}
        self._is_multi_agent = manifest.multi_agent
        self._timed = {
            name
            for name, module in manifest.modules.items()
            if any(column.name == ENV_T for column in module.columns)
        }
        self._segments, self._ended = [], {}
        self._env_steps.clear()
        for track in self._tracks:
            track.steps, track.kept = [], 0

    def observe(self, track: Track, observations: Columns) -> bool:
        """Completes the step in progress, if any, with the agent's next observation.

        Returns:
            Whether it completed an unrecorded step of a recorded episode.
        """
        step = track.complete()
        former_observations = track.last_observations
        track.last_observations = self._with_time(track, observations)
        if step is None:
            return False
        if step.is_recorded and step.generation == self._generation:
            self._tracks[track] = None
            track.steps.append(step)
            self._env_steps.add((track.episode.episode_id, step.env_t))
            return False
        if len(track.steps) > track.kept:
            self._cut(track, former_observations, None, t_stop=track.t - 1)
        track.steps, track.kept = [], 0
        return track.episode.is_recorded

    def act(
        self, track: Track, observations: Columns, outputs: Columns, *, is_recorded: bool
    ) -> None:
        """Begins a step.

        Args:
            observations: the input of the action, in recorded form.
            outputs: recorded outputs of the policy: `actions`, `action_logp`, ….
        """
        track.last_observations = self._with_time(track, observations)
        recorded = is_recorded and track.episode.is_recorded
        track.in_progress = Step(
            track.last_observations, outputs, track.episode.env_t, recorded, self._generation
        )

    def end(self, track: Track, observations: Columns, ending: Ending) -> bool:
        """Ends an agent's episode with its last observation; returns what `observe` does."""
        is_missed = self.observe(track, observations)
        if len(track.steps) > track.kept:
            self._cut(track, track.last_observations, ending, t_stop=track.t)
        self._leave(track)
        return is_missed

    def cut_off(self, track: Track) -> None:
        """Truncates an agent's episode at its last observation, without its last action."""
        track.in_progress = None
        self.end(track, track.last_observations, Ending(terminated=False, truncated=True))

    def forget(self, track: Track) -> None:
        """Leaves an agent's episode unended; keeps what was recorded of it."""
        if len(track.steps) > track.kept:
            self._cut(track, track.last_observations, None, t_stop=track.t)
        self._leave(track)

    def drop_episode(self, episode: Episode) -> int:
        """Forgets an episode's steps since the last batch, and returns their env steps."""
        self._tracks = {track: None for track in self._tracks if track.episode is not episode}
        kept = [n for n, part in enumerate(self._segments) if part.track.episode is not episode]
        self._ended = {new: self._ended[n] for new, n in enumerate(kept) if n in self._ended}
        self._segments = [self._segments[n] for n in kept]
        dropped = {step for step in self._env_steps if step[0] == episode.episode_id}
        self._env_steps -= dropped
        return len(dropped)

    def end_episode(self, episode: Episode, *, truncated: bool) -> None:
        """Records the end of an episode that all of its agents have left."""
        own = [n for n, part in enumerate(self._segments) if part.track.episode is episode]
        if own and self._is_multi_agent:
            self._ended[own[-1]] = EndedEpisode(
                chunk=0,  # set when the batch is taken
                truncated=truncated,
                env_steps=episode.env_t,
                episode_s=self._clock() - episode.started_at_s,
                agents=episode.totals,
            )

    def take_batch(self) -> tuple[TrajectoryBatch, int]:
        """Returns what was recorded since the last batch, and its env steps.

        Raises:
            LocalProtocolError: nothing was recorded.
        """
        if not self._env_steps:
            raise LocalProtocolError("a batch needs at least one step")
        self._cut_all()
        by_module: dict[str, list[_Segment]] = {}
        ended: dict[str, list[EndedEpisode]] = {}
        for index, segment in enumerate(self._segments):
            own = by_module.setdefault(segment.track.module, [])
            if index in self._ended:
                here = msgspec.structs.replace(self._ended[index], chunk=len(own))
                ended.setdefault(segment.track.module, []).append(here)
            own.append(segment)
        batch = TrajectoryBatch(
            {
                module: ModuleTrajectories(
                    make_chunk_table(list(map(_chunk_row, segments)), ended.get(module, ())),
                    _columns(segments),
                )
                for module, segments in by_module.items()
            }
        )
        return batch, self._forget_batch()

    def discard_batch(self) -> int:
        """Forgets what was recorded since the last batch, and returns its env steps."""
        self._cut_all()
        return self._forget_batch()

    def _forget_batch(self) -> int:
        env_steps = self.env_steps
        self._segments, self._ended = [], {}
        self._env_steps.clear()
        return env_steps

    def _with_time(self, track: Track, observations: Columns) -> Columns:
        if track.module not in self._timed:
            return observations
        return {**observations, ENV_T: np.array([track.episode.env_t], np.int64)}

    def _leave(self, track: Track) -> None:
        self._tracks.pop(track, None)
        track.episode.leave(track)

    def _cut_all(self) -> None:
        for track in list(self._tracks):
            if len(track.steps) > track.kept:
                self._cut(track, track.last_observations, None, t_stop=track.t)
            lookback = self._lookbacks.get(track.module, 0)
            track.steps = track.steps[len(track.steps) - min(lookback, len(track.steps)) :]
            track.kept = len(track.steps)

    def _cut(
        self, track: Track, last_observations: Columns, ending: Ending | None, t_stop: int
    ) -> None:
        self._segments.append(
            _Segment(
                track,
                track.steps,
                lookback=track.kept,
                t_started=t_stop - (len(track.steps) - track.kept),
                last_observations=last_observations,
                ending=ending,
                seconds=self._clock() - track.episode.started_at_s,
            )
        )
        track.kept = len(track.steps)


def _columns(segments: list[_Segment]) -> dict[str, Array]:
    columns: dict[str, Array] = {}
    for name in segments[0].last_observations:
        columns[name] = np.concatenate(
            [
                row
                for segment in segments
                for row in (
                    *(step.observations[name] for step in segment.steps),
                    segment.last_observations[name],
                )
            ]
        )
    steps = [step for segment in segments for step in segment.steps]
    for name in steps[0].outputs:
        columns[name] = np.concatenate([step.outputs[name] for step in steps])
    columns[REWARDS] = np.array([step.reward for step in steps], np.float32)
    return columns


def _chunk_row(part: _Segment) -> ChunkRow:
    track, ending, trained = part.track, part.ending, part.steps[part.lookback :]
    return ChunkRow(
        episode_id=track.episode.episode_id,
        agent=track.agent,
        env_t_started=trained[0].env_t,
        t_started=part.t_started,
        length=len(trained),
        lookback=part.lookback,
        terminated=ending is not None and ending.terminated,
        truncated=ending is not None and ending.truncated,
        whole=(
            WholeEpisode(track.t, track.total_reward, part.seconds) if ending is not None else None
        ),
    )
