"""The loop behind `headrace learner`: train, record, checkpoint, stop."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec
import ray
from ray.exceptions import RayError
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.impala import IMPALAConfig

from headrace.learner.connection.link import BrokerLink, LearnerStopping
from headrace.learner.connection.open_link import open_link, require_brokers
from headrace.learner.runner.env_runner import BrokerEnvRunner
from headrace.learner.runner.runner_config import runner_config_of
from headrace.learner.training.algorithm_config import build_config
from headrace.learner.training.own_code import own_code
from headrace.learner.training.ray_errors import cause_of
from headrace.learner.training.records import RunRecords
from headrace.learner.training.remote_runners import end_remote_runners, require_runners
from headrace.learner.training.result_values import numbers_of
from headrace.learner.training.resuming import other_network, require_same_network
from headrace.learner.training.run_folder import (
    CheckpointState,
    IterationMetrics,
    RunFolder,
    Summary,
)
from headrace.learner.training.run_sections import LearnerRun, StopSection
from headrace.learner.training.settings_check import check_config, refused_by_rllib
from headrace.protocol.errors import HeadraceError
from headrace.protocol.messages import FleetReport, LearnerProgress, Ledger

_LOG = logging.getLogger("headrace.learner")
_REPORT_TIMEOUT_S = 2.0
_WATCH_EVERY_S = 0.5
_RUNNERS_END_TIMEOUT_S = 5.0

Clock = Callable[[], float]


def start_ray() -> None:
    """Starts Ray, or joins the cluster of RAY_ADDRESS with the code of the run.

    Ray installs signal handlers: set your own after this.
    """
    if ray.is_initialized():
        return
    settings: dict[str, Any] = {}
    code = own_code(Path.cwd(), sys.modules) if os.environ.get("RAY_ADDRESS") else []
    if code:
        settings["runtime_env"] = {"py_modules": list(map(str, code))}
        _LOG.info("sending %s to the hosts of the cluster", ", ".join(path.name for path in code))
    ray.init(include_dashboard=False, log_to_driver=False, **settings)


class ProgressView(Protocol):
    """The display of a run's progress."""

    def show(self, metrics: IterationMetrics) -> None:
        """Shows the newest iteration."""
        ...


