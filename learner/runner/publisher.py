"""Turns the modules' parameters into weights ready to be published."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import msgspec
import numpy as np
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.rl_module.torch import TorchRLModule

from headrace.learner.config import RunnerConfig
from headrace.learner.connection.link import BrokerLink
from headrace.learner.connection.weights_offer import OfferedWeights
from headrace.learner.export.action_heads import is_value_based
from headrace.learner.export.exported_module import ExportedModule
from headrace.learner.runner.agent_setup import AgentSetup
from headrace.learner.runner.environment_values import plain_config
from headrace.learner.runner.module_weights import ModuleWeights
from headrace.protocol.arrays import Array
from headrace.protocol.compression import Compression
from headrace.protocol.flow_control import Flow
from headrace.protocol.manifest import ColumnSpec, Manifest, Policy, encode_policy, policy_digest
from headrace.protocol.payload import encode_payload
from headrace.protocol.policy_graph import ENV_STEPS, EPSILON

_LOG = logging.getLogger("headrace.learner")
_LEAST_PIXELS = 1024


@dataclass(frozen=True)
class _ExportedPolicy:
    """All modules as actors receive them, and the frame that contains them."""

    modules: Mapping[str, ExportedModule]
    manifest: Manifest
    frame: bytes
    digest: str


class WeightsPublisher:
    """Offers each version of the weights once; exports the policy graph before the first."""

    def __init__(
        self, setup: AgentSetup, config: AlgorithmConfig, own: RunnerConfig, flow: Flow
    ) -> None:
        """Raises ConfigError if a value of `env_config` cannot be sent to actors."""
        self._setup = setup
        self._environment = config.env if isinstance(config.env, str) else None
        self._env_config = plain_config(config.env_config) if self._environment else {}
        self._own = own
        self._flow = flow
        self._offered: tuple[int, str] | None = None

    @property
    def exported(self) -> Mapping[str, ExportedModule]:
        """The policy graphs by module id, exported at the first call.

        Raises:
            ConfigError: the module cannot be exported; the message says why.
        """
        return self._policy.modules

    @cached_property
    def _policy(self) -> _ExportedPolicy:
        return self._export()

    @property
    def manifest(self) -> Manifest:
        """The instructions to actors; raises what `exported` raises."""
        return self._policy.manifest

    @property
    def lookbacks(self) -> dict[str, int]:
        """The number of context steps before a chunk, by module id."""
        return {name: module.manifest.lookback for name, module in self.exported.items()}

    def publish(self, link: BrokerLink, number: int, env_steps: int) -> None:
        """Offers the modules' weights as version `number`, unless they were offered already.

        Args:
            env_steps: sampled so far; schedules such as epsilon's depend on it.

        Raises:
            ConfigError: a module cannot be exported; the message says why.
        """
        statistics = self._setup.statistics(number)
        frame = encode_payload(
            {
                name: _tensors(
                    exported, self._setup.weights[name], env_steps, statistics.get(name, {})
                )
                for name, exported in self.exported.items()
            }
        )
        digest = weights_digest(frame)
        if self._offered == (number, digest):
            return
        link.offer(
            OfferedWeights(
                number=number,
                weights_digest=digest,
                policy_digest=self._policy.digest,
                policy_frame=self._policy.frame,
                weights_frame=frame,
            )
        )
        self._offered = (number, digest)

    def _compression(
        self, exported: Mapping[str, ExportedModule]
    ) -> Compression | msgspec.UnsetType:
        chosen = self._own.compression
        if chosen is None:
            columns = [c for module in exported.values() for c in module.manifest.columns]
            chosen = "lz4" if any(map(_is_image, columns)) else "none"
        return msgspec.UNSET if chosen == "none" else chosen

    def _export(self) -> _ExportedPolicy:
        exported = self._setup.export()
        config = self._env_config
        manifest = Manifest(
            run=self._own.run,
            flow=self._flow,
            modules={name: module.manifest for name, module in exported.items()},
            multi_agent=self._setup.is_multi_agent,
            infos=self._own.infos,
            environment=self._environment,
            environment_config={k: v for k, v in config.items() if not _is_nested(v)},
            environment_nested={k: v for k, v in config.items() if _is_nested(v)} or msgspec.UNSET,
            agents=dict(self._setup.modules_by_agent) or msgspec.UNSET,
            compression=self._compression(exported),
        )
        graphs = {name: module.graph for name, module in exported.items()}
        frame = encode_policy(Policy(manifest, graphs))
        for name, module in exported.items():
            _LOG.info(
                "exported the policy graph of %s: %d bytes, largest error %.1e",
                name,
                len(module.graph),
                module.manifest.graph.max_error,
            )
        return _ExportedPolicy(exported, manifest, frame, policy_digest(frame))


def _tensors(
    exported: ExportedModule,
    weights: ModuleWeights,
    env_steps: int,
    statistics: Mapping[str, Array],
) -> dict[str, Array]:
    """Returns all inputs of a module's graph that come with a version."""
    beside = {
        **exported.initial_state,
        **statistics,
        **_schedules(weights.architecture, env_steps),
        ENV_STEPS: np.array([env_steps], np.int64),
    }
    wanted = {spec.name for spec in exported.manifest.graph.weights}
    return {
        **weights.arrays(exported.parameters),
        **{name: value for name, value in beside.items() if name in wanted},
    }


def _schedules(module: TorchRLModule, env_steps: int) -> dict[str, Array]:
    """Returns the current values of a module's schedules over env steps."""
    if not is_value_based(module):
        return {}
    schedule = cast("Any", module).epsilon_schedule
    schedule.update(env_steps)
    return {EPSILON: np.array([schedule.get_current_value()], np.float32)}


def _is_image(column: ColumnSpec) -> bool:
    """Returns whether LZ4 pays off: images have many equal bytes; floats gain nothing."""
    return column.dtype == "uint8" and math.prod(column.shape) >= _LEAST_PIXELS


def weights_digest(frame: bytes) -> str:
    """Returns the name of a weights frame, equal for equal weights."""
    return hashlib.sha256(frame).hexdigest()[:32]


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | dict)
