"""Runs a run's modules for the agents of episodes, each module once for all of its agents."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.actors.policy.module_policies import ModulePolicies
from headrace.actors.policy.onnx_policy import Acted, OnnxPolicy
from headrace.actors.recording.open_episodes import AgentId
from headrace.actors.recording.step_result import Columns
from headrace.actors.recording.tracks import Episode, Track
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError, shortened
from headrace.protocol.flow_control import OffPolicyFlow
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.manifest import ColumnSpec
from headrace.protocol.nested_actions import rows_of
from headrace.protocol.policy_graph import ACTION_LOGP
from headrace.protocol.trajectory import ACTIONS

ModuleOf = Callable[[AgentId], str]
GivenAction = tuple[Any, Columns]
"""An action for the simulator, and the columns recorded of it."""


@dataclass(frozen=True)
class Decision:
    """An agent's action.

    Attributes:
        action: as the simulator expects it.
        observations, outputs: the columns to record, one row each.
    """

    track: Track
    action: Any
    observations: Columns
    outputs: Columns


class PolicyRunner:
    """The policies, and which of them acts for which agent."""

    def __init__(self, rng: np.random.Generator, module_of: ModuleOf | None = None) -> None:
        self._policies = ModulePolicies(rng)
        self._module_of = module_of
        self._module_by_agent: Mapping[AgentId, str] = {}
        self._is_off_policy = False
        self._actions: Mapping[str, ColumnSpec | None] = {}

    @property
    def version(self) -> PolicyVersion | None:
        """The policy version in use, None before the first one."""
        return self._policies.version

    def use(self, update: PolicyUpdate) -> bool:
        """Switches to an update; returns and raises as `ModulePolicies.use` does."""
        if not self._policies.use(update):
            return False
        manifest = update.policy.manifest
        self._module_by_agent = manifest.agents or {}
        self._is_off_policy = isinstance(manifest.flow, OffPolicyFlow)
        self._actions = {
            name: next((column for column in module.columns if column.name == ACTIONS), None)
            for name, module in manifest.modules.items()
        }
        return True

    def module_of(self, agent: AgentId) -> str:
        """Returns the module that acts for an agent.

        Raises:
            ConfigError: there is none.
        """
        if self._module_of is not None:
            module = self._module_of(agent)
        elif agent in self._module_by_agent:
            module = self._module_by_agent[agent]
        elif len(self._policies) == 1:
            module = next(iter(self._policies))
        else:
            module = agent
        if module not in self._policies:
            raise ConfigError(
                f"agent {agent!r} maps to module {module!r}, but the learner has only "
                f"{', '.join(self._policies)}: give a mapping from agents to modules"
            )
        return module

    def fit(self, agent: AgentId, rows: Columns) -> Columns:
        """Returns an agent's observation in the dtypes that its module's graph takes.

        Raises:
            ConfigError: it does not match the policy, or there is no module for the agent.
        """
        return self._policies[self.module_of(agent)].fit(rows)

    def rows_of(self, agent: AgentId, observation: Any) -> Columns:
        """Returns an observation, which may consist of lists and numbers, as rows.

        Raises:
            ConfigError: it does not match the policy, or there is no module for the agent.
        """
        return self._policies[self.module_of(agent)].rows_of(observation)

    def given_action(self, agent: AgentId, action: Any) -> GivenAction:
        """Returns an action that was chosen elsewhere, as `EpisodeAgent.act_upon` takes it.

        Raises:
            ConfigError: the learner cannot train on it, or it does not match the policy.
        """
        if not self._is_off_policy:
            raise ConfigError(
                "this learner trains only on its own policy's actions and their probabilities; "
                "only DQN and SAC take other actions. Start the episode without training_enabled"
            )
        module = self.module_of(agent)
        recorded = self._policies[module].recorded_action(action)
        _require_bounds(action, recorded, self._actions[module])
        return action, {
            ACTIONS: recorded,
            ACTION_LOGP: np.zeros(1, np.float32),  # as RLlib records unsampled actions
        }

    def see(self, track: Track, rows: Columns) -> Columns:
        """Returns an observation in recorded form."""
        policy = self._policies[track.module]
        if policy.records_raw_observations:
            return rows
        return policy.observe(rows, track.state, np.array([track.last_reward], np.float32))

    def run(
        self, seen: Sequence[tuple[Track, Columns]], *, greedy: Container[Episode] = ()
    ) -> list[Decision]:
        """Returns each agent's action, and puts the policy's new state into its track.

        Args:
            greedy: episodes with the most likely actions; in others, the learner's setting holds.
        """
        groups: dict[tuple[str, bool], list[tuple[Track, Columns]]] = {}
        for track, rows in seen:
            groups.setdefault((track.module, track.episode in greedy), []).append((track, rows))
        return [
            decision
            for (module, is_greedy), own in groups.items()
            for decision in _decide(
                self._policies[module], own, explore=False if is_greedy else None
            )
        ]


def _decide(
    policy: OnnxPolicy, own: Sequence[tuple[Track, Columns]], *, explore: bool | None
) -> Iterator[Decision]:
    acted = _act(policy, own, explore=explore)
    actions = rows_of(acted.env_actions)
    for index, (track, rows) in enumerate(own):
        one = slice(index, index + 1)
        track.state = {name: value[one] for name, value in acted.state.items()}
        yield Decision(
            track,
            actions[index],
            rows
            if policy.records_raw_observations
            else {name: value[one] for name, value in acted.observations.items()},
            {name: value[one] for name, value in acted.recorded.items()},
        )


def _act(
    policy: OnnxPolicy, own: Sequence[tuple[Track, Columns]], *, explore: bool | None
) -> Acted:
    return policy.act(
        _join([rows for _, rows in own]),
        _join([track.state or policy.initial_state(1) for track, _ in own]),
        np.array([track.last_reward for track, _ in own], np.float32),
        explore=explore,
    )


def _join(rows: Sequence[Mapping[str, Any]]) -> Columns:
    if len(rows) == 1:
        return rows[0]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _require_bounds(action: Any, recorded: Array, column: ColumnSpec | None) -> None:
    """Raises ConfigError for an action outside its space, which the broker would reject."""
    low = None if column is None else column.low
    high = None if column is None else column.high
    is_below = low is not None and bool((recorded < low).any())
    if is_below or (high is not None and bool((recorded > high).any())):
        raise ConfigError(f"the action {shortened(repr(action))} is outside the action space")
