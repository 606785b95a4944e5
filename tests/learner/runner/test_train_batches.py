"""RLlib's train batches are the same, whether its own runner or actors sampled them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, cast

import gymnasium as gym
import numpy as np
import pytest
import tree
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.env_to_module import (
    FlattenObservations,
    MeanStdFilter,
    PrevActionsPrevRewards,
)
from ray.rllib.connectors.env_to_module.frame_stacking import FrameStackingEnvToModule
from ray.rllib.connectors.learner.frame_stacking import FrameStackingLearner
from ray.rllib.core.learner.learner import Learner
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from support.running import BrokerThread, Context, connect, in_thread

from headrace.actors.simulators.collector import Collector
from headrace.actors.simulators.environments import SingleEnvironment
from headrace.learner.runner.env_runner import BrokerEnvRunner

STEPS = 300


class ScriptedEnv(gym.Env[Any, Any]):
    """Observations depend only on time; rewards also on the action."""

    action_space = gym.spaces.Discrete(3)

    def __init__(self, config: Mapping[str, Any]) -> None:
        shape = (10, 10, 1) if config.get("is_image") else (4,)
        self.observation_space = gym.spaces.Box(-50.0, 50.0, shape)
        self._phase = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        self._episode = -1
        self._t = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self._episode += 1
        self._t = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._t += 1
        is_over = self._t == 7 + 5 * self._episode % 13
        terminated = is_over and self._episode % 2 == 0
        reward = 0.1 * self._t + float(action)
        return self._observe(), reward, terminated, is_over and not terminated, {}

    def _observe(self) -> Any:
        phase = self._phase + 0.3 * self._t + self._episode
        return (1.5 * np.sin(phase) + 0.1 * self._phase).astype(np.float32)


class MixedEnv(ScriptedEnv):
    """Observations of every kind that RLlib flattens."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        spaces = gym.spaces
        self.observation_space = spaces.Dict(
            {
                "position": spaces.Box(-50.0, 50.0, (4,)),
                "cards": spaces.MultiDiscrete([3, 5, 2]),
                "map": spaces.Box(0, 255, (6, 4), np.uint8),
                "inner": spaces.Tuple((spaces.Discrete(7), spaces.MultiBinary(3))),
            }
        )

    def _observe(self) -> Any:
        t = self._t + self._episode
        return {
            "position": super()._observe(),
            "cards": np.array([t % 3, t % 5, t % 2]),
            "map": (np.arange(24, dtype=np.uint8).reshape(6, 4) * 7 + t).astype(np.uint8),
            "inner": (np.int64(t % 7), np.array([t % 2, 1, 0], np.int8)),
        }


