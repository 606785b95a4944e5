"""A plain RLlib script, in which only the env runner class makes it train on a fleet.

Start `headrace broker` and some `headrace actor --env CartPole-v1` beside it, in any order.
"""

from ray.rllib.algorithms.ppo import PPOConfig

from headrace.learner import BrokerEnvRunner


def main() -> None:
    """Trains CartPole to a mean return of 450."""
    config = (
        PPOConfig()
        .environment("CartPole-v1")
        .env_runners(env_runner_cls=BrokerEnvRunner, num_env_runners=0)
        .training(
            lr=3e-4,
            train_batch_size_per_learner=4000,
            minibatch_size=256,
            num_epochs=6,
            vf_loss_coeff=0.01,
        )
    )
    algorithm = config.build_algo()
    for iteration in range(100):
        result = algorithm.train()["env_runners"]
        returned = result.get("episode_return_mean", float("nan"))
        print(
            f"{iteration}: return {returned:.1f}, lag {result['headrace']['policy_lag_mean']:.2f}"
        )
        if returned >= 450:
            break
    algorithm.stop()


if __name__ == "__main__":
    main()
