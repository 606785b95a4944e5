"""Acts and records for environments that step together."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from headrace.actors.agents.broken_episodes import BrokenEpisodes
from headrace.actors.agents.vector_evaluations import VectorEvaluations
from headrace.actors.agents.vector_state import VectorState
from headrace.actors.agents.vector_steps import faults_of, finite_step, fit_step, require_rows
from headrace.actors.connection.assignments import AssignmentWatch, Reset
from headrace.actors.connection.broker_client import BrokerClient
from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.actors.policy.module_policies import ModulePolicies
from headrace.actors.policy.onnx_policy import Acted, OnnxPolicy
from headrace.actors.recording.batch_lifecycle import BatchLifecycle, UsePolicy
from headrace.actors.recording.evaluation import Evaluation
from headrace.actors.recording.infos import info_columns
from headrace.actors.recording.non_finite import OnNonFinite, faults_by_row, with_zeros
from headrace.actors.recording.step_result import Columns, StepResult
from headrace.actors.recording.vector_recorder import VectorRecorder
from headrace.protocol.errors import ConfigError, LocalProtocolError
from headrace.protocol.manifest import DEFAULT_MODULE, ModuleManifest
from headrace.protocol.nested_actions import Actions

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
        waits: bool = True,
        on_non_finite: OnNonFinite = "drop_episode",
        clock: Clock = time.monotonic,
    ) -> None:
        """Does not wait for the broker.

        Args:
            waits: whether `act` waits for credit; else it acts without recording until then.
            on_non_finite: what to do when an observation or a reward is not finite.

        Raises:
            ConfigError: `on_non_finite` is unknown.
        """
        self._client = client
        self._environments = environments
        self._waits = waits
        self._clock = clock
        self._policies = ModulePolicies(np.random.default_rng(seed))
        self._state = VectorState(environments)
        self._recorder = VectorRecorder(environments, clock)
        self._batches = BatchLifecycle(client, clock)
        self._assignments = AssignmentWatch(client)
        self._broken = BrokenEpisodes(environments, on_non_finite)
        self._task: str | None = None
        self._module: ModuleManifest | None = None
        self._info_keys: tuple[str, ...] = ()
        self._evaluations = VectorEvaluations(environments, clock)
        self._seen: Columns = {}
        self._acted: Acted | None = None
        client.offer_evaluation()

    def act(self, observations: Columns, timeout_s: float | None = None) -> Actions | None:
        """Returns actions [n, …] as the simulator expects them.

        Waits for the broker, the learner and credit, for at most `timeout_s`. Returns None on
        timeout, when the client was closed or, for callers of `take_reset`, when a reset is due.

        Raises:
            ConfigError: the observations do not match the learner's policy.
            LocalProtocolError: the last action has neither been recorded nor dropped.
            RefusedError: the broker will not serve this actor.
        """
        if self._acted is not None:
            raise LocalProtocolError(
                "act() again before record(): record the result of the last action, or drop the "
                "episode"
            )
        observations = require_rows(observations, self._environments)
        former, seen = self._policy, self._see(observations)
        if not self._prepare(seen, timeout_s):
            return None
        policy = self._policy
        if policy is None or self._client.is_closed or self._is_reset_due:
            return None
        if policy is not former:
            seen = self._see(observations)
        self._acted = self._evaluations.act(self._state, policy, seen)
        return self._acted.env_actions

    def record(self, step: StepResult) -> None:
        """Records the result of the last actions.

        Raises:
            ConfigError: an observation does not match the policy, or a reward or a flag is not
                one; the same call with other values may follow.
            LocalProtocolError: there was no `act` before it.
        """
        policy, acted = self._policy, self._acted
        if acted is None or policy is None:
            raise LocalProtocolError("act() before record()")
        step = fit_step(policy, step, self._environments)
        self._state.require_resets(step)
        infos = info_columns(self._info_keys, step) if self._info_keys else {}
        if faults := faults_of(step):
            for index, fault in faults.items():
                self._break(index, fault, has_stepped=True)
            step = finite_step(step)
        self._acted, self._seen = None, step.observations
        self._state.advance(acted, step)
        step = self._state.observe_finals(policy, step)
        has_ended = self._evaluations.record(self._state, policy, infos, step)
        outputs = {**acted.recorded, **infos} if infos else acted.recorded
        training = self._evaluations.left_out_of(self._broken.left_out_of(step))
        self._recorder.record(acted.observations, outputs, training)
        self._broken.remove_ended(step)
        self._state.begin_ended(policy, step)
        if has_ended or self._evaluations.is_part_full:
            self._deliver_evaluation(policy, step, has_ended=has_ended)
        if not self._batches.is_open:
            # Only these steps are lost: the next chunks of the episodes begin after them.
            self._client.count_unrecorded(self._recorder.discard_batch())
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
        self._begin_all()
        reset = self._assignments.adopt()
        self._task = reset.task
        return reset

    def drop_episodes(self) -> None:
        """Forgets the open episodes of simulators that failed, and counts them as broken.

        Delivered batches stay delivered; call `act` with the first observations of new episodes.
        """
        self._acted = None
        broken = self._environments - len(list(self._broken))  # the others have been counted
        self._client.count_broken(broken, self._recorder.drop_episodes())
        self._begin_all()

    @property
    def records_none(self) -> bool:
        """Whether no open episode is recorded: reset the environments, and `drop_episodes`."""
        return self._broken.are_all

    @property
    def _policy(self) -> OnnxPolicy | None:
        return self._policies.get(DEFAULT_MODULE)

    @property
    def _is_reset_due(self) -> bool:
        if not self._assignments.is_behind:
            return False
        if self._environments > 1:
            return True
        return not self._evaluations.is_open and self._recorder.is_at_start(0)

    def _prepare(self, observations: Columns, timeout_s: float | None) -> bool:
        """Gets a policy, and a batch or an evaluation to act for; returns False on timeout."""

        def use(update: PolicyUpdate) -> None:
            self._use(update, observations)

        client, batches = self._client, self._batches
        while not client.is_closed:
            if not self._evaluations.is_open and client.evaluation_is_wanted:
                self._begin_evaluation(observations, use)
            if batches.is_open:
                return True
            if self._evaluations.is_open and self._environments == 1:
                return True
            evaluates = self._evaluations.is_open or client.evaluation_is_wanted
            waits = self._waits and not evaluates
            prepared = batches.prepare(use, timeout_s, needs_batch=True, waits=waits)
            if prepared is not None:
                return prepared
        return False

    def _see(self, observations: Columns) -> Columns:
        """Returns observations as the policy takes them, and breaks episodes if it has to."""
        policy = self._policy
        if policy is None:
            return observations
        fitted = policy.fit(observations)
        if not (faults := faults_by_row(fitted)):
            return fitted
        for index, fault in faults.items():
            self._break(index, fault)
        return with_zeros(fitted)

    def _break(self, index: int, fault: str, *, has_stepped: bool = False) -> None:
        """Stops recording an environment's episode, unless it is broken already."""
        if index in self._broken:
            return
        is_evaluated = self._evaluations.index == index
        steps = self._evaluations.steps if is_evaluated else self._recorder.steps_of(index)
        self._broken.add(index, fault, steps + has_stepped)
        self._client.count_broken(1, self._recorder.drop_episode(index))
        if is_evaluated:
            self._evaluations.give_back()

    def _begin_all(self) -> None:
        """Begins an episode in each environment."""
        self._state.begin_all(self._policy)
        self._broken.clear()
        self._evaluations.give_back()

    def _use(self, update: PolicyUpdate, observations: Columns) -> None:
        modules = update.policy.manifest.modules
        if modules.keys() != {DEFAULT_MODULE}:
            raise ConfigError("this learner trains several modules; this actor has one agent")
        if self._policies.use(update):
            self._policies[DEFAULT_MODULE].fit(observations)
            self._adopt(modules[DEFAULT_MODULE], update.policy.manifest.infos)

    def _adopt(self, module: ModuleManifest, infos: tuple[str, ...]) -> None:
        """Switches to another module; if it records other columns, open episodes are cut off."""
        former, self._module = self._module, module
        former_keys, self._info_keys = self._info_keys, infos
        if former is not None and former_keys == infos and _records_alike(former, module):
            return
        self._recorder = VectorRecorder(self._environments, self._clock, module.lookback)
        self._begin_all()

    def _deliver(self, observations: Columns) -> None:
        """Ends the open batch, with the observations after its last step."""
        policy = self._policy
        if policy is not None and self._batches.is_open:
            observed = self._state.observe(policy, observations)
            self._batches.deliver(self._recorder.ending_with(observed), self._task)

    def _begin_evaluation(self, observations: Columns, use: UsePolicy) -> None:
        """Turns an episode that begins now, if any, into an evaluation."""
        starting = (
            index
            for index in range(self._environments)
            if self._recorder.is_at_start(index) and index not in self._broken
        )
        if (index := next(starting, None)) is None:
            return
        self._deliver(observations)  # the evaluation may need newer weights than this batch has
        begun = Evaluation.begin(self._client, self._batches, use)
        if begun is not None:
            lookback = self._module.lookback if self._module is not None else 0
            self._evaluations.begin(index, begun, lookback)

    def _deliver_evaluation(self, policy: OnnxPolicy, step: StepResult, *, has_ended: bool) -> None:
        index = self._evaluations.index
        self._deliver(step.observations)  # before the evaluation, which takes the next number
        last = self._state.observe(policy, step.observations)
        self._evaluations.deliver(last, has_ended=has_ended)
        if index is not None and has_ended:
            self._recorder.begin_episode(index)


def _records_alike(one: ModuleManifest, other: ModuleManifest) -> bool:
    return (one.columns, one.lookback, one.graph.states) == (
        other.columns,
        other.lookback,
        other.graph.states,
    )
