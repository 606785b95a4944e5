"""Runs the modules of a run for agents of episodes, each module once for all of its agents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.actors.connection.session import PolicyUpdate
from headrace.actors.policy.module_policies import ModulePolicies
from headrace.actors.policy.onnx_policy import Acted, OnnxPolicy
from headrace.actors.recording.tracks import Columns, Track
from headrace.protocol.errors import ConfigError
from headrace.protocol.flow_control import OffPolicyFlow
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.policy_graph import ACTION_LOGP
from headrace.protocol.trajectory import ACTIONS

AgentId = str
ModuleOf = Callable[[AgentId], str]


@dataclass(frozen=True)
class Decision:
    """What an agent did.

    Attributes:
        action: as the simulator expects it.
        observations, outputs: what is recorded, one row each.
    """

    track: Track
    action: Any
    observations: Columns
    outputs: Columns


class PolicyRunner:
    """The policies, and which of them acts for whom."""

    def __init__(self, rng: np.random.Generator, module_of: ModuleOf | None = None) -> None:
        self._policies = ModulePolicies(rng)
        self._module_of = module_of
        self._module_by_agent: Mapping[AgentId, str] = {}
        self._unchecked: set[str] = set()
        self._is_off_policy = False

    @property
    def version(self) -> PolicyVersion | None:
        """The version that acts, None before the first one."""
        return self._policies.version

    def use(self, update: PolicyUpdate) -> bool:
        """Acts with an update from now on; returns, and raises, as `ModulePolicies.use` does."""
        if not self._policies.use(update):
            return False
        self._unchecked = set(self._policies)
        manifest = update.policy.manifest
        self._module_by_agent = manifest.agents or {}
        self._is_off_policy = isinstance(manifest.flow, OffPolicyFlow)
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
                f"module {module!r} acts for agent {agent!r}, and the learner has "
                f"{', '.join(self._policies)}: give a mapping from agents to modules"
            )
        return module

    def check(self, agents: Iterable[tuple[AgentId, Columns]]) -> None:
        """Compares the first observations for each module with what its graph expects.

        Raises:
            ConfigError: they do not fit.
        """
        if not self._unchecked:
            return
        for agent, rows in agents:
            module = self.module_of(agent)
            if module in self._unchecked:
                self._policies[module].check_observations(rows)
                self._unchecked.discard(module)

    def rows_of(self, agent: AgentId, observation: Any) -> Columns:
        """Returns an observation, which may be of lists and numbers, as rows.

        Raises:
            ConfigError: it does not fit, or there is no module for the agent.
        """
        return self._policies[self.module_of(agent)].rows_of(observation)

    def recorded_action(self, agent: AgentId, action: Any) -> Columns:
        """Returns what is recorded of an action that somebody else chose.

        Raises:
            ConfigError: the learner cannot train on it, or it does not fit.
        """
        if not self._is_off_policy:
            raise ConfigError(
                "this learner trains on what its own policy chose, with the probabilities of that; "
                "actions of others are for DQN and SAC. Use an episode without training_enabled"
            )
        return {
            ACTIONS: self._policies[self.module_of(agent)].recorded_action(action),
            ACTION_LOGP: np.zeros(1, np.float32),  # as RLlib has it for what was not drawn
        }

    def see(self, track: Track, rows: Columns) -> Columns:
        """Returns an observation as it is recorded."""
        policy = self._policies[track.module]
        if policy.records_what_it_sees:
            return rows
        return policy.observe(rows, track.state, np.array([track.last_reward], np.float32))

    def run(self, seen: Sequence[tuple[Track, Columns]]) -> list[Decision]:
        """Returns what each agent does upon its observation; its track has the new state then."""
        by_module: dict[str, list[tuple[Track, Columns]]] = {}
        for track, rows in seen:
            by_module.setdefault(track.module, []).append((track, rows))
        return [
            decision
            for module, own in by_module.items()
            for decision in _decide(self._policies[module], own)
        ]


def _decide(policy: OnnxPolicy, own: Sequence[tuple[Track, Columns]]) -> Iterator[Decision]:
    acted = _act(policy, own)
    is_scalar = acted.env_actions.ndim == 1
    # Python's numbers, all at once: one by one each takes as long as the rest of its decision.
    actions: Sequence[Any] = acted.env_actions.tolist() if is_scalar else list(acted.env_actions)
    for index, (track, rows) in enumerate(own):
        one = slice(index, index + 1)
        track.state = {name: value[one] for name, value in acted.state.items()}
        yield Decision(
            track,
            actions[index],
            rows
            if policy.records_what_it_sees
            else {name: value[one] for name, value in acted.observations.items()},
            {name: value[one] for name, value in acted.recorded.items()},
        )


def _act(policy: OnnxPolicy, own: Sequence[tuple[Track, Columns]]) -> Acted:
    return policy.act(
        _join([rows for _, rows in own]),
        _join([track.state or policy.initial_state(1) for track, _ in own]),
        np.array([track.last_reward for track, _ in own], np.float32),
    )


def _join(rows: Sequence[Mapping[str, Any]]) -> Columns:
    if len(rows) == 1:
        return rows[0]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
