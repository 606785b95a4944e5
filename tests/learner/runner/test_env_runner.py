"""BrokerEnvRunner inside real RLlib algorithms, fed by real actors through a real broker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.env_to_module import FlattenObservations
from support.algorithms import algorithm_of, collecting, make_config, runner_of, torch_module_of
from support.running import BrokerThread, Context, wait_until

from headrace.learner.connection.link import LearnerStopping
from headrace.learner.runner.env_runner import BrokerEnvRunner
from headrace.protocol.errors import ConfigError


def flatten(env: Any = None, spaces: Any = None, device: Any = None) -> Any:
    return FlattenObservations()


@pytest.mark.usefixtures("ray_session")
class TestTraining:
    def test_ppo_trains_on_what_actors_collect(
        self, broker: BrokerThread, context: Context
    ) -> None:
        with (
            algorithm_of(make_config(broker)) as algorithm,
            collecting(broker, context, count=2),
        ):
            result = [algorithm.train() for _ in range(3)][-1]
            sampled = result["env_runners"]
            assert sampled["num_env_steps_sampled_lifetime"] >= 1200
            assert sampled["episode_return_mean"] > 5
            own = sampled["headrace"]
            assert 0.0 <= own["policy_lag_mean"] <= 1.0
            assert own["actors"] == 1
            assert own["wait_s"] >= 0.0
            wait_until(lambda: broker.status.ledger.consumed > 0)
            assert sum(own["env_steps_by_lag"].values()) >= 1200

    def test_box_actions_and_flattened_observations_train(
        self, broker: BrokerThread, context: Context
    ) -> None:
        config = make_config(broker, "Pendulum-v1")
        config.env_runners(env_to_module_connector=flatten)
        with algorithm_of(config) as algorithm, collecting(broker, context, "Pendulum-v1"):
            result = algorithm.train()
            assert result["env_runners"]["num_env_steps_sampled_lifetime"] >= 400

    @pytest.mark.slow
    def test_versions_rise_with_updates_and_after_a_restore_in_a_new_epoch(
        self, broker: BrokerThread, context: Context, tmp_path: Any
    ) -> None:
        with collecting(broker, context):
            with algorithm_of(make_config(broker)) as algorithm:
                for _ in range(3):
                    algorithm.train()
                path = algorithm.save_to_path(tmp_path)
                weights = torch_module_of(algorithm).state_dict()
            first = broker.status.version
            config = make_config(broker, takeover=True)
            with algorithm_of(config) as algorithm:
                algorithm.restore_from_path(path)
                for name, tensor in torch_module_of(algorithm).state_dict().items():
                    np.testing.assert_array_equal(tensor, weights[name])
                algorithm.train()
                second = broker.status.version
        assert first is not None
        assert second is not None
        epoch, number = map(int, first.split("."))
        later_epoch, later_number = map(int, second.split("."))
        assert later_epoch > epoch
        assert later_number >= number

    def test_without_data_a_sample_ends_at_its_deadline(self, broker: BrokerThread) -> None:
        with algorithm_of(make_config(broker, pull_timeout_s=0.3)) as algorithm:
            assert runner_of(algorithm).sample() == []

    def test_an_interrupt_ends_a_train_that_waits_for_data(self, broker: BrokerThread) -> None:
        with algorithm_of(make_config(broker)) as algorithm:
            timer = threading.Timer(0.3, runner_of(algorithm).interrupt)
            timer.start()
            with pytest.raises(LearnerStopping):
                algorithm.train()

    def test_a_runner_that_is_never_sampled_stays_silent(self, broker: BrokerThread) -> None:
        with algorithm_of(make_config(broker)):
            assert broker.status.learners == []


def make_runner(config: PPOConfig) -> BrokerEnvRunner:
    return BrokerEnvRunner(config=config, worker_index=0, log_dir="here")


@pytest.fixture
def runner(broker: BrokerThread) -> Iterator[BrokerEnvRunner]:
    runner = make_runner(make_config(broker))
    yield runner
    runner.stop()


def test_state_without_the_module_has_no_weights_number(runner: BrokerEnvRunner) -> None:
    assert set(runner.get_state()) == {
        "num_env_steps_sampled_lifetime",
        "rl_module",
        "weights_seq_no",
        "env_to_module_connector",
        "module_to_env_connector",
    }
    assert set(runner.get_state("env_to_module_connector")) == {
        "num_env_steps_sampled_lifetime",
        "env_to_module_connector",
    }


def test_set_state_stores_weights_and_publishes_nothing(
    runner: BrokerEnvRunner, broker: BrokerThread
) -> None:
    state = runner.module.get_state()
    changed = {name: value * 0 for name, value in state.items()}
    runner.set_state({"rl_module": {"default_policy": changed}, "weights_seq_no": 3})
    assert all((value == 0).all() for value in runner.module.get_state().values())
    assert runner.get_state()["weights_seq_no"] == 3
    assert broker.status.version is None


def test_a_state_of_the_same_number_changes_nothing(runner: BrokerEnvRunner) -> None:
    state = runner.module.get_state()
    runner.set_state({"rl_module": state, "weights_seq_no": 3})
    zero = {name: value * 0 for name, value in state.items()}
    runner.set_state({"rl_module": zero, "weights_seq_no": 3})
    assert any((value != 0).any() for value in runner.module.get_state().values())
    runner.set_state({"num_env_steps_sampled_lifetime": 9})
    assert runner.num_env_steps_sampled_lifetime == 9


def test_a_runner_implements_the_interface_of_rllib(runner: BrokerEnvRunner) -> None:
    runner.assert_healthy()
    spaces = runner.get_spaces()
    assert set(spaces) == {"__env__", "__env_single__", "default_policy"}
    assert runner.get_ctor_args_and_kwargs()[1]["config"] is runner.config
    assert runner.get_checkpointable_components()[0][0] == "rl_module"


def test_an_unknown_setting_is_named(broker: BrokerThread) -> None:
    with pytest.raises(ConfigError, match="adress"):
        make_runner(make_config(broker, adress="x"))


def test_a_config_without_spaces_is_an_error(broker: BrokerThread) -> None:
    config = make_config(broker)
    config.env = None
    with pytest.raises(ConfigError, match="observation_space"):
        make_runner(config)


def test_an_environment_class_is_asked_for_its_spaces(broker: BrokerThread) -> None:
    class Made(gym.Env[Any, Any]):
        observation_space = gym.spaces.Box(0, 1, (2,))
        action_space = gym.spaces.Discrete(3)

        def __init__(self, config: dict[str, Any]) -> None:
            assert config == {"size": 2}

    config = make_config(broker)
    config.environment(Made, env_config={**config.env_config, "size": 2})
    assert make_runner(config).get_spaces()["default_policy"][1] == gym.spaces.Discrete(3)
