"""From the module's parameters to weights that are ready to be published."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from headrace.learner.acting import Acting
from headrace.learner.export import ExportedModule
from headrace.learner.heads import is_value_based
from headrace.learner.link import BrokerLink
from headrace.learner.module_weights import ModuleWeights
from headrace.learner.session import OfferedWeights
from headrace.protocol.arrays import Array
from headrace.protocol.flow_control import Flow
from headrace.protocol.manifest import (
    DEFAULT_MODULE,
    Manifest,
    Policy,
    encode_policy,
    policy_digest,
)
from headrace.protocol.payload import encode_payload
from headrace.protocol.policy_graph import ENV_STEPS, EPSILON

_LOG = logging.getLogger("headrace.learner")


class WeightsPublisher:
    """Offers each version of the weights once; exports the policy graph before the first."""

    def __init__(
        self,
        weights: ModuleWeights,
        acting: Acting,
        config: AlgorithmConfig,
        run: str,
        flow: Flow,
    ) -> None:
        self._weights = weights
        self._acting = acting
        self._config = config
        self._run = run
        self._flow = flow
        self._exported: ExportedModule | None = None
        self._policy_frame = b""
        self._policy_digest = ""
        self._offered: tuple[int, str] | None = None

    @property
    def exported(self) -> ExportedModule:
        """The policy graph, exported at the first call.

        Raises:
            ConfigError: the module cannot be exported; the sentence says why.
        """
        if self._exported is None:
            self._exported = self._export()
        return self._exported

    def publish(
        self, link: BrokerLink, number: int, env_steps: int, statistics: Mapping[str, Array]
    ) -> None:
        """Offers the module's weights as version `number`, unless they were offered already.

        Args:
            env_steps: sampled so far; schedules such as epsilon's depend on it.
            statistics: inputs of the graph that are no parameters of the module.

        Raises:
            ConfigError: the module cannot be exported; the sentence says why.
        """
        exported = self.exported
        beside = {
            **exported.initial_state,
            **statistics,
            **self._schedules(env_steps),
            ENV_STEPS: np.array([env_steps], np.int64),
        }
        wanted = {spec.name for spec in exported.manifest.graph.weights}
        frame = encode_payload(
            {
                DEFAULT_MODULE: {
                    **self._weights.arrays(exported.parameters),
                    **{name: value for name, value in beside.items() if name in wanted},
                }
            }
        )
        digest = weights_digest(frame)
        if self._offered == (number, digest):
            return
        link.offer(
            OfferedWeights(
                number=number,
                weights_digest=digest,
                policy_digest=self._policy_digest,
                policy_frame=self._policy_frame,
                weights_frame=frame,
            )
        )
        self._offered = (number, digest)

    def _schedules(self, env_steps: int) -> dict[str, Array]:
        """Returns the present value of what a module changes with the number of env steps."""
        module = self._weights.architecture
        if not is_value_based(module):
            return {}
        schedule = cast("Any", module).epsilon_schedule
        schedule.update(env_steps)
        return {EPSILON: np.array([schedule.get_current_value()], np.float32)}

    def _export(self) -> ExportedModule:
        exported = self._acting.export(self._weights.module)
        manifest = Manifest(
            run=self._run,
            flow=self._flow,
            modules={DEFAULT_MODULE: exported.manifest},
            environment=self._config.env if isinstance(self._config.env, str) else None,
            environment_config=_plain(self._config.env_config),
        )
        self._policy_frame = encode_policy(Policy(manifest, {DEFAULT_MODULE: exported.graph}))
        self._policy_digest = policy_digest(self._policy_frame)
        _LOG.info(
            "exported the policy graph: %d bytes, largest error %.1e",
            len(exported.graph),
            exported.manifest.graph.max_error,
        )
        return exported


def weights_digest(frame: bytes) -> str:
    """Returns the name of a weights frame, equal for equal weights."""
    return hashlib.sha256(frame).hexdigest()[:32]


def _plain(env_config: Mapping[str, Any]) -> dict[str, str | int | float | bool | None]:
    """Keeps what a manifest can carry: the rest is for the learner's own machine."""
    return {
        key: value
        for key, value in env_config.items()
        if isinstance(value, str | int | float | bool | None)
    }
