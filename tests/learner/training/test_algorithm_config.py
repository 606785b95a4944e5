from __future__ import annotations

from typing import Any, cast

import msgspec
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from ray.rllib.algorithms.appo import APPOConfig
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.marwil import MARWILConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core.rl_module.torch import TorchRLModule

from headrace.learner.config import RunnerConfig
from headrace.learner.export.connectors import build_pipelines, module_spaces
from headrace.learner.runner.env_runner import BrokerEnvRunner
from headrace.learner.runner.sampling import sampling_of
from headrace.learner.spaces import column_of, tensor_of
from headrace.learner.training.algorithm_config import build_config
from headrace.learner.training.run_sections import (
    BoxSpace,
    DictSpace,
    DiscreteSpace,
    EnvironmentSection,
    LearnerRun,
    LearnerSection,
    RunSection,
    SpaceSection,
)
from headrace.learner.training.space_sections import space_of
from headrace.protocol.errors import ConfigError
from headrace.protocol.flow_control import AsynchronousFlow, OffPolicyFlow, OnPolicyFlow


def make_run(environment: EnvironmentSection | None = None, **learner: Any) -> LearnerRun:
    return LearnerRun(
        run=RunSection(name="run", seed=3),
        environment=environment or EnvironmentSection(id="CartPole-v1"),
        learner=LearnerSection(**learner),
        addresses=("tcp://127.0.0.1:7000",),
        folder="runs/run",
        resume=True,
    )


def test_a_run_becomes_an_rllib_config() -> None:
    run = make_run(
        training={"lr": 1e-3, "train_batch_size_per_learner": 500},
        model={"fcnet_hiddens": [16]},
        flatten_observations=True,
    )
    config = build_config(run, newest_epoch=4)
    assert config.env_runner_cls is BrokerEnvRunner
    assert (config.lr, config.num_env_runners, config.seed) == (1e-3, 0, 3)
    assert not config.env_config["headrace"]["takeover"]
    assert config.env_config["headrace"]["newest_epoch"] == 4
    assert config.model_config["fcnet_hiddens"] == [16]


def test_connectors_are_in_the_order_that_a_graph_supports() -> None:
    run = make_run(
        connectors=("PrevActionsPrevRewards", "ray.rllib.connectors.common:NumpyToTensor"),
        flatten_observations=True,
        observation_filter="MeanStdFilter",
        frame_stack=4,
    )
    config: Any = build_config(run)
    made = config._env_to_module_connector(None, None, None)
    assert [type(connector).__name__ for connector in made] == [
        "PrevActionsPrevRewards",
        "NumpyToTensor",
        "FlattenObservations",
        "MeanStdFilter",
        "FrameStacking",
    ]
    assert config._learner_connector(None, None).num_frames == made[-1].num_frames == 4


def test_frames_that_cannot_be_stacked_are_an_error() -> None:
    config = build_config(make_run(frame_stack=4))
    action: Discrete[Any] = Discrete(2)
    with pytest.raises(ConfigError, match="height x width x 1"):
        build_pipelines(config, Box(-1.0, 1.0, (4,)), action)
    row = Box(-1.0, 1.0, (1,))  # RLlib's learner connector fails at it
    with pytest.raises(ConfigError, match="height x width x 1"):
        module_spaces(build_pipelines(config, row, action), row, action)
    screen = Box(0.0, 1.0, (8, 8, 1))
    spaces = module_spaces(build_pipelines(config, screen, action), screen, action)
    assert spaces.module_observation.shape == (8, 8, 4)


def test_an_error_about_a_key_that_rllib_ignores_names_the_right_section() -> None:
    run = make_run(env_runners={"observation_filter": "MeanStdFilter"})
    with pytest.raises(ConfigError, match=r"has no effect.*under \[learner\]"):
        build_config(run)


