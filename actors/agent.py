"""Acting and recording for a simulator that owns its loop."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.actors.client import BatchPermit, Client
from headrace.actors.policy import Acted, OnnxPolicy
from headrace.actors.recorder import BatchRecorder, Columns, StepResult
from headrace.actors.session import PolicyUpdate
from headrace.actors.single import action_of_one, rows_of_one
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.manifest import DEFAULT_MODULE, ModuleManifest

_LOG = logging.getLogger("headrace.actor")

Clock = Callable[[], float]


@dataclass(frozen=True)
class _OpenBatch:
    """A batch in the making: one policy version, within one grant.

    `is_recorded` is False for what is stepped only to get to the end of an episode.
    """

    permit: BatchPermit
    deadline_s: float
    is_recorded: bool = True

    @property
    def explores(self) -> bool | None:
        """Evaluations are greedy; None leaves it to the learner."""
        return None if self.permit.task is None else False


class VectorAgent:
    """Acts for n environments that step together; call `act` and `record` in turn.

    A batch begins with the first `act` for which there is credit, with the newest weights, and ends
    by itself in `record`. Arrays are kept until then: pass ones that the simulator does not reuse.
    With one environment it also runs evaluation episodes between others, when the learner asks.
    """

    def __init__(
        self,
        client: Client,
        environments: int,
        *,
        seed: int | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._client = client
        self._environments = environments
        self._clock = clock
        self._rng = np.random.default_rng(seed)
        self._recorder = BatchRecorder(environments, clock)
        self._module: ModuleManifest | None = None
        self._state: dict[str, Array] = {}
        self._rewards = np.zeros(environments, np.float32)
        self._policy: OnnxPolicy | None = None
        self._policy_digest: str | None = None
        self._version: PolicyVersion | None = None
        self._batch: _OpenBatch | None = None
        self._has_discarded = False
        self._acted: Acted | None = None
        # Environments that step together do not end their episodes together.
        self._evaluates = environments == 1
        if self._evaluates:
            client.offer_evaluation()

    def act(self, observations: Columns, timeout_s: float | None = None) -> Array | None:
        """Returns actions [n, …] as the simulator expects them.

        Waits for the broker, the learner and credit, for at most `timeout_s`; None means that time
        is up, or the client was closed.

        Raises:
            ConfigError: the observations do not fit the learner's policy.
            RefusedError: the broker will not serve this actor.
        """
        if self._batch is None:
            self._batch = self._begin(observations, timeout_s)
        batch = self._batch
        if batch is None or self._policy is None or self._client.is_closed:
            return None
        self._acted = self._policy.act(
            observations, self._state, self._rewards, explore=batch.explores
        )
        return self._acted.env_actions

    def record(self, step: StepResult) -> None:
        """Takes what came of the last actions.

        Raises:
            LocalProtocolError: there was no `act` before it.
        """
        if self._acted is None or self._policy is None or self._batch is None:
            raise LocalProtocolError("act() before record()")
        acted, self._acted = self._acted, None
        self._state, self._rewards = acted.state, step.rewards.astype(np.float32)
        if self._batch.is_recorded:
            if step.final_observations:
                finals = self._observe_finals(self._policy, step.final_observations)
                step = dataclasses.replace(step, final_observations=finals)
            self._recorder.record(acted.observations, acted.recorded, step)
        self._begin_episodes(self._policy, step)
        is_over = bool(step.terminated[0] or step.truncated[0])
        if not self._batch.is_recorded:
            self._client.count_unrecorded(self._environments)
            self._batch = None if is_over else self._batch
        elif self._is_full(self._batch, is_over=is_over):
            self._close(self._policy, self._batch, step)
            self._batch = None

    def _close(self, policy: OnnxPolicy, batch: _OpenBatch, step: StepResult) -> None:
        """Pushes a batch, unless the broker says already that it would be stale.

        Never twice in a row: all batches of a simulator that is slower than the learner's updates
        are stale, and that is to be seen at the broker.
        """
        is_outdated = batch.permit.task is None and self._client.is_outdated(
            batch.permit.update.version
        )
        self._has_discarded = is_outdated and not self._has_discarded
        if self._has_discarded:
            self._client.count_unrecorded(self._recorder.discard_batch())
        else:
            self._push(policy, batch, step)

    def _push(self, policy: OnnxPolicy, batch: _OpenBatch, step: StepResult) -> None:
        last = policy.observe(step.observations, self._state, self._rewards)
        trajectories, env_steps = self._recorder.take_batch(last)
        permit = batch.permit
        self._client.push(trajectories, permit.update, env_steps, task=permit.task)

    def _begin(self, observations: Columns, timeout_s: float | None) -> _OpenBatch | None:
        is_at_start = self._evaluates and self._recorder.is_at_start(0)
        permit = self._wait_for_permit(timeout_s, is_at_start=is_at_start)
        while permit is not None:
            try:
                self._use(permit.update, observations)
            except RemoteProtocolError as error:
                version = permit.update.version
                _LOG.error("cannot act with policy version %s: %s", version, error)
                if self._client.policy_update_after(version, timeout_s) is None:
                    return None
                permit = self._wait_for_permit(timeout_s, is_at_start=is_at_start)
            else:
                return self._open(permit, is_at_start=is_at_start)
        return None

    def _wait_for_permit(self, timeout_s: float | None, *, is_at_start: bool) -> BatchPermit | None:
        if not self._evaluates:
            return self._client.begin(timeout_s)
        return self._client.begin_or_evaluate(timeout_s, is_at_start=is_at_start)

    def _open(self, permit: BatchPermit, *, is_at_start: bool) -> _OpenBatch:
        if permit.credit is not None:
            return _OpenBatch(permit, self._clock() + permit.credit.fragment_s)
        if not is_at_start:
            # An evaluation waits, and there is no credit to get to the end of this episode with.
            self._recorder.abandon()
        return _OpenBatch(permit, float("inf"), is_recorded=is_at_start)

    def _use(self, update: PolicyUpdate, observations: Columns) -> None:
        if self._policy is None or update.digest != self._policy_digest:
            if update.policy.manifest.modules.keys() != {DEFAULT_MODULE}:
                raise ConfigError("this learner trains several modules, and here is one agent")
            module = update.policy.manifest.modules[DEFAULT_MODULE]
            if not update.policy.graphs[DEFAULT_MODULE]:
                raise ConfigError(
                    "this learner exports no policy graph; start actors with --policy rllib"
                )
            self._policy = OnnxPolicy(update.policy.graphs[DEFAULT_MODULE], module.graph, self._rng)
            self._policy.check_observations(observations)
            self._policy_digest, self._version = update.digest, None
            self._adopt(module)
        if update.version != self._version:
            self._policy.set_weights(update.weights[DEFAULT_MODULE])
            self._version = update.version
            _LOG.info("acting with policy version %s", update.version)
        if not self._state:
            self._state = self._policy.initial_state(self._environments)

    def _adopt(self, module: ModuleManifest) -> None:
        """Records for another module; where it records otherwise, what is under way is cut off."""
        former, self._module = self._module, module
        if former is not None and _records_alike(former, module):
            return
        self._recorder = BatchRecorder(self._environments, self._clock, module.lookback)
        self._state = {}
        self._rewards = np.zeros(self._environments, np.float32)

    def _begin_episodes(self, policy: OnnxPolicy, step: StepResult) -> None:
        """Forgets state and reward of the episodes that ended."""
        ended = step.terminated | step.truncated
        begins = ended if step.is_reset_step is None else step.is_reset_step
        if not begins.any():
            return
        self._rewards = np.where(begins, np.float32(0), self._rewards)
        initial = policy.initial_state(self._environments)
        self._state = {
            name: np.where(begins.reshape(-1, *[1] * (value.ndim - 1)), initial[name], value)
            for name, value in self._state.items()
        }

    def _is_full(self, batch: _OpenBatch, *, is_over: bool) -> bool:
        update, credit = batch.permit.update, batch.permit.credit
        if credit is None:
            return is_over
        env_steps = self._recorder.env_steps
        if not env_steps:
            return False
        if is_over and self._evaluates and self._client.evaluation_is_wanted:
            return True
        cuts = update.policy.manifest.flow.cut_on_new_weights
        return (
            env_steps >= credit.fragment_steps
            or self._clock() >= batch.deadline_s
            or (cuts and self._client.newest_version != update.version)
        )

    def _observe_finals(
        self, policy: OnnxPolicy, finals: Mapping[int, Columns]
    ) -> dict[int, Columns]:
        observed: dict[int, Columns] = {}
        for index, final in finals.items():
            one = slice(index, index + 1)
            rows = policy.observe(
                {path: leaf[None] for path, leaf in final.items()},
                {name: value[one] for name, value in self._state.items()},
                self._rewards[one],
            )
            observed[index] = {name: values[0] for name, values in rows.items()}
        return observed


def _records_alike(one: ModuleManifest, other: ModuleManifest) -> bool:
    return (one.columns, one.lookback, one.graph.states) == (
        other.columns,
        other.lookback,
        other.graph.states,
    )


class Agent:
    """Acts for one simulator; observations and actions are single ones, as Gymnasium has them.

    Call `act` with each observation, and `record` with what came of the action.
    """

    def __init__(self, client: Client, *, seed: int | None = None) -> None:
        self._agent = VectorAgent(client, 1, seed=seed)

    def act(self, observation: Any, timeout_s: float | None = None) -> Any:
        """Returns an action for the simulator: an int where actions are discrete, else an array.

        Waits and raises as `VectorAgent.act` does; None means that time is up.
        """
        actions = self._agent.act(rows_of_one(observation), timeout_s)
        return None if actions is None else action_of_one(actions)

    def record(
        self, observation: Any, reward: float, *, terminated: bool = False, truncated: bool = False
    ) -> None:
        """Takes the observation and the reward that followed the last action.

        Args:
            terminated: the episode has ended in a terminal state.
            truncated: it was cut off, by a time limit for instance.
        """
        rows = rows_of_one(observation)
        is_done = terminated or truncated
        self._agent.record(
            StepResult(
                observations=rows,
                rewards=np.array([reward], np.float64),
                terminated=np.array([terminated]),
                truncated=np.array([truncated]),
                final_observations=(
                    {0: {path: row[0] for path, row in rows.items()}} if is_done else {}
                ),
            )
        )
