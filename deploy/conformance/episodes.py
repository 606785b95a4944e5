"""Checks that the chunks of an actor's batches form whole episodes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from headrace.deploy.conformance.violations import Section, fail
from headrace.protocol.arrays import Array
from headrace.protocol.manifest import Manifest
from headrace.protocol.trajectory import OBSERVATIONS, REWARDS, Chunk, TrajectoryBatch

_TOLERANCE = 1e-3


@dataclass(frozen=True)
class _Open:
    """The part of an episode that was recorded so far, and its last `lookback` + 1 observations.

    Attributes:
        total_reward: NaN if some steps were not recorded.
    """

    t: int
    total_reward: float
    observations: Array


class EpisodeWatch:
    """Follows each episode of one agent through the chunks of accepted batches, in order.

    Attributes:
        missing_env_steps: env steps missing between chunks, which the actor must count as
            unrecorded.
    """

    def __init__(self) -> None:
        self.missing_env_steps = 0
        self._open: dict[str, _Open] = {}
        self._ended: set[str] = set()

    def watch(self, batch: TrajectoryBatch, manifest: Manifest) -> None:
        """Checks the next batch.

        Raises:
            Violation: a chunk does not continue its episode, or reports its end wrongly.
        """
        for chunk in batch:
            self._watch(chunk, manifest.modules[chunk.module_id].lookback)

    def _watch(self, chunk: Chunk, lookback: int) -> None:
        if chunk.episode_id in self._ended:
            _fail(chunk, "follows the episode's end: a new episode needs a new id")
        if chunk.env_t_started != chunk.t_started:
            _fail(chunk, "has an env_t_started other than t_started, although it has one agent")
        nothing = _Open(0, 0.0, chunk.columns[OBSERVATIONS][:1])
        before = self._open.pop(chunk.episode_id, nothing)
        missing = chunk.t_started - before.t
        if missing < 0:
            _fail(chunk, f"starts at step {chunk.t_started}, although {before.t} were delivered")
        if missing == 0:
            _check_continues(chunk, before, min(lookback, chunk.t_started))
        self.missing_env_steps += missing
        rewards = np.sum(chunk.columns[REWARDS][chunk.lookback :], dtype=np.float64)
        total_reward = before.total_reward + float(rewards) if not missing else math.nan
        t = chunk.t_started + chunk.length
        if chunk.is_done:
            _check_end(chunk, t, total_reward)
            self._ended.add(chunk.episode_id)
        else:
            observations = chunk.columns[OBSERVATIONS][-(lookback + 1) :]
            self._open[chunk.episode_id] = _Open(t, total_reward, observations)


def _check_continues(chunk: Chunk, before: _Open, lookback: int) -> None:
    if chunk.lookback != lookback:
        _fail(chunk, f"has a lookback of {chunk.lookback} steps instead of {lookback}")
    overlap = chunk.columns[OBSERVATIONS][: lookback + 1]
    if not np.array_equal(overlap, before.observations[-(lookback + 1) :]):
        _fail(
            chunk,
            "does not start with the observations that its previous chunk ended with: after the "
            "lookback, the last observation of a chunk is the first one of the next",
        )


def _check_end(chunk: Chunk, t: int, total_reward: float) -> None:
    if chunk.episode_length != t:
        _fail(chunk, f"ended after {t} steps but reports {chunk.episode_length}")
    is_known = not math.isnan(total_reward)
    found = chunk.episode_return
    if is_known and not math.isclose(found, total_reward, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
        _fail(chunk, f"reports a return of {found}, but its rewards sum to {total_reward}")


def _fail(chunk: Chunk, what: str) -> None:
    fail(Section.TRAJECTORIES, f"sent a chunk of the episode {chunk.episode_id} that {what}")