def test_callbacks_are_found_by_name() -> None:
    config = build_config(make_run(callbacks="ray.rllib.callbacks.callbacks:RLlibCallback"))
    assert config.callbacks_class is RLlibCallback
    with pytest.raises(ConfigError, match="not a subclass"):
        build_config(make_run(callbacks="math:pi"))


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        ({"training": {"lrr": 1}}, r"\[learner.training\].*'lr'"),
        ({"training": {"num_epoch": 1}}, "'num_epochs'"),
        ({"env_runners": {"num_env_runner": 1}}, "'num_env_runners'"),
        ({"model": {"fcnet_hidden": 1}}, "'fcnet_hiddens'"),
        ({"algorithm": "PPPO"}, "'PPO'"),
    ],
)
def test_an_error_about_an_unknown_name_suggests_the_nearest(
    learner: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_config(make_run(**learner))


def test_spaces_stand_in_for_an_environment() -> None:
    environment = EnvironmentSection(
        observation_space=BoxSpace(shape=(3,)), action_space=DiscreteSpace(n=2)
    )
    config = build_config(make_run(environment))
    assert config.observation_space == Box(-float("inf"), float("inf"), (3,))
    assert config.action_space == Discrete(2)


def test_neither_environment_nor_spaces_is_an_error() -> None:
    with pytest.raises(ConfigError, match="observation_space"):
        build_config(make_run(EnvironmentSection(action_space=DiscreteSpace(n=2))))


def test_described_spaces_are_made() -> None:
    box = BoxSpace(shape=(2,), low=[-1.0, 0.0], high=1.0, dtype="float64")
    made = space_of(DictSpace(spaces={"a": box, "b": DiscreteSpace(n=4)}))
    assert isinstance(made, Dict)
    inner = made["a"]
    assert isinstance(inner, Box)
    assert inner.low.tolist() == [-1.0, 0.0]
    assert made["b"] == Discrete(4)
    with pytest.raises(ConfigError):
        space_of(BoxSpace(shape=(2,), low=[1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    ("section", "space"),
    [
        ({"type": "discrete", "n": 3, "start": 1}, Discrete(3, start=1)),
        ({"type": "multi_discrete", "nvec": [2, 3]}, MultiDiscrete([2, 3])),
        (
            {"type": "multi_discrete", "nvec": [2, 3], "start": [1, -1]},
            MultiDiscrete([2, 3], start=[1, -1]),
        ),
        ({"type": "multi_binary", "n": 4}, MultiBinary(4)),
        (
            {
                "type": "tuple",
                "spaces": [{"type": "discrete", "n": 2}, {"type": "box", "shape": []}],
            },
            Tuple([Discrete(2), Box(-np.inf, np.inf, ())]),
        ),
    ],
)
def test_every_space_that_a_simulator_may_have_can_be_written(section: Any, space: Any) -> None:
    described: Any = msgspec.convert(section, SpaceSection)
    assert space_of(described) == space


def test_a_start_of_another_length_is_an_error() -> None:
    described: Any = msgspec.convert(
        {"type": "multi_discrete", "nvec": [2, 3], "start": [1]}, SpaceSection
    )
    with pytest.raises(ConfigError, match="differ in length"):
        space_of(described)


class OwnModule(TorchRLModule):
    """A module of the user's."""


def test_a_module_of_the_users_is_found_by_name_with_its_config() -> None:
    run = make_run(module=f"{__name__}:OwnModule", model={"depth": 3})
    spec: Any = build_config(run).rl_module_spec
    assert spec.module_class is OwnModule
    assert spec.model_config == {"depth": 3}
    for source, named in (
        (f"{__name__}:make_run", "is not a subclass of TorchRLModule"),
        (f"{__name__}:Missing", "Missing"),
        ("OwnModule", "not of the form module:function"),
    ):
        with pytest.raises(ConfigError, match=named):
            build_config(make_run(module=source))


def test_modules_of_one_agent_are_refused_and_of_several_honoured() -> None:
    modules = {"red": ("red_*",), "blue": ("*",)}
    with pytest.raises(ConfigError, match="modules is for several agents"):
        build_config(make_run(modules=modules))
    box, index = BoxSpace((2,)), DiscreteSpace(2)
    environment = EnvironmentSection(
        observation_space=DictSpace({"red_1": box, "b": box}),
        action_space=DictSpace({"red_1": index, "b": index}),
    )
    config: Any = build_config(make_run(environment, modules=modules))
    assert config.is_multi_agent
    assert config.policy_mapping_fn("red_1") == "red"


def test_indices_are_bounded_and_boxes_are_not() -> None:
    import gymnasium as gym

    assert column_of("x", Discrete(3, start=1)).high == 3.0
    assert column_of("x", gym.spaces.MultiBinary(3)).high == 1.0
    assert column_of("x", gym.spaces.MultiDiscrete([2, 5])).high == 4.0
    assert column_of("x", Box(0, 1)).high is None
    with pytest.raises(ConfigError):
        tensor_of("x", gym.spaces.Text(5))


def test_an_unsupported_algorithm_is_named() -> None:
    with pytest.raises(ConfigError, match=r"MARWIL cannot.*APPO"):
        sampling_of(MARWILConfig())


def test_asynchronous_versions_count_the_updates_between_broadcasts() -> None:
    config = APPOConfig().training(train_batch_size_per_learner=500, broadcast_interval=3)
    assert sampling_of(config).flow == AsynchronousFlow(version_env_steps=1500)


@pytest.mark.parametrize(("lag", "overlap"), [(0, 0.0), (1, 1.0), (3, 1.0)])
def test_the_policy_lag_may_be_chosen(lag: int, overlap: float) -> None:
    own = RunnerConfig(max_policy_lag=lag)
    on_policy = sampling_of(PPOConfig(), own).flow
    assert isinstance(on_policy, OnPolicyFlow)
    assert (on_policy.max_policy_lag, on_policy.overlap) == (lag, overlap)
    assert sampling_of(APPOConfig(), own).flow.max_policy_lag == lag
    assert sampling_of(DQNConfig(), own).flow.max_policy_lag == lag


def test_off_policy_learners_take_little_and_publish_seldom() -> None:
    config = DQNConfig().env_runners(
        num_env_runners=2, num_envs_per_env_runner=4, rollout_fragment_length=1
    )
    sampling = sampling_of(config)
    assert sampling.flow == OffPolicyFlow(sample_env_steps=8)
    assert sampling.publish_interval_s == 1.0
    assert sampling_of(config, RunnerConfig(publish_interval_s=0.2)).publish_interval_s == 0.2


def test_a_multi_agent_run_takes_its_agents_from_the_environment() -> None:
    environment = EnvironmentSection(multi_agent="support.survivors:Survivors")
    config = build_config(make_run(environment, modules={"mortal": ("b",), "others": ("*",)}))
    assert config.is_multi_agent
    assert set(cast("Dict", config.observation_space)) == {"a", "b", "c"}
    mapping: Any = config.policy_mapping_fn
    assert [mapping(agent, None) for agent in "abc"] == ["others", "mortal", "others"]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"id": "CartPole-v1"}, "leave one of them out"),
        ({"multi_agent": "support.survivors"}, "module:function"),
        ({"multi_agent": "support.survivors:Nobody"}, "Nobody"),
    ],
)
def test_an_invalid_multi_agent_section_is_an_error(
    environment: dict[str, Any], message: str
) -> None:
    given: dict[str, Any] = {"multi_agent": "support.survivors:Survivors", **environment}
    section = EnvironmentSection(**given)
    with pytest.raises(ConfigError, match=message):
        build_config(make_run(section))


def test_an_agent_that_matches_no_pattern_is_an_error() -> None:
    environment = EnvironmentSection(multi_agent="support.survivors:Survivors")
    with pytest.raises(ConfigError, match="no module for agent 'a'"):
        build_config(make_run(environment, modules={"mortal": ("b",)}))
