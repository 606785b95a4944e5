from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from support.examples import make_batch, make_columns, make_table

from headrace.learner.episodes.single_agent_episodes import EpisodeMaker
from headrace.learner.spaces import leaf_spaces, nest_columns
from headrace.protocol.trajectory import ModuleTrajectories, TrajectoryBatch

OBSERVATION = Box(-1e6, 1e6, (4,))
ACTION: Discrete[Any] = Discrete(2)
MAKER = EpisodeMaker(OBSERVATION, ACTION)


def test_an_episode_equals_one_built_with_add_env_step() -> None:
    chunk = next(iter(make_batch([3, 2])))
    made = MAKER.make(chunk, number=7)
    columns = chunk.columns
    native = SingleAgentEpisode(
        id_=chunk.episode_id, observation_space=OBSERVATION, action_space=ACTION
    )
    native.add_env_reset(columns["obs"][0])
    for t in range(3):
        native.add_env_step(
            columns["obs"][t + 1],
            columns["actions"][t],
            columns["rewards"][t],
            terminated=t == 2,
            extra_model_outputs={
                "action_logp": columns["action_logp"][t],
                "weights_seq_no": 7,
            },
        )
    native.to_numpy()
    assert made.is_numpy
    np.testing.assert_array_equal(made.get_observations(), native.get_observations())
    np.testing.assert_array_equal(made.get_actions(), native.get_actions())
    np.testing.assert_array_equal(made.get_rewards(), native.get_rewards())
    assert made.get_infos() == native.get_infos()
    for key in native.extra_model_outputs:
        np.testing.assert_array_equal(
            made.get_extra_model_outputs(key), native.get_extra_model_outputs(key)
        )
    assert (made.id_, made.t, made.t_started, made.is_terminated, len(made)) == (
        native.id_,
        native.t,
        native.t_started,
        native.is_terminated,
        len(native),
    )


def test_an_episodes_arrays_are_views_of_the_batch() -> None:
    batch = make_batch([3, 2])
    episode = MAKER.make(next(iter(batch)), number=1)
    [part] = batch.modules.values()
    assert np.shares_memory(episode.observations.data, part.columns["obs"])
    assert np.shares_memory(episode.rewards.data, part.columns["rewards"])


def test_a_lookback_is_context_and_not_part_of_the_chunk() -> None:
    table = make_table([2], lookback=np.array([1], np.int32), t_started=np.array([5], np.int64))
    batch = TrajectoryBatch({"m": ModuleTrajectories(table, make_columns([3]))})
    episode = MAKER.make(next(iter(batch)), number=1)
    assert (len(episode), episode.t_started, episode.t) == (2, 5, 7)
    assert len(episode.get_observations()) == 3
    np.testing.assert_array_equal(
        episode.get_observations(-1, neg_index_as_lookback=True),
        make_columns([3])["obs"][0],
    )


def test_nested_observations_are_nested_again() -> None:
    space = Dict({"a": Box(0, 1, (2,)), "b": Dict({"c": Discrete(3)})})
    columns = {"obs/a": 1, "obs/b/c": 2}
    assert set(leaf_spaces(space, "obs")) == set(columns)
    assert nest_columns(space, columns) == {"a": 1, "b": {"c": 2}}