class SeededTaxi(gym.Wrapper[Any, Any, Any, Any]):
    """Taxi, whose episodes are the same whoever samples them."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(gym.make("Taxi-v3", max_episode_steps=23))
        self._episode = -1

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self._episode += 1
        return self.env.reset(seed=self._episode)


@dataclass(frozen=True)
class Case:
    env: Callable[[Mapping[str, Any]], gym.Env[Any, Any]] = ScriptedEnv
    connectors: Callable[[], list[Any]] = list
    learner_connectors: Callable[[], list[Any]] = list
    model: Mapping[str, Any] = field(default_factory=dict)
    is_image: bool = False
    lookback: int = 1

    def make_config(self, broker: BrokerThread) -> PPOConfig:
        own = {"address": broker.address, "run": "run", "pull_timeout_s": 10.0}
        config = PPOConfig().environment(
            cast("Any", self.env), env_config={"headrace": own, "is_image": self.is_image}
        )
        config.env_runners(
            num_env_runners=0,
            explore=False,
            episode_lookback_horizon=self.lookback,
            env_to_module_connector=lambda *_, **__: self.connectors(),
        )
        config.learners(num_learners=0)
        config.training(
            # Several calls of sample(), since episodes are cut only between calls.
            train_batch_size_per_learner=48,
            learner_connector=lambda *_, **__: self.learner_connectors(),
        )
        config.rl_module(model_config={"fcnet_hiddens": [16], **self.model})
        return config.debugging(log_level="ERROR", seed=1)


LSTM = {"use_lstm": True, "lstm_cell_size": 8, "max_seq_len": 5}
CONVOLUTION = {"conv_filters": [[4, 3, 2], [8, 3, 2]]}
CASES = {
    "mlp": Case(),
    "lstm": Case(model=LSTM),
    "filter": Case(connectors=lambda: [MeanStdFilter(update_stats=False)]),
    "taxi": Case(SeededTaxi, lambda: [FlattenObservations()]),
    "mixed": Case(MixedEnv, lambda: [FlattenObservations()], model=LSTM),
    "mixed and filtered": Case(
        MixedEnv, lambda: [FlattenObservations(), MeanStdFilter(update_stats=False)]
    ),
    "frames": Case(
        connectors=lambda: [FrameStackingEnvToModule(num_frames=4)],
        learner_connectors=lambda: [FrameStackingLearner(num_frames=4)],
        model=CONVOLUTION,
        is_image=True,
        lookback=3,
    ),
    "previous": Case(
        connectors=lambda: [
            PrevActionsPrevRewards(n_prev_actions=2, n_prev_rewards=3),
            FlattenObservations(),
        ],
        lookback=3,
    ),
    "all": Case(
        connectors=lambda: [
            PrevActionsPrevRewards(),
            FlattenObservations(),
            MeanStdFilter(update_stats=False),
        ],
        model=LSTM,
    ),
}
_QUICK = {"mlp", "frames", "taxi"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in _QUICK else pytest.mark.slow) for name in CASES],
)
def test_train_batches_equal_those_of_rllibs_own_runner(
    name: str, broker: BrokerThread, context: Context
) -> None:
    config = CASES[name].make_config(broker)
    ours, native = BrokerEnvRunner(config=config, worker_index=0), _native_runner(config)
    learner = config.build_learner(env=None, spaces=ours.get_spaces())
    weights = learner.get_state(components="rl_module", inference_only=True)["rl_module"]
    state = {"rl_module": weights, "weights_seq_no": 1}
    if statistics := _statistics(native):
        state["env_to_module_connector"] = statistics
    for runner in (ours, native):
        runner.set_state(dict(state))
    chunks = _sample_from_actor(ours, broker, context, CASES[name])
    expected = [
        episode for chunk in chunks for episode in native.sample(num_timesteps=sum(map(len, chunk)))
    ]
    found = [episode for chunk in chunks for episode in chunk]
    assert [len(episode) for episode in found] == [len(episode) for episode in expected]
    assert any(not episode.is_done for episode in found[:-1]), "no episode was cut in the middle"
    _assert_equal(_train_batch(learner, found), _train_batch(learner, expected))
    native.stop()


def _native_runner(config: PPOConfig) -> SingleAgentEnvRunner:
    own = config.copy(copy_frozen=False)
    own.env_runners(env_runner_cls=SingleAgentEnvRunner)
    return SingleAgentEnvRunner(config=own, worker_index=0)


def _statistics(runner: SingleAgentEnvRunner) -> dict[str, Any]:
    """Statistics that change every observation, in the form of RLlib's filter."""
    pipeline = cast("Any", runner)._env_to_module
    filters = [c for c in pipeline.connectors if isinstance(c, MeanStdFilter)]
    if not filters:
        return {}
    connector: Any = filters[0]
    connector._init_new_filters()
    stat = connector._filters[None].running_stats
    for row in np.random.default_rng(1).normal(0.3, 2.0, (50, *stat.shape)):
        stat.push(row)
    return cast("dict[str, Any]", pipeline.get_state())


def _sample_from_actor(
    runner: BrokerEnvRunner, broker: BrokerThread, context: Context, case: Case
) -> list[list[SingleAgentEpisode]]:
    """Returns one actor's episodes, as a list for each batch that it pushed."""
    sampled: list[SingleAgentEpisode] = []
    with ExitStack() as stack:
        stack.callback(runner.stop)
        client = stack.enter_context(connect(broker, context, "actor"))
        environment = SingleEnvironment(case.env({"is_image": case.is_image}))
        stack.enter_context(in_thread(Collector(client, environment, seed=1).run))
        while sum(map(len, sampled)) < STEPS:
            sampled += runner.sample()
    return _by_batch(sampled)


def _by_batch(episodes: list[SingleAgentEpisode]) -> list[list[SingleAgentEpisode]]:
    """Splits after each chunk whose episode continues; other batches end with an episode."""
    batches: list[list[SingleAgentEpisode]] = [[]]
    for episode in episodes:
        batches[-1].append(episode)
        if not episode.is_done:
            batches.append([])
    return [batch for batch in batches if batch]


def _train_batch(learner: Learner, episodes: list[SingleAgentEpisode]) -> dict[str, Any]:
    pipeline: Any = cast("Any", learner)._learner_connector
    batch = pipeline(rl_module=learner.module, batch={}, episodes=episodes, shared_data={})
    return cast("dict[str, Any]", batch["default_policy"])


def _assert_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(found) == set(expected)
    for name, values in expected.items():
        leaves = tree.flatten_with_path(values)
        for (path, reference), other in zip(leaves, tree.flatten(found[name]), strict=True):
            reference, other = np.asarray(reference), np.asarray(other)
            assert reference.shape == other.shape, (name, path)
            np.testing.assert_allclose(
                other.astype(np.float64),
                reference.astype(np.float64),
                atol=1e-4,
                err_msg=f"{name} {path}",
            )
