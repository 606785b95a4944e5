"""Several agents through the broker, compared with RLlib's own multi-agent runner."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import pytest
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.appo import APPOConfig
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.sac import SACConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.connectors.env_to_module import MeanStdFilter
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from support.algorithms import algorithm_of
from support.running import BrokerThread, Context, connect, in_thread, wait_until
from support.scripted_agents import ScriptedAgents

from headrace.actors.simulators.multi_agent_collector import MultiAgentCollector
from headrace.actors.simulators.multi_agent_simulators import simulator_of
from headrace.actors.simulators.restarting import RestartingSimulator
from headrace.learner.runner.env_runner import BrokerEnvRunner
from headrace.protocol.errors import ConfigError

pytestmark = pytest.mark.slow

SEED = 3


def module_of(agent_id: Any, episode: Any, **_: Any) -> str:
    return "busy" if agent_id == "often" else "idle"


def make_config(broker: BrokerThread | None, base: Any = PPOConfig, **env: Any) -> AlgorithmConfig:
    """Two modules for three agents; with a broker, fed through it."""
    config: AlgorithmConfig = base()
    config.debugging(seed=SEED, log_level="ERROR")
    config.multi_agent(policies={"busy", "idle"}, policy_mapping_fn=module_of)
    config.env_runners(num_env_runners=0).learners(num_learners=0)
    own = {}
    if broker is not None:
        own = {"headrace": {"address": broker.address, "run": "run", "pull_timeout_s": 5.0}}
        config.env_runners(env_runner_cls=BrokerEnvRunner)
    config.environment(ScriptedAgents, env_config={**env, **own})
    config.training(train_batch_size_per_learner=160)
    if base is PPOConfig:
        config.training(minibatch_size=40, num_epochs=1)
    return config


@contextmanager
def playing(broker: BrokerThread, context: Context, count: int = 1, **env: Any) -> Generator[None]:
    """An actor in a thread that steps scripted simulators."""
    with connect(broker, context, "actor") as client:
        simulators = [simulator_of(ScriptedAgents(env)) for _ in range(count)]
        with in_thread(MultiAgentCollector(client, simulators, seed=SEED).run):
            yield


def fields_of(episode: Any) -> dict[str, Any]:
    """Returns everything that a learner sees of a whole episode, except number widths."""
    agents = {}
    for name, own in episode.agent_episodes.items():
        outputs = own.extra_model_outputs
        agents[name] = {
            "obs": own.get_observations(),
            "actions": own.get_actions(),
            "rewards": own.get_rewards(),
            **{key: outputs[key].get() for key in ("action_logp", "action_dist_inputs")},
            "weights_seq_no": outputs["weights_seq_no"].get(),
            "env_ts": list(episode.env_t_to_agent_t[name].data),
            "is": (own.t_started, own.t, own.is_terminated, own.is_truncated),
            "ids": (own.agent_id, own.module_id, own.multi_agent_episode_id == episode.id_),
            "return": own.get_return(),
        }
    return {
        "env_t": (episode.env_t_started, episode.env_t, len(episode)),
        "is": (episode.is_terminated, episode.is_truncated),
        "steps": (episode.env_steps(), episode.agent_steps()),
        "return": episode.get_return(),
        "agents": agents,
    }


def assert_equal(one: Mapping[str, Any], other: Mapping[str, Any], where: str = "") -> None:
    assert one.keys() == other.keys(), where
    for key, value in one.items():
        place = f"{where}/{key}"
        if isinstance(value, Mapping):
            assert_equal(value, other[key], place)
        elif isinstance(value, np.ndarray):
            np.testing.assert_allclose(value, other[key], atol=1e-5, err_msg=place)
        elif isinstance(value, float):
            assert value == pytest.approx(other[key], abs=1e-5), place
        else:
            assert value == other[key], place


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("truncates", [False, True])
def test_episodes_equal_those_of_rllibs_own_runner(
    broker: BrokerThread, context: Context, truncates: bool
) -> None:
    config = make_config(None, truncates=truncates).env_runners(explore=False)
    native = MultiAgentEnvRunner(config=config, worker_index=0)
    theirs = native.sample(num_episodes=1)[0].to_numpy()
    runner = BrokerEnvRunner(
        config=make_config(broker, truncates=truncates).env_runners(explore=False), worker_index=0
    )
    weights = cast("Any", native.module).get_state(inference_only=True)
    runner.set_state({"rl_module": weights, "weights_seq_no": 1})
    try:
        with playing(broker, context, truncates=truncates):
            episodes = runner.sample()
    finally:
        runner.stop()
    whole = [
        e for e in episodes if e.is_done and len(e.agent_episodes) == 3 and not e.env_t_started
    ]
    for own in theirs.agent_episodes.values():  # the native runner had no version
        own.extra_model_outputs["weights_seq_no"].data[:] = 1
    assert whole
    for ours in whole:
        assert_equal(fields_of(theirs), fields_of(ours))


class FailsOnce(ScriptedAgents):
    """Only the first instance fails, in its third episode."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).made += 1
        self._steps_left = 20 if self.made == 1 else -1

    def step(self, action_dict: Any) -> Any:
        self._steps_left -= 1
        if self._steps_left == 0:
            raise RuntimeError("the simulator crashed")
        return super().step(action_dict)


