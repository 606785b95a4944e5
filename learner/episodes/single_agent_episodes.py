"""Chunks as RLlib episodes, without copying an array."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer
from ray.rllib.utils.metrics import WEIGHTS_SEQ_NO

from headrace.learner.spaces import nest_columns, nest_state
from headrace.protocol.arrays import Array
from headrace.protocol.policy_graph import STATE_OUT
from headrace.protocol.trajectory import (
    ACTIONS,
    ENV_T,
    INFOS,
    OBSERVATIONS,
    REWARDS,
    Chunk,
    is_column,
)

_OWN_FIELDS = (OBSERVATIONS, ACTIONS, REWARDS, STATE_OUT, ENV_T, INFOS)


@dataclass(frozen=True)
class _ColumnNames:
    """The columns of a batch by kind; all chunks of a run have the same columns."""

    all: tuple[str, ...]
    state: dict[str, str]
    infos: dict[str, str]
    others: tuple[str, ...]

    @classmethod
    def of(cls, columns: Mapping[str, Array]) -> _ColumnNames:
        state = {n: n.removeprefix(f"{STATE_OUT}/") for n in columns if is_column(STATE_OUT, n)}
        infos = {n: n.removeprefix(f"{INFOS}/") for n in columns if is_column(INFOS, n)}
        others = [n for n in columns if not any(is_column(own, n) for own in _OWN_FIELDS)]
        return cls(tuple(columns), state, infos, tuple(others))


class EpisodeMaker:
    """Makes episode chunks in RLlib's numpy form; their arrays are views of the chunks'.

    Episodes and buffers are copies of empty ones that RLlib made. Its constructors inspect the
    spaces each time, which takes longer than all the rest, and would cap the lookback at the number
    of a nested column's parts; `from_state` is twenty times slower still.
    """

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self._observation_space = observation_space
        self._action_space = action_space
        self._plain = InfiniteLookbackBuffer(data=np.zeros(0))
        self._observations = InfiniteLookbackBuffer(data=np.zeros(0), space=observation_space)
        self._actions = InfiniteLookbackBuffer(data=np.zeros(0), space=action_space)
        self._episode = SingleAgentEpisode(
            observations=self._observations,
            observation_space=observation_space,
            actions=self._actions,
            action_space=action_space,
            rewards=self._plain,
            infos=self._plain,
            extra_model_outputs={},
            len_lookback_buffer=0,
        )
        self._fixed = [
            (name, getattr(self._episode, name))
            for name in SingleAgentEpisode.__slots__
            if hasattr(self._episode, name)
        ]
        self._names = _ColumnNames((), {}, {}, ())

    def make(self, chunk: Chunk, number: int, name: str | None = None) -> SingleAgentEpisode:
        """Returns a chunk as an episode.

        Args:
            name: the episode's id in RLlib, if it is not the chunk's.
            number: that of the policy version; recorded at every step, as RLlib's runner does.
        """
        columns, lookback = chunk.columns, chunk.lookback
        names = self._names
        if names.all != tuple(columns):
            names = self._names = _ColumnNames.of(columns)
        rows = lookback + chunk.length

        def buffer(data: Any, template: InfiniteLookbackBuffer) -> InfiniteLookbackBuffer:
            made = InfiniteLookbackBuffer.__new__(InfiniteLookbackBuffer)
            made.__dict__.update(template.__dict__, data=data, lookback=lookback)
            return made

        plain = self._plain
        extras = {name: buffer(columns[name], plain) for name in names.others}
        if names.state:
            state = nest_state({path: columns[name] for name, path in names.state.items()})
            extras[Columns.STATE_OUT] = buffer(state, plain)
        extras[WEIGHTS_SEQ_NO] = buffer(np.full(rows, number, np.int64), plain)
        observations = nest_columns(self._observation_space, columns)
        actions = nest_columns(self._action_space, columns, ACTIONS)
        episode = SingleAgentEpisode.__new__(SingleAgentEpisode)
        for slot, value in self._fixed:
            setattr(episode, slot, value)
        episode.id_ = name or chunk.episode_id
        episode.observations = buffer(observations, self._observations)
        episode.actions = buffer(actions, self._actions)
        episode.rewards = buffer(columns[REWARDS], plain)
        episode.infos = buffer(_infos(columns, names.infos, rows), plain)
        episode.infos.finalized = False
        episode.extra_model_outputs = extras
        episode.is_terminated = chunk.terminated
        episode.is_truncated = chunk.truncated and not chunk.terminated
        episode.t_started, episode.t = chunk.t_started, chunk.t_started + chunk.length
        episode._custom_data = {}  # pyright: ignore[reportPrivateUsage]
        return episode


def _infos(
    columns: Mapping[str, Array], keys: Mapping[str, str], rows: int
) -> list[dict[str, float]]:
    """Returns the info dict that came with each observation; the first one is empty."""
    if not keys:
        # One empty dict for all steps: hundreds of them keep the garbage collector busy.
        return [{}] * (rows + 1)
    values = {key: columns[name].tolist() for name, key in keys.items()}
    steps = [
        {key: column[row] for key, column in values.items() if not math.isnan(column[row])}
        for row in range(rows)
    ]
    return [{}, *steps]
