"""Assembles columnar trajectory batches from episodes that go their own ways."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from headrace.actors.recording.step_result import Ending
from headrace.actors.recording.tracks import Columns, Episode, Step, Track
from headrace.protocol.arrays import Array
from headrace.protocol.ended_episodes import EndedEpisode
from headrace.protocol.errors import LocalProtocolError
from headrace.protocol.manifest import Manifest
from headrace.protocol.trajectory import (
    ENV_T,
    EPISODE_ID_BYTES,
    REWARDS,
    ChunkTable,
    ModuleTrajectories,
    TrajectoryBatch,
)

Clock = Callable[[], float]


@dataclass(frozen=True)
class _Segment:
    """A chunk in the making: consecutive steps of one agent, and what it saw after the last."""

    track: Track
    steps: list[Step]
    lookback: int
    t_started: int
    last_observations: Columns
    ending: Ending | None
    seconds: float


class EpisodeRecorder:
    """Records steps as they are completed, and cuts them into batches of chunks.

    A step that is under way when a batch is taken goes into the next one. Arrays are kept until
    their batch is taken: pass ones that nobody reuses.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lookbacks: Mapping[str, int] = {}
        self._tracks: dict[Track, None] = {}
        self._is_multi_agent = False
        self._timed: set[str] = set()
        """Modules whose agents record when they saw what."""
        self._segments: list[_Segment] = []
        self._ended: dict[int, EndedEpisode] = {}
        """By index in `_segments`."""
        self._env_steps: set[tuple[bytes, int]] = set()
        self._generation = 0

    @property
    def env_steps(self) -> int:
        """Env steps in the batch so far: of several agents' steps at one time, one."""
        return len(self._env_steps)

    @property
    def task(self) -> str | None:
        """What all episodes in the batch so far began under; None for nothing, or for several."""
        tasks = {part.track.episode.task for part in self._segments}
        tasks.update(track.episode.task for track in self._tracks if len(track.steps) > track.kept)
        return tasks.pop() if len(tasks) == 1 else None

    def adopt(self, manifest: Manifest) -> None:
        """Records for another manifest from now on; what was recorded so far is forgotten."""
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
        """Completes the step under way, if there is one, with what the agent sees after it.

        Returns:
            Whether a step was completed that is not recorded, though its episode is.
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
            observations: what was acted on, as it is recorded.
            outputs: recorded outputs of the policy: `actions`, `action_logp`, ….
        """
        track.last_observations = self._with_time(track, observations)
        recorded = is_recorded and track.episode.is_recorded
        track.under_way = Step(
            track.last_observations, outputs, track.episode.env_t, recorded, self._generation
        )

    def end(self, track: Track, observations: Columns, ending: Ending) -> bool:
        """Ends an agent's episode with what it saw last; returns what `observe` does."""
        is_missed = self.observe(track, observations)
        if len(track.steps) > track.kept:
            self._cut(track, track.last_observations, ending, t_stop=track.t)
        self._leave(track)
        return is_missed

    def cut_off(self, track: Track) -> None:
        """Ends an agent's episode as truncated where it was seen last, without its last action."""
        track.under_way = None
        self.end(track, track.last_observations, Ending(terminated=False, truncated=True))

    def forget(self, track: Track) -> None:
        """Leaves an agent's episode without an end; what was recorded of it is kept."""
        if len(track.steps) > track.kept:
            self._cut(track, track.last_observations, None, t_stop=track.t)
        self._leave(track)

    def drop_episode(self, episode: Episode) -> int:
        """Forgets what an episode holds since the last batch, and returns its env steps."""
        self._tracks = {track: None for track in self._tracks if track.episode is not episode}
        kept = [n for n, part in enumerate(self._segments) if part.track.episode is not episode]
        self._ended = {new: self._ended[n] for new, n in enumerate(kept) if n in self._ended}
        self._segments = [self._segments[n] for n in kept]
        dropped = {step for step in self._env_steps if step[0] == episode.episode_id}
        self._env_steps -= dropped
        return len(dropped)

    def end_episode(self, episode: Episode, *, truncated: bool) -> None:
        """Tells what became of an episode that all of its agents have left."""
        own = [n for n, part in enumerate(self._segments) if part.track.episode is episode]
        if own and self._is_multi_agent:
            self._ended[own[-1]] = EndedEpisode(
                chunk=0,  # known when the batch is taken
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
                    _chunk_table(segments, ended.get(module, ())), _columns(segments)
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


def _chunk_table(segments: list[_Segment], ended: Iterable[EndedEpisode]) -> ChunkTable:
    agents = list(dict.fromkeys(segment.track.agent for segment in segments))
    numbers = {agent: number for number, agent in enumerate(agents)}
    return ChunkTable(
        agents=tuple(agents),
        episode_id=np.frombuffer(
            b"".join(segment.track.episode.episode_id for segment in segments), np.uint8
        ).reshape(-1, EPISODE_ID_BYTES),
        integers=np.array([_integers(part, numbers) for part in segments], np.int64),
        floats=np.array([_floats(part) for part in segments], np.float64),
        ended=tuple(ended),
    )


def _integers(part: _Segment, numbers: Mapping[str, int]) -> tuple[int, ...]:
    ending, trained = part.ending, part.steps[part.lookback :]
    return (
        numbers[part.track.agent],
        trained[0].env_t,
        part.t_started,
        len(trained),
        part.lookback,
        ending is not None and ending.terminated,
        ending is not None and ending.truncated,
        part.track.t if ending is not None else 0,
    )


def _floats(part: _Segment) -> Iterable[float]:
    if part.ending is None:
        return (math.nan, math.nan)
    return (part.track.total_reward, part.seconds)