@pytest.mark.usefixtures("ray_session")
def test_an_episode_whose_simulator_failed_is_dropped_and_others_continue(
    broker: BrokerThread, context: Context
) -> None:
    FailsOnce.made = 0
    runner = BrokerEnvRunner(config=make_config(broker), worker_index=0)
    stop = threading.Event()
    try:
        with connect(broker, context, "actor") as client:
            simulator = RestartingSimulator(lambda: simulator_of(FailsOnce()), stop.wait)
            collector = MultiAgentCollector(client, [simulator], seed=SEED)
            with in_thread(collector.run, stop):
                episodes = [episode for _ in range(2) for episode in runner.sample()]
            wait_until(lambda: broker.status.actors[0].broken_episodes == 1)
    finally:
        runner.stop()
    starts = [episode for episode in episodes if not episode.env_t_started]
    unfinished = [e for e in starts if e.env_t < 8 and not e.is_done]
    assert len(starts) >= 10
    assert len(unfinished) <= 2  # the one that broke, if some of it was delivered, and the newest


_Callback: Any = RLlibCallback


class Ends(_Callback):
    """Logs the length of ended episodes as callbacks see it."""

    def on_episode_end(self, *, episode: Any, metrics_logger: Any, **kwargs: Any) -> None:
        chunks = [*kwargs["prev_episode_chunks"], episode]
        length = sum(len(chunk.agent_episodes.get("often", ())) for chunk in chunks)
        metrics_logger.log_value("told_length", length, window=100)


def parameters_of(algorithm: Algorithm, module_id: str) -> list[Any]:
    module: Any = algorithm.get_module(module_id)
    return [parameter.detach().clone() for parameter in module.parameters()]


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("base", [PPOConfig, APPOConfig])
def test_several_modules_train_and_report_each_agents_return(
    broker: BrokerThread, context: Context, base: Any
) -> None:
    config = make_config(broker, base)
    config.callbacks(Ends).reporting(min_time_s_per_iteration=1)
    with algorithm_of(config) as algorithm, playing(broker, context, count=2):
        before = {name: parameters_of(algorithm, name) for name in ("busy", "idle")}
        result = [algorithm.train() for _ in range(4)][-1]
        sampled = result["env_runners"]
        steps = sampled["num_agent_steps_sampled_lifetime"]
        assert sampled["num_env_steps_sampled_lifetime"] >= 300
        assert sampled["episode_len_mean"] == sampled["told_length"] == 8
        assert sampled["agent_steps"] == {"late": 3, "often": 8, "seldom": 3}
        returns = sampled["agent_episode_returns_mean"]
        modules = sampled["module_episode_returns_mean"]
        assert sum(returns.values()) == pytest.approx(sampled["episode_return_mean"])
        assert modules["busy"] == pytest.approx(returns["often"])
        assert modules["idle"] == pytest.approx(returns["late"] + returns["seldom"])
        assert steps["often"] > steps["late"] > 0
        for name, parameters in before.items():
            now = parameters_of(algorithm, name)
            assert any((a != b).any() for a, b in zip(parameters, now, strict=True)), name
            assert name in result["learners"]


def test_agents_whose_module_depends_on_the_episode_are_refused(ray_session: None) -> None:
    def by_episode(agent_id: Any, episode: Any, **_: Any) -> str:
        if agent_id == "often":
            return "busy"
        return "idle" if int(episode.id_, 16) % 2 else "other"

    config = make_config(None)
    config.multi_agent(policies={"busy", "idle", "other"}, policy_mapping_fn=by_episode)
    with pytest.raises(ConfigError, match="'late' to idle, other"):
        BrokerEnvRunner(config=config)


@pytest.mark.parametrize("base", [DQNConfig, SACConfig])
def test_algorithms_that_replay_are_refused(ray_session: None, base: Any) -> None:
    config = make_config(None, base)
    with pytest.raises(ConfigError, match="use PPO, APPO or IMPALA"):
        BrokerEnvRunner(config=config)


def test_policies_that_only_rllib_can_run_are_refused(ray_session: None) -> None:
    config = make_config(None).environment(env_config={"headrace": {"policy": "rllib"}})
    with pytest.raises(ConfigError, match="policy graphs"):
        BrokerEnvRunner(config=config)


def test_connectors_without_a_graph_counterpart_are_refused(ray_session: None) -> None:
    config = make_config(None)
    config.env_runners(env_to_module_connector=lambda *_: MeanStdFilter(multi_agent=True))
    with pytest.raises(ConfigError, match="MeanStdFilter"):
        BrokerEnvRunner(config=config)


def test_evaluations_are_whole_episodes_of_all_agents(
    broker: BrokerThread, context: Context
) -> None:
    config = make_config(broker).evaluation(evaluation_interval=1, evaluation_duration=3)
    with algorithm_of(config) as algorithm, playing(broker, context, count=2):
        for result in [algorithm.train() for _ in range(2)]:
            evaluated = result["evaluation"]["env_runners"]
            assert evaluated["num_episodes"] == 3
            assert set(evaluated["agent_episode_returns_mean"]) >= {"often"}
        runner = cast("BrokerEnvRunner", algorithm.env_runner)
        for episode in runner.sample(num_episodes=2):
            assert episode.is_done
            assert episode.env_t_started == 0
    assert broker.status.ledger.rejected == 0