class Training:
    """One run of one learner process; call `prepare`, then `run`, and `stop` from any thread."""

    def __init__(
        self,
        plan: LearnerRun,
        view: ProgressView,
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        self._plan = plan
        self._view = view
        self._clock = clock
        self._folder = RunFolder(Path(plan.folder), resume=plan.resume)
        self._stop_reason: str | None = None
        self._stopping = threading.Event()
        self._algorithm: Algorithm | None = None
        self._before = CheckpointState(iteration=0, env_steps=0, wall_s=0.0, epoch=0)
        self._iteration = 0
        self._waited_s = 0.0
        self._steps_by_lag: Counter[int] = Counter()
        self._checkpoint_path: Path | None = None
        self._own_link: BrokerLink | None = None
        self._first_data_s: float | None = None
        self._first_iteration_s: float | None = None
        self._records = RunRecords(self._folder, plan.run.name, clock)
        self._checkpointed_s = clock()

    def stop(self, reason: str = "request") -> None:
        """Ends the run after a checkpoint, even while `train()` waits for data."""
        self._stop_reason = self._stop_reason or reason
        self._stopping.set()

    def prepare(self) -> AlgorithmConfig:
        """Returns the algorithm's config, after all checks that need no Ray.

        Raises:
            ConfigError: the run file or the run's folder is invalid.
            RefusedError: the broker serves another learner.
        """
        self._checkpoint_path = self._find_checkpoint() if self._plan.resume else None
        config = build_config(self._plan, newest_epoch=self._before.epoch)
        check_config(config)
        self._folder.require_writable()
        require_brokers(runner_config_of(config), resumes=self._plan.resume)
        return config

    def _find_checkpoint(self) -> Path | None:
        found = self._folder.newest_checkpoint()
        if found is None:
            _LOG.warning(
                "no checkpoint in %s: the run starts from the beginning", self._folder.path
            )
            return None
        checkpoint, self._before = found
        self._iteration = self._before.iteration
        require_same_network(self._folder.path, self._plan)
        return checkpoint

    def run(self, config: AlgorithmConfig) -> Summary:
        """Trains until a criterion of the run file is met, or until `stop`.

        Args:
            config: from `prepare`.

        Raises:
            ConfigError: RLlib cannot make the algorithm.
            RefusedError: the broker serves another learner.
        """
        watchdog = threading.Thread(target=self._watch, name="headrace-watchdog", daemon=True)
        start_ray()
        try:
            with refused_by_rllib("this run"):
                self._algorithm = config.build_algo()
            require_runners(self._algorithm)
            if self._checkpoint_path is not None:
                self._restore(self._algorithm, self._checkpoint_path)
            self._folder.open()
            self._folder.write_config(msgspec.to_builtins(self._plan))
            watchdog.start()
            metrics = self._train(self._algorithm)
            return self._finish(self._algorithm, metrics)
        finally:
            self._stopping.set()
            if self._algorithm is not None:
                self._link_of(self._algorithm).announce_stop()
                end_remote_runners(self._algorithm, _RUNNERS_END_TIMEOUT_S)
                self._algorithm.stop()
            if self._own_link is not None:
                self._own_link.close()
            ray.shutdown()
            self._folder.close()

    def _restore(self, algorithm: Algorithm, checkpoint: Path) -> None:
        """Loads a checkpoint.

        Raises:
            ConfigError: it is that of another network.
        """
        _LOG.info("resuming from %s", checkpoint)
        try:
            algorithm.restore_from_path(checkpoint.absolute())
        except (RuntimeError, ValueError, KeyError) as error:
            raise other_network(error) from error

    # ---------------------------------------------------------------- the loop

    def _train(self, algorithm: Algorithm) -> IterationMetrics | None:
        newest: IterationMetrics | None = None
        while not self._stopping.is_set():
            try:
                result = algorithm.train()
            except LearnerStopping:
                break
            except HeadraceError:
                raise
            except RayError as error:
                raise HeadraceError(
                    f"a process of the Ray cluster failed: {cause_of(error)}; --resume continues "
                    "from the newest checkpoint"
                ) from error
            metrics = self._metrics(result)
            if metrics.env_steps == (newest.env_steps if newest else self._before.env_steps):
                continue  # RLlib stopped waiting for data; try again
            self._iteration = metrics.iteration
            newest = metrics
            self._record(algorithm, metrics, result)
            reason = met_criterion(self._plan.run.stop, metrics)
            if reason is not None:
                self.stop(reason)
            elif self._clock() - self._checkpointed_s >= self._plan.run.checkpoint_every_s:
                self._checkpoint(algorithm, metrics)
        return newest

    def _record(
        self, algorithm: Algorithm, metrics: IterationMetrics, result: dict[str, Any]
    ) -> None:
        if self._first_iteration_s is None:
            self._first_iteration_s = self._clock()  # waiting for the fleet does not count
        else:
            self._waited_s += metrics.wait_s
        report = self._link_of(algorithm).report
        self._records.add(
            metrics, numbers_of(result), lambda: self._summary(metrics, report, "running")
        )
        self._view.show(metrics)
        self._link_of(algorithm).report_progress(
            LearnerProgress(metrics.env_steps, metrics.iteration, metrics.episode_return_mean)
        )

    def _watch(self) -> None:
        """Interrupts a `train()` that waits for data when the run should stop."""
        limit_s = self._plan.run.stop.wall_s
        while not self._stopping.wait(_WATCH_EVERY_S):
            self._note_first_data()
            if limit_s is not None and self._wall_s >= limit_s:
                self.stop("wall_s")
        if self._algorithm is not None and self._stop_reason in ("request", "wall_s"):
            link = self._link_of(self._algorithm)
            if not isinstance(self._algorithm.config, IMPALAConfig):
                link.announce_stop()  # remote runners of IMPALA and APPO do not block it
            link.interrupt()

    def _note_first_data(self) -> None:
        if self._first_data_s is None and self._algorithm is not None:
            report = self._link_of(self._algorithm).report
            if report is not None and report.ledger.produced:
                self._first_data_s = self._clock()

    @property
    def _wall_s(self) -> float:
        """Seconds since the first data, including those before a resume."""
        if self._first_data_s is None:
            return self._before.wall_s
        return self._before.wall_s + self._clock() - self._first_data_s

    # ---------------------------------------------------------------- records

    def _metrics(self, result: dict[str, Any]) -> IterationMetrics:
        sampled = result.get("env_runners", {})
        own = sampled.get("headrace", {})
        batches = own.get("batches", {})
        evaluated = result.get("evaluation", {}).get("env_runners", {})
        lag = own.get("policy_lag_mean")
        by_lag = own.get("env_steps_by_lag", {})
        self._steps_by_lag = Counter({int(lag): _count(steps) for lag, steps in by_lag.items()})
        return IterationMetrics(
            iteration=self._iteration + 1,
            env_steps=_count(sampled.get("num_env_steps_sampled_lifetime")),
            wall_s=self._wall_s,
            episode_return_mean=_number(sampled.get("episode_return_mean")),
            episode_len_mean=_number(sampled.get("episode_len_mean")),
            policy_lag_mean=_number(lag),
            evaluation_return_mean=_number(evaluated.get("episode_return_mean")),
            queue_env_steps=_count(own.get("queue_env_steps")),
            wait_s=_number(own.get("wait_s")) or 0.0,
            update_s=float(result.get("timers", {}).get("learner_update_timer", 0.0)),
            batches=Ledger(**{name: _count(count) for name, count in batches.items()}),
        )

    def _link_of(self, algorithm: Algorithm) -> BrokerLink:
        """Returns the local runner's link, whether or not it samples; else the driver's own."""
        if isinstance(algorithm.env_runner, BrokerEnvRunner):
            return algorithm.env_runner.link
        if self._own_link is None:
            config = runner_config_of(cast("AlgorithmConfig", algorithm.config))
            self._own_link = open_link(config, str(algorithm.logdir))
        return self._own_link

    def _checkpoint(self, algorithm: Algorithm, metrics: IterationMetrics) -> bool:
        """Writes a checkpoint; returns whether it was written."""
        state = CheckpointState(
            iteration=metrics.iteration,
            env_steps=metrics.env_steps,
            wall_s=metrics.wall_s,
            epoch=self._link_of(algorithm).epoch,
            episode_return_mean=metrics.episode_return_mean,
        )
        self._checkpointed_s = self._clock()
        return self._records.checkpoint(state, lambda path: algorithm.save_to_path(path))

    def _finish(self, algorithm: Algorithm, newest: IterationMetrics | None) -> Summary:
        is_saved = newest is None or self._checkpoint(algorithm, newest)
        if isinstance(algorithm.env_runner, BrokerEnvRunner):
            algorithm.env_runner.confirm()
        report = self._link_of(algorithm).fresh_report(_REPORT_TIMEOUT_S)
        summary = self._summary(newest, report, self._stop_reason or "request")
        self._records.refresh(summary)
        if not is_saved:
            raise HeadraceError(
                f"the run ended ({summary.stopped_by}), but its last checkpoint could not be "
                f"written to {self._folder.path}"
            )
        return summary

    def _summary(
        self, newest: IterationMetrics | None, report: FleetReport | None, stopped_by: str
    ) -> Summary:
        lags = self._steps_by_lag
        now_s = self._clock()
        trained_s = now_s - (self._first_iteration_s or now_s)
        return Summary(
            name=self._plan.run.name,
            episode_return_mean=newest.episode_return_mean if newest else None,
            env_steps=newest.env_steps if newest else self._before.env_steps,
            wall_s=self._wall_s,
            policy_lag_mean=_mean(lags),
            policy_lag_p99=_percentile(lags, 0.99),
            waiting_share=self._waited_s / trained_s if trained_s > 0 else 0.0,
            batches=report.ledger if report else Ledger(),
            stopped_by=stopped_by,
        )


def met_criterion(stop: StopSection, metrics: IterationMetrics) -> str | None:
    """Returns the name of the first criterion that an iteration meets."""
    reached = {
        "episode_return_mean": metrics.episode_return_mean,
        "env_steps": metrics.env_steps,
        "wall_s": metrics.wall_s,
    }
    for name, value in reached.items():
        limit = getattr(stop, name)
        if limit is not None and value is not None and value >= limit:
            return name
    return None


def _number(value: Any) -> float | None:
    """Returns None for NaN, which RLlib reports if no episode ended."""
    return None if value is None or value != value else float(value)


def _count(value: Any) -> int:
    """Returns 0 for NaN, which RLlib reports if nothing was sampled."""
    return int(_number(value) or 0)


def _mean(counts: Counter[int]) -> float | None:
    total = counts.total()
    return sum(value * count for value, count in counts.items()) / total if total else None


def _percentile(counts: Counter[int], share: float) -> int | None:
    reached = 0
    for value in sorted(counts):
        reached += counts[value]
        if reached >= share * counts.total():
            return value
    return None
