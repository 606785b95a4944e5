"""Chunks as RLlib episodes, without copying an array."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer
from ray.rllib.utils.metrics import WEIGHTS_SEQ_NO

from headrace.learner.spaces import nest_columns, nest_state
from headrace.protocol.policy_graph import STATE_OUT
from headrace.protocol.trajectory import ACTIONS, OBSERVATIONS, REWARDS, Chunk, is_column

_OWN_FIELDS = (OBSERVATIONS, ACTIONS, REWARDS, STATE_OUT)


def make_episode(
    chunk: Chunk, observation_space: gym.Space[Any], action_space: gym.Space[Any], number: int
) -> SingleAgentEpisode:
    """Returns a chunk as an episode chunk in RLlib's numpy form; its arrays are the chunk's views.

    Every column goes in as a ready `InfiniteLookbackBuffer`: given plain arrays the constructor
    compares them with lists, and `from_state` is twenty times slower.

    Args:
        number: the policy version's number, recorded at every step as RLlib's own runner does.
    """
    lookback, rows = chunk.lookback, chunk.lookback + chunk.length
    columns = chunk.columns

    def buffer(data: Any, space: gym.Space[Any] | None = None) -> InfiniteLookbackBuffer:
        return InfiniteLookbackBuffer(data=data, lookback=lookback, space=space)

    extras = {
        name: buffer(values)
        for name, values in columns.items()
        if not any(is_column(own, name) for own in _OWN_FIELDS)
    }
    state = {
        name.removeprefix(f"{STATE_OUT}/"): values
        for name, values in columns.items()
        if is_column(STATE_OUT, name)
    }
    if state:
        extras[Columns.STATE_OUT] = buffer(nest_state(state))
    extras[WEIGHTS_SEQ_NO] = buffer(np.full(rows, number, np.int64))
    return SingleAgentEpisode(
        id_=chunk.episode_id,
        observations=buffer(nest_columns(observation_space, columns), observation_space),
        observation_space=observation_space,
        actions=buffer(columns[Columns.ACTIONS], action_space),
        action_space=action_space,
        rewards=buffer(columns[Columns.REWARDS]),
        infos=buffer([{} for _ in range(rows + 1)]),
        extra_model_outputs=extras,
        terminated=chunk.terminated,
        truncated=chunk.truncated,
        t_started=chunk.t_started,
        len_lookback_buffer=lookback,
    )
