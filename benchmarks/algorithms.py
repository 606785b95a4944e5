"""Every algorithm in every mode of RLlib, through the broker, until it has learned.

Takes about an hour, and runs in `make bench` only by name.
"""

from __future__ import annotations

import itertools
import sys
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.appo import APPOConfig
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.impala import IMPALAConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.sac import SACConfig

from benchmarks.hidden_velocities import ID as HIDDEN_VELOCITIES
from benchmarks.pairs import Row, alone
from benchmarks.trials import Trial, run_trial

_CARTPOLE, _PENDULUM = "CartPole-v1", "Pendulum-v1"
_TWO_REMOTE = {"num_env_runners": 2}


def run() -> list[Row]:
    """Trains each case once; `theirs` is empty, since the target is learning in time."""
    rows: list[Row] = []
    for trial in trials():
        outcome = run_trial(trial)
        print(outcome, file=sys.stderr, flush=True)
        is_good = outcome.training.reached and outcome.versions_rise
        case = f"{trial.name} to {trial.target_return:.0f}"
        rows.append(alone(case, "s" if is_good else "s, FAILED", outcome.training.wall_s))
    return rows


def trials() -> list[Trial]:
    """Returns all cases."""
    return [
        *_appo_trials(),
        *_two_ways("IMPALA", _CARTPOLE, impala, 200, 300),
        *_two_ways("DQN", _CARTPOLE, dqn, 150, 600),
        *_two_ways("SAC", _PENDULUM, sac, -300, 600),
        *_waiting_trials(),
        Trial("PPO with an LSTM, no velocities", HIDDEN_VELOCITIES, lstm, 150, 600),
    ]


def _appo_trials() -> list[Trial]:
    cases: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    learners = ((0, 0), (1, 0), (1, 1))
    for count, aggregators in learners:
        cases.append(
            (f"local, {_learners(count, aggregators)}", {}, _config_of(count, aggregators))
        )
    for local, server, (count, aggregators) in itertools.product(
        (True, False), (True, False), learners
    ):
        name = (
            f"2 remote, {'with' if local else 'without'} local, "
            f"state server {'on' if server else 'off'}, {_learners(count, aggregators)}"
        )
        runners = {
            **_TWO_REMOTE,
            "create_local_env_runner": local,
            "use_env_runner_state_server": server,
        }
        cases.append((name, runners, _config_of(count, aggregators)))
    return [
        Trial(f"APPO, {name}", _CARTPOLE, appo, 200, 300, runners, learners_config)
        for name, runners, learners_config in cases
    ]


def _learners(count: int, aggregators: int) -> str:
    return f"num_learners {count}" + (f", {aggregators} aggregator" if aggregators else "")


def _config_of(count: int, aggregators: int) -> dict[str, Any]:
    return {"num_learners": count, "num_aggregator_actors_per_learner": aggregators}


def _two_ways(
    name: str, env: str, make_config: Any, target_return: float, limit_s: float
) -> list[Trial]:
    return [
        Trial(f"{name}, local", env, make_config, target_return, limit_s),
        Trial(f"{name}, 2 remote", env, make_config, target_return, limit_s, _TWO_REMOTE),
    ]


def _waiting_trials() -> list[Trial]:
    """Returns cases with a return that random actions reach: only the start is tested."""
    makers = (("PPO", ppo), ("APPO", appo), ("IMPALA", impala), ("DQN", dqn))
    return [
        Trial(f"{name}, actors 60 s late", _CARTPOLE, make, 20, 300, head_start_s=60.0)
        for name, make in makers
    ]


def ppo() -> AlgorithmConfig:
    """PPO on CartPole."""
    return PPOConfig().training(
        lr=3e-4,
        train_batch_size_per_learner=4000,
        minibatch_size=256,
        num_epochs=6,
        vf_loss_coeff=0.01,
    )


def lstm() -> AlgorithmConfig:
    """PPO on CartPole without velocities."""
    config = PPOConfig().training(
        lr=5e-4,
        train_batch_size_per_learner=4000,
        minibatch_size=512,
        num_epochs=6,
        vf_loss_coeff=0.05,
    )
    model = {
        "use_lstm": True,
        "lstm_cell_size": 64,
        "max_seq_len": 20,
        "vf_share_layers": True,
        "fcnet_hiddens": [64],
    }
    return config.rl_module(model_config=model)


def appo() -> AlgorithmConfig:
    """APPO on CartPole."""
    return _asynchronous(APPOConfig())


def impala() -> AlgorithmConfig:
    """IMPALA on CartPole."""
    return _asynchronous(IMPALAConfig())


def _asynchronous(config: IMPALAConfig) -> AlgorithmConfig:
    config.training(
        lr=5e-4, train_batch_size_per_learner=500, vf_loss_coeff=0.05, entropy_coeff=0.0
    )
    config.env_runners(rollout_fragment_length=50)
    config.rl_module(model_config={"vf_share_layers": True})
    return config.reporting(min_time_s_per_iteration=1)


def dqn() -> AlgorithmConfig:
    """DQN on CartPole."""
    config = DQNConfig().training(
        lr=5e-4,
        train_batch_size_per_learner=32,
        replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 50_000},
        epsilon=[(0, 1.0), (10_000, 0.02)],
        double_q=True,
        dueling=True,
    )
    return config.rl_module(model_config={"fcnet_hiddens": [256], "fcnet_activation": "tanh"})


def sac() -> AlgorithmConfig:
    """SAC on Pendulum."""
    config = SACConfig().training(
        twin_q=True,
        actor_lr=2e-4 * 4,
        critic_lr=8e-4,
        alpha_lr=9e-4,
        n_step=1,
        train_batch_size_per_learner=256,
        replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 100_000},
        num_steps_sampled_before_learning_starts=256,
    )
    return config.rl_module(model_config={"fcnet_hiddens": [256, 256]})
