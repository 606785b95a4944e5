"""Ray Tune: one trial at a time per broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.rllib.algorithms.ppo import PPO
from support.algorithms import collecting, make_config
from support.running import BrokerThread, Context, Learner

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]


def fit(config: Any, folder: Path, samples: int = 1, at_once: int | None = 1) -> Any:
    """Runs trials; `at_once` is the most at a time, None for Tune's default."""
    tuner = tune.Tuner(
        PPO,
        param_space=config,
        tune_config=tune.TuneConfig(num_samples=samples, max_concurrent_trials=at_once),
        run_config=tune.RunConfig(
            storage_path=str(folder), stop={"training_iteration": 2}, verbose=0
        ),
    )
    return tuner.fit()


@pytest.mark.nightly
@pytest.mark.timeout(300)  # two trials, each with processes of its own
def test_trials_train_one_after_the_other_on_one_broker(
    broker: BrokerThread, context: Context, tmp_path: Path
) -> None:
    with collecting(broker, context):
        results = fit(make_config(broker), tmp_path, samples=2)
    assert results.num_errors == 0
    for result in results:
        assert result.metrics["env_runners"]["num_env_steps_sampled_lifetime"] >= 800
    assert broker.status.version is not None
    assert int(broker.status.version.split(".")[0]) >= 2, "each trial publishes in its own epoch"


def test_a_trial_on_a_broker_that_serves_another_learner_fails_with_the_reason(
    broker: BrokerThread, context: Context, tmp_path: Path
) -> None:
    with Learner(context, broker.address) as other:
        other.publish(1)
        results = fit(make_config(broker), tmp_path)
    [error] = results.errors
    assert "max_concurrent_trials=1), or give each trial a broker of its own" in str(error)
    assert "takeover" not in str(error)


@pytest.mark.timeout(300)  # two trials at once, each with processes of its own
def test_one_of_two_trials_at_once_trains_and_the_other_fails_with_the_reason(
    broker: BrokerThread, context: Context, tmp_path: Path
) -> None:
    config = make_config(broker).learners(num_cpus_per_learner=0)  # both fit into two cores
    with collecting(broker, context):
        results = fit(config, tmp_path, samples=2, at_once=None)
    [error] = results.errors
    assert "max_concurrent_trials=1), or give each trial a broker of its own" in str(error)
    [trained] = [result for result in results if result.error is None]
    assert trained.metrics["env_runners"]["num_env_steps_sampled_lifetime"] >= 800
