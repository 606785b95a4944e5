"""Acting and recording for environments that step together."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping

import numpy as np

from headrace.actors.connection.assignments import AssignmentWatch, Reset
from headrace.actors.connection.client import BatchPermit, Client
from headrace.actors.connection.session import PolicyUpdate
from headrace.actors.policy.module_policies import ModulePolicies
from headrace.actors.policy.onnx_policy import Acted, OnnxPolicy
from headrace.actors.recording.batch_lifecycle import BatchDelivery, OpenBatch
from headrace.actors.recording.infos import info_columns
from headrace.actors.recording.step_result import Columns, StepResult
from headrace.actors.recording.vector_recorder import BatchRecorder
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from headrace.protocol.manifest import DEFAULT_MODULE, ModuleManifest

_LOG = logging.getLogger("headrace.actor")

Clock = Callable[[], float]


class VectorAgent:
    """Acts for n environments that step together; call `act` and `record` in turn.

    A batch begins with the first `act` for which there is credit, with the newest weights, and ends
    by itself in `record`. Arrays are kept until then: pass ones that the simulator does not reuse.
    With one environment it also runs evaluation episodes between others, when the learner asks.
    What the learner assigns takes effect when `take_reset` is asked between steps.
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
        self._info_keys: tuple[str, ...] = ()
        self._state: dict[str, Array] = {}
        self._rewards = np.zeros(environments, np.float32)
        self._policies = ModulePolicies(self._rng)
        self._batch: OpenBatch | None = None
        self._delivery = BatchDelivery(client)
        self._task: str | None = None
        self._assignments = AssignmentWatch(client)
        self._acted: Acted | None = None
        self._seen: Columns = {}
        # Environments that step together do not end their episodes together.
        self._evaluates = environments == 1
        if self._evaluates:
            client.offer_evaluation()

    def act(self, observations: Columns, timeout_s: float | None = None) -> Array | None:
        """Returns actions [n, …] as the simulator expects them.

        Waits for the broker, the learner and credit, for at most `timeout_s`; None means that time
        is up, or the client was closed, or, if you ask it, that there is something to `take_reset`.

        Raises:
            ConfigError: the observations do not fit the learner's policy.
            RefusedError: the broker will not serve this actor.
        """
        if self._batch is None:
            self._batch = self._begin(observations, timeout_s)
        batch, policy = self._batch, self._policy
        if batch is None or policy is None or self._client.is_closed or self._is_reset_due:
            return None
        # Evaluations are greedy; None leaves it to the learner.
        explore = None if batch.permit.task is None else False
        self._acted = policy.act(observations, self._state, self._rewards, explore=explore)
        return self._acted.env_actions

    def record(self, step: StepResult) -> None:
        """Takes what came of the last actions.

        Raises:
            LocalProtocolError: there was no `act` before it.
        """
        policy, batch = self._policy, self._batch
        if self._acted is None or policy is None or batch is None:
            raise LocalProtocolError("act() before record()")
        acted, self._acted = self._acted, None
        self._state, self._rewards = acted.state, step.rewards.astype(np.float32)
        self._seen = step.observations
        if batch.is_recorded:
            if step.final_observations:
                finals = self._observe_finals(policy, step.final_observations)
                step = dataclasses.replace(step, final_observations=finals)
            outputs = acted.recorded
            if self._info_keys:
                outputs = {**outputs, **info_columns(self._info_keys, step)}
            self._recorder.record(acted.observations, outputs, step)
        self._begin_episodes(policy, step)
        is_over = bool(step.terminated[0] or step.truncated[0])
        if not batch.is_recorded:
            self._client.count_unrecorded(self._environments)
            self._batch = None if is_over else batch
        elif self._is_full(batch, is_over=is_over):
            self._deliver()

    def take_reset(self) -> Reset | None:
        """Returns, once, how to reset the simulator, if the learner has assigned something else.

        With one environment that is between its episodes; several are reset together, wherever they
        are, and what was recorded of their episodes is delivered unended. None leaves all as it is.
        """
        self._assignments.watch()
        if not self._is_reset_due:
            return None
        if self._recorder.env_steps:
            self._deliver()
        self._recorder.abandon()
        self._begin_all()
        reset = self._assignments.adopt()
        self._task = reset.task
        return reset

    def drop_episodes(self) -> None:
        """Forgets the present episodes of simulators that failed, and counts them as broken.

        What they delivered already stays; call `act` with what the next episodes begin with.
        """
        self._acted = None
        self._client.count_broken(self._environments, self._recorder.drop_episodes())
        self._begin_all()
        if self._batch is not None and not self._batch.is_recorded:
            self._batch = None

    @property
    def _policy(self) -> OnnxPolicy | None:
        return self._policies.get(DEFAULT_MODULE)

    @property
    def _is_reset_due(self) -> bool:
        if not self._assignments.is_behind:
            return False
        if self._batch is not None and not self._batch.is_recorded:
            return False
        return self._environments > 1 or self._recorder.is_at_start(0)

    def _deliver(self) -> None:
        """Ends the batch under way, with what is seen after its last step."""
        batch, policy = self._batch, self._policy
        if batch is None or policy is None:
            return
        self._batch = None
        self._delivery.deliver(
            batch.permit,
            lambda: self._recorder.take_batch(
                policy.observe(self._seen, self._state, self._rewards)
            ),
            self._recorder.discard_batch,
            self._task,
        )

    def _begin(self, observations: Columns, timeout_s: float | None) -> OpenBatch | None:
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

    def _open(self, permit: BatchPermit, *, is_at_start: bool) -> OpenBatch:
        if permit.credit is None and not is_at_start:
            # An evaluation waits, and there is no credit to get to the end of this episode with.
            self._recorder.abandon()
            return OpenBatch.begin(permit, self._clock(), is_recorded=False)
        return OpenBatch.begin(permit, self._clock())

    def _use(self, update: PolicyUpdate, observations: Columns) -> None:
        modules = update.policy.manifest.modules
        if modules.keys() != {DEFAULT_MODULE}:
            raise ConfigError("this learner trains several modules, and here is one agent")
        is_new = self._policies.use(update)
        policy = self._policies[DEFAULT_MODULE]
        if is_new:
            policy.check_observations(observations)
            self._adopt(modules[DEFAULT_MODULE], update.policy.manifest.infos)
        if not self._state:
            self._state = policy.initial_state(self._environments)

    def _adopt(self, module: ModuleManifest, infos: tuple[str, ...]) -> None:
        """Records for another module; where it records otherwise, what is under way is cut off."""
        former, self._module = self._module, module
        former_keys, self._info_keys = self._info_keys, infos
        if former is not None and former_keys == infos and _records_alike(former, module):
            return
        self._recorder = BatchRecorder(self._environments, self._clock, module.lookback)
        self._begin_all()

    def _begin_all(self) -> None:
        """Forgets state and reward of all episodes."""
        self._rewards = np.zeros(self._environments, np.float32)
        policy = self._policy
        self._state = policy.initial_state(self._environments) if policy is not None else {}

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

    def _is_full(self, batch: OpenBatch, *, is_over: bool) -> bool:
        if batch.permit.credit is None:
            return is_over
        env_steps = self._recorder.env_steps
        if env_steps and is_over and self._evaluates and self._client.evaluation_is_wanted:
            return True
        return batch.is_full(env_steps, self._clock(), self._client.newest_version)

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
