"""RLlib's algorithms with two brokers, whose actors are in threads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.appo import APPOConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.sac import SACConfig
from support.algorithms import algorithm_of, collecting, make_config
from support.running import BrokerThread, Context, wait_until

from headrace.learner.connection.open_link import targets_of
from headrace.learner.runner.env_runner import BrokerEnvRunner
from headrace.learner.runner.runner_config import runner_config_of
from headrace.protocol.errors import ConfigError


def make_ppo() -> PPOConfig:
    config = PPOConfig().environment("CartPole-v1")
    return config.training(train_batch_size_per_learner=400, minibatch_size=100, num_epochs=1)


def make_appo() -> APPOConfig:
    config = APPOConfig().environment("CartPole-v1")
    return config.training(train_batch_size_per_learner=200).learners(num_learners=0)


def make_sac() -> SACConfig:
    config = SACConfig().environment("Pendulum-v1")
    return config.training(
        train_batch_size_per_learner=32,
        num_steps_sampled_before_learning_starts=100,
        replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 10_000},
    )


ALGORITHMS = {"ppo": make_ppo, "appo": make_appo, "sac": make_sac}


def case(name: str, runners: int) -> Any:
    marks = [pytest.mark.slow] if name != "ppo" or runners else []
    if name != "ppo":
        marks.append(pytest.mark.nightly)
    return pytest.param(ALGORITHMS[name], runners, id=f"{name}-{runners}", marks=marks)


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(
    ("make", "runners"), [case(name, runners) for name in ALGORITHMS for runners in (0, 2)]
)
def test_an_algorithm_trains_on_the_data_of_two_brokers(
    make: Callable[[], AlgorithmConfig],
    runners: int,
    start_broker: Callable[..., BrokerThread],
    context: Context,
) -> None:
    brokers = [start_broker() for _ in range(2)]
    config = make()
    own = {"addresses": [broker.address for broker in brokers], "pull_timeout_s": 5.0}
    config.environment(env_config={"headrace": own})
    config.env_runners(env_runner_cls=BrokerEnvRunner, num_env_runners=runners)
    config.debugging(log_level="ERROR")
    with algorithm_of(config) as algorithm, ExitStack() as stack:
        for broker in brokers:
            stack.enter_context(collecting(broker, context, str(config.env)))

        def has_trained_on_both() -> bool:
            algorithm.train()
            return all(broker.status.ledger.consumed >= 4 for broker in brokers)

        wait_until(has_trained_on_both, 120)
        result = algorithm.train()
        assert result["env_runners"]["headrace"]["actors"] == 2
        epochs = {str(broker.status.version).partition(".")[0] for broker in brokers}
        assert epochs == {"1"}
        assert sum(broker.status.ledger.rejected for broker in brokers) == 0


@pytest.mark.usefixtures("ray_session")
def test_an_evaluation_uses_the_actors_of_both_brokers(
    start_broker: Callable[..., BrokerThread], context: Context
) -> None:
    brokers = [start_broker() for _ in range(2)]
    own = {"address": "", "addresses": [broker.address for broker in brokers]}
    config = make_config(brokers[0], **own)
    config.evaluation(evaluation_interval=1, evaluation_duration=4, evaluation_num_env_runners=0)
    with algorithm_of(config) as algorithm, ExitStack() as stack:
        for broker in brokers:
            stack.enter_context(collecting(broker, context))
        evaluated = algorithm.train()["evaluation"]["env_runners"]
        assert evaluated["num_episodes"] == 4


def config_with(**own: Any) -> AlgorithmConfig:
    return PPOConfig().environment("CartPole-v1", env_config={"headrace": own})


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"address": "tcp://a:1", "addresses": ["tcp://b:1"]}, "either address"),
        ({"addresses": ["tcp://a:1", "tcp://a:1"]}, "twice"),
        ({"addresses": ["tcp://a:1", "b:1"]}, "did you mean tcp://b:1"),
        ({"addresses": ["tcp://a:1", ""]}, "addresses"),
        ({"addresses": "tcp://a:1"}, "addresses"),
        ({"addresses": ["tcp://a:1"], "join": ["nowhere.json", "there.json"]}, "nowhere.json"),
    ],
)
def test_addresses_that_cannot_work_are_errors(own: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        targets_of(runner_config_of(config_with(**own)))


def test_an_address_may_be_a_list_as_it_is_for_actors() -> None:
    config = runner_config_of(config_with(address="tcp://a:1,tcp://b:1"))
    assert [target.address for target in targets_of(config)] == ["tcp://a:1", "tcp://b:1"]
