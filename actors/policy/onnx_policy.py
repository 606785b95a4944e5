"""Acting with a policy graph: ONNX Runtime and a random generator, no Ray, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import UnsetType

from headrace.actors.policy.fitting import fit_rows, require_leaves, require_range, row_of
from headrace.actors.policy.onnx_session import open_session
from headrace.protocol.arrays import Array, array_of
from headrace.protocol.errors import ConfigError, RejectCode, RemoteProtocolError
from headrace.protocol.manifest import PolicyGraph
from headrace.protocol.nested_actions import Actions, nest
from headrace.protocol.paths import flatten_paths
from headrace.protocol.policy_graph import (
    CONNECTOR_STATE,
    EXPLORE,
    NOISE,
    REWARD,
    initial_state,
    state_output,
)
from headrace.protocol.trajectory import OBSERVATIONS, is_column

_NOTHING: Mapping[str, Array] = {}


@dataclass(frozen=True)
class Acted:
    """A policy's outputs for n observations.

    Attributes:
        env_actions: [n, …], as the simulator expects them; nested if its actions are.
        recorded: columns to record besides observations and rewards, [n, …] each.
        observations: observations to record, [n, …] each.
        state: input of the next `act`, [n, …] by input name; empty for most policies.
    """

    env_actions: Actions
    recorded: dict[str, Array]
    observations: dict[str, Array]
    state: dict[str, Array]


class OnnxPolicy:
    """One module's graph in its own session; call `set_weights` before the first `act`."""

    def __init__(
        self,
        graph: bytes,
        spec: PolicyGraph,
        rng: np.random.Generator,
        *,
        bakes: bool | None = None,
    ) -> None:
        """Loads the graph; see `open_session` for `bakes`, and for the errors."""
        self._session = open_session(graph, spec, bakes=bakes)
        self._spec = spec
        self._rng = rng
        self._scalars: dict[str, Array] = {
            name: np.array([value], np.float32) for name, value in spec.scalars.items()
        }
        self._observation_outputs = {
            output: column
            for output, column in spec.recorded.items()
            if is_column(OBSERVATIONS, column)
        }
        self._recorded = {
            output: column
            for output, column in spec.recorded.items()
            if output not in self._observation_outputs
        }
        self._leaves = {spec.name: spec for spec in spec.observations}
        self._ranges = spec.observation_ranges or {}
        self._states = {state_output(state.name): state.name for state in spec.states}
        env_actions = spec.env_actions or (spec.env_action,)
        self._env_actions = [leaf.name for leaf in env_actions]
        self._action_tuples = spec.action_tuples or ()
        outputs = (*self._env_actions, *self._recorded, *self._observation_outputs)
        self._outputs = list(dict.fromkeys((*outputs, *self._states)))
        self._initial_state: dict[str, Array] = {}

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Uses these tensors from now on.

        Raises:
            RemoteProtocolError: a tensor that the graph needs is missing.
        """
        missing = [spec.name for spec in self._spec.weights if spec.name not in weights]
        if missing:
            raise RemoteProtocolError(
                RejectCode.INVALID_POLICY, f"weights without {', '.join(missing)}"
            )
        self._session.set_weights(weights)
        self._initial_state = {
            spec.name: weights.get(initial_state(spec.name), np.zeros(spec.shape, np.float32))
            for spec in self._spec.states
        }

    @property
    def records_raw_observations(self) -> bool:
        """Whether observations are recorded as the simulator gives them."""
        return not self._observation_outputs

    def initial_state(self, rows: int) -> dict[str, Array]:
        """Returns the state with which n episodes begin."""
        return {
            name: np.repeat(value[None], rows, axis=0)
            for name, value in self._initial_state.items()
        }

    def act(
        self,
        observations: Mapping[str, Array],
        state: Mapping[str, Array] = _NOTHING,
        rewards: Array | None = None,
        *,
        explore: bool | None = None,
    ) -> Acted:
        """Returns actions for n observations, sampled, or the most likely ones.

        Args:
            explore: whether to sample; None leaves it to the learner's setting.
            state: from the previous `act`; without it, n episodes begin.
            rewards: [n] of the last step; without them, n episodes begin.
        """
        rows = len(next(iter(observations.values())))
        feed = {**self._scalars, **observations}
        if explore is not None:
            feed[EXPLORE] = _FLAGS[explore]
        feed.update(state or self.initial_state(rows))
        if self._spec.takes_reward:
            feed[REWARD] = np.zeros(rows, np.float32) if rewards is None else rewards
        if self._spec.noise_size:
            feed[NOISE] = self._rng.random((rows, self._spec.noise_size), np.float32)
        values = self._session.run(self._outputs, feed)
        by_output = dict(zip(self._outputs, values, strict=True))
        return Acted(
            nest({name: by_output[name] for name in self._env_actions}, self._action_tuples),
            {column: by_output[output] for output, column in self._recorded.items()},
            {column: by_output[output] for output, column in self._observation_outputs.items()}
            or dict(observations),
            {name: by_output[output] for output, name in self._states.items()},
        )

    def observe(
        self,
        observations: Mapping[str, Array],
        state: Mapping[str, Array] = _NOTHING,
        rewards: Array | None = None,
    ) -> dict[str, Array]:
        """Returns observations as they are recorded, without acting on them."""
        if not self._observation_outputs:
            return dict(observations)
        return self.act(observations, state, rewards, explore=False).observations

    def rows_of(self, observation: Any) -> Mapping[str, Array]:
        """Returns one observation, which may consist of lists and numbers, as a row by path.

        Raises:
            ConfigError: the observation does not match the graph.
        """
        leaves = flatten_paths(observation, OBSERVATIONS)
        return self.fit({name: array_of(name, leaf)[None] for name, leaf in leaves.items()})

    def fit(self, observations: Mapping[str, Array]) -> Mapping[str, Array]:
        """Returns rows of observations in the dtypes that the graph takes.

        Raises:
            ConfigError: they do not match the graph; the message names the first difference.
        """
        found = require_leaves(observations, self._leaves)
        fitted = {name: fit_rows(name, rows, self._leaves[name]) for name, rows in found.items()}
        for name, allowed in self._ranges.items():
            require_range(name, fitted[name], allowed)
        return fitted

    def recorded_action(self, action: Any) -> Array:
        """Returns the simulator's own action in recorded form, as one row.

        Raises:
            ConfigError: the action does not match the graph, or the policy takes its own last
                action as input, or actions are nested.
        """
        if self._spec.env_actions:
            raise ConfigError("nested actions that were chosen elsewhere cannot be recorded")
        if any(state.name.startswith(CONNECTOR_STATE) for state in self._spec.states):
            raise ConfigError("this policy needs its own last action: no other can be recorded")
        row = row_of("action", action, self._spec.env_action)
        if not isinstance(self._spec.action_start, UnsetType):
            start = np.reshape(np.array(self._spec.action_start, row.dtype), row.shape[1:])
            return np.subtract(row, start)
        scale = self._spec.action_range
        if isinstance(scale, UnsetType):
            return row
        low = np.reshape(np.array(scale.low, row.dtype), row.shape[1:])
        high = np.reshape(np.array(scale.high, row.dtype), row.shape[1:])
        recorded: Array = (row - low) * 2.0 / (high - low) - 1.0
        return recorded.astype(row.dtype)


_FLAGS = {flag: np.array([float(flag)], np.float32) for flag in (False, True)}
