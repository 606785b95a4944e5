"""Acts and records for environments that step together."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from headrace.actors.agents.vector_evaluation import VectorEvaluation
from headrace.actors.agents.vector_state import VectorState
from headrace.actors.connection.assignments import AssignmentWatch, Reset
from headrace.actors.connection.broker_client import BrokerClient
from headrace.actors.connection.session import PolicyUpdate
from headrace.actors.policy.module_policies import ModulePolicies
from headrace.actors.policy.onnx_policy import Acted, OnnxPolicy
from headrace.actors.recording.batch_lifecycle import BatchLifecycle, UsePolicy
from headrace.actors.recording.evaluation import Evaluation
from headrace.actors.recording.infos import info_columns
from headrace.actors.recording.step_result import Columns, StepResult
from headrace.actors.recording.vector_recorder import VectorRecorder
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError, LocalProtocolError
from headrace.protocol.manifest import DEFAULT_MODULE, ModuleManifest

Clock = Callable[[], float]


class VectorAgent:
    """Acts for n environments that step together; call `act` and `record` in turn.

    A batch begins, with the newest weights, at the first `act` for which there is credit, and ends
    automatically in `record`. Arrays are kept until then: pass ones that are not reused.
    When the learner asks for an evaluation, the next episode becomes one: the policy acts greedily
    in that environment, while the others continue training.
    Assignments take effect if you call `take_reset` between steps.
    """

    def __init__(
        self,
        client: BrokerClient,
        environments: int,
        *,
        seed: int | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._client = client
        self._environments = environments
        self._clock = clock
        self._policies = ModulePolicies(np.random.default_rng(seed))
        self._state = VectorState(environments)
        self._recorder = VectorRecorder(environments, clock)
        self._batches = BatchLifecycle(client, clock)
        self._assignments = AssignmentWatch(client)
        self._task: str | None = None
        self._module: ModuleManifest | None = None
        self._info_keys: tuple[str, ...] = ()
        self._evaluation: VectorEvaluation | None = None
        self._seen: Columns = {}
        self._acted: Acted | None = None
        self._acted_in_evaluation: Acted | None = None
        client.offer_evaluation()

    def act(self, observations: Columns, timeout_s: float | None = None) -> Array | None:
        """Returns actions [n, …] as the simulator expects them.

        Waits for the broker, the learner and credit, for at most `timeout_s`. Returns None on
        timeout, when the client was closed or, for callers of `take_reset`, when a reset is due.

        Raises:
            ConfigError: the observations do not match the learner's policy.
            RefusedError: the broker will not serve this actor.
        """
        if not self._prepare(observations, timeout_s):
            return None
        policy = self._policy
        if policy is None or self._client.is_closed or self._is_reset_due:
            return None
        evaluation = self._evaluation
        if evaluation is None:
            self._acted = self._state.act(policy, observations)
        elif self._environments == 1:
            # Evaluations are greedy; otherwise exploring is left to the learner.
            self._acted = self._state.act(policy, observations, explore=False)
            self._acted_in_evaluation = self._acted
        else:
            everywhere = self._state.act(policy, observations)
            self._acted_in_evaluation = self._state.act_in(
                evaluation.index, policy, observations, explore=False
            )
            self._acted = evaluation.merge(everywhere, self._acted_in_evaluation)
        return self._acted.env_actions

    def record(self, step: StepResult) -> None:
        """Records the result of the last actions.

        Raises:
            LocalProtocolError: there was no `act` before it.
        """
        policy, acted = self._policy, self._acted
        if acted is None or policy is None:
            raise LocalProtocolError("act() before record()")
        self._acted, self._seen = None, step.observations
        self._state.advance(acted, step)
        if step.final_observations:
            finals = {
                index: self._state.observe_in(index, policy, final)
                for index, final in step.final_observations.items()
            }
            step = dataclasses.replace(step, final_observations=finals)
        infos = info_columns(self._info_keys, step) if self._info_keys else {}
        training = step
        if self._evaluation is not None and self._acted_in_evaluation is not None:
            skipped = self._evaluation.without(step)
            training = dataclasses.replace(step, is_reset_step=skipped)
            has_ended = self._evaluation.record(self._acted_in_evaluation, infos, step)
        else:
            has_ended = False
        outputs = {**acted.recorded, **infos} if infos else acted.recorded
        self._recorder.record(acted.observations, outputs, training)
        self._state.begin_ended(policy, step)
        if has_ended:
            self._end_evaluation(step)
        if not self._batches.is_open:
            # Only these steps are lost: the next chunks of the episodes begin after them.
            self._discard()
        elif self._batches.is_full(self._recorder.env_steps):
            self._deliver(step.observations)

    def take_reset(self) -> Reset | None:
        """Returns, once per new assignment, how to reset the simulator; else None.

        A single environment is reset between episodes. Several are reset together, wherever they
        are; what was recorded of their episodes is delivered unended.
        """
        self._assignments.watch()
        if not self._is_reset_due:
            return None
        self._deliver(self._seen)
        self._recorder.abandon()
        self._state.begin_all(self._policy)
        self._give_back_evaluation()
        reset = self._assignments.adopt()
        self._task = reset.task
        return reset

    def drop_episodes(self) -> None:
        """Forgets the open episodes of simulators that failed, and counts them as broken.

        Delivered batches stay delivered; call `act` with the first observations of new episodes.
        """
        self._acted = None
        self._client.count_broken(self._environments, self._recorder.drop_episodes())
        self._state.begin_all(self._policy)
        self._give_back_evaluation()

    @property
    def _policy(self) -> OnnxPolicy | None:
        return self._policies.get(DEFAULT_MODULE)

    @property
    def _is_reset_due(self) -> bool:
        if not self._assignments.is_behind:
            return False
        if self._environments > 1:
            return True
        return self._evaluation is None and self._recorder.is_at_start(0)

    def _prepare(self, observations: Columns, timeout_s: float | None) -> bool:
        """Gets a policy, and a batch or an evaluation to act for; returns False on timeout."""

        def use(update: PolicyUpdate) -> None:
            self._use(update, observations)

        client, batches = self._client, self._batches
        while not client.is_closed:
            if self._evaluation is None and client.evaluation_is_wanted:
                self._begin_evaluation(observations, use)
            if batches.is_open:
                return True
            if self._evaluation is not None and self._environments == 1:
                return True
            waits = self._evaluation is None and not client.evaluation_is_wanted
            prepared = batches.prepare(use, timeout_s, needs_batch=True, waits=waits)
            if prepared is not None:
                return prepared
        return False

    def _use(self, update: PolicyUpdate, observations: Columns) -> None:
        modules = update.policy.manifest.modules
        if modules.keys() != {DEFAULT_MODULE}:
            raise ConfigError("this learner trains several modules; this actor has one agent")
        is_new = self._policies.use(update)
        if is_new:
            self._policies[DEFAULT_MODULE].check_observations(observations)
            self._adopt(modules[DEFAULT_MODULE], update.policy.manifest.infos)

    def _adopt(self, module: ModuleManifest, infos: tuple[str, ...]) -> None:
        """Switches to another module; if it records other columns, open episodes are cut off."""
        former, self._module = self._module, module
        former_keys, self._info_keys = self._info_keys, infos
        if former is not None and former_keys == infos and _records_alike(former, module):
            return
        self._recorder = VectorRecorder(self._environments, self._clock, module.lookback)
        self._state.begin_all(self._policy)
        self._give_back_evaluation()

    def _deliver(self, observations: Columns) -> None:
        """Ends the open batch, with the observations after its last step."""
        policy = self._policy
        if policy is not None and self._batches.is_open:
            observed = self._state.observe(policy, observations)
            self._batches.deliver(self._recorder.ending_with(observed), self._task)

    def _discard(self) -> None:
        unrecorded = self._recorder.discard_batch()
        if unrecorded:
            self._client.count_unrecorded(unrecorded)

    # ---------------------------------------------------------------- evaluation

    def _begin_evaluation(self, observations: Columns, use: UsePolicy) -> None:
        """Turns an episode that begins now, if any, into an evaluation."""
        starting = (i for i in range(self._environments) if self._recorder.is_at_start(i))
        index = next(starting, None)
        if index is None:
            return
        # The evaluation may need newer weights than the batch was begun with.
        self._deliver(observations)
        begun = Evaluation.begin(self._client, self._batches, use)
        if begun is not None:
            lookback = self._module.lookback if self._module is not None else 0
            self._evaluation = VectorEvaluation(index, begun, self._clock, lookback)

    def _end_evaluation(self, step: StepResult) -> None:
        policy, evaluation = self._policy, self._evaluation
        if policy is None or evaluation is None:
            return
        self._deliver(step.observations)  # before the evaluation, which takes the next number
        evaluation.deliver(self._state.observe(policy, step.observations))
        self._recorder.begin_episode(evaluation.index)
        self._evaluation = self._acted_in_evaluation = None

    def _give_back_evaluation(self) -> None:
        if self._evaluation is not None:
            self._evaluation.give_back()
        self._evaluation = self._acted_in_evaluation = None


def _records_alike(one: ModuleManifest, other: ModuleManifest) -> bool:
    return (one.columns, one.lookback, one.graph.states) == (
        other.columns,
        other.lookback,
        other.graph.states,
    )
