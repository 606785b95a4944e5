"""A process that trains PPO with remote runners, which record the results of `sample()`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from chaos.batches import BatchId, mark_of, read_mark
from chaos.diary import Diary
from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.learner.connection.link import BrokerLink
from headrace.learner.runner.env_runner import BrokerEnvRunner
from headrace.learner.training.remote_runners import end_remote_runners


class RLlibPlan(msgspec.Struct, frozen=True):
    """The process's parameters; its one command line argument, as JSON."""

    address: str
    diaries: str
    runners: int = 2
    train_batch_env_steps: int = 800


class RecordingRunner(BrokerEnvRunner):
    """Records the batches that it returns in its diary, as worker `worker_index`, life `pid`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._attempts: dict[BatchId, int] = {}
        self._take = 0
        folder = Path(os.environ["HEADRACE_CHAOS_DIARIES"])
        self._diary = Diary(folder / f"runner-{self.worker_index}.{os.getpid()}.diary")

    def sample(self, **kwargs: Any) -> list[SingleAgentEpisode]:
        episodes = super().sample(**kwargs)
        self._take += bool(episodes)
        for episode in episodes:
            mark = mark_of(episode.get_observations(), episode.get_rewards())
            where = (self.worker_index, os.getpid(), self._take)
            attempt = self._attempts.pop(mark)
            self._diary.write("handed", *where, mark.actor, mark.life, mark.number, attempt)
        return episodes

    def _connect(self) -> BrokerLink:
        is_new = self._link is None
        link = super()._connect()
        if is_new:
            take = link.take

            def noting(env_steps: int, timeout_s: float) -> list[LeasedBatch]:
                taken = take(env_steps, timeout_s)
                self._attempts |= {read_mark(b.payload): b.lease.attempt for b in taken}
                return taken

            link.take = noting  # type: ignore[method-assign]
        return link


def main() -> None:
    plan = msgspec.json.decode(sys.argv[1], type=RLlibPlan)
    os.environ["HEADRACE_CHAOS_DIARIES"] = plan.diaries
    ray.init(include_dashboard=False, log_to_driver=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `train()` waits for data
    own = {"address": plan.address, "run": "chaos", "pull_timeout_s": 5.0}
    config = PPOConfig().environment("CartPole-v1", env_config={"headrace": own})
    config.env_runners(env_runner_cls=RecordingRunner, num_env_runners=plan.runners)
    config.training(
        train_batch_size_per_learner=plan.train_batch_env_steps,
        minibatch_size=200,
        num_epochs=1,
        lr=1e-9,
    )
    config.fault_tolerance(restart_failed_env_runners=True)
    config.debugging(log_level="ERROR")
    algorithm = config.build_algo()
    diary = Diary(Path(plan.diaries) / "driver.diary")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            result = algorithm.train()
            diary.write("trained", result["training_iteration"])
    end_remote_runners(algorithm, timeout_s=10.0)
    ray.shutdown()


if __name__ == "__main__":
    main()
